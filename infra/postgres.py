"""The embedded PostgreSQL shared by all processes of one home folder, and the check of any other server."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from infra.errors import ConfigurationError, InfraError
from infra.postgres_process import ADMIN, PORT, Cluster

DATABASE = "beyond_iid"
"""Name of the product's database in the embedded server."""
OLDEST_VERSION = 14
"""Oldest PostgreSQL the product's SQL runs on."""

_CHECK_SECONDS = 5
_SECRETS = frozenset({"password", "sslpassword", "passfile", "sslkey"})


@dataclass
class EmbeddedPostgres:
    """A handle on the home's server; the server lives while any process holds one.

    Attributes:
        url: SQLAlchemy URL over the Unix socket.
        home: the folder given.
    """

    url: str
    home: Path
    _users: int | None

    def close(self) -> None:
        """Let go; the last of all processes stops the server, unless it was told to keep running."""
        if self._users is None:
            return
        with _locked(self.home):
            fcntl.flock(self._users, fcntl.LOCK_UN)
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                last = False
            else:
                last = True
            if last and not _keep_marker(self.home).exists():
                _cluster(self.home).stop()
            os.close(self._users)
            self._users = None


@contextmanager
def embedded_postgres(home: Path, *, keep_running: bool = False, durable: bool = True) -> Iterator[EmbeddedPostgres]:
    """Use the server whose data lies in `home`/postgres, started if needed; its last user stops it.

    Users are counted by a lock the system drops with its process, so a killed process is never counted. A server that
    was killed is started again and recovers to its last commit.

    Args:
        home: the project's state folder; created if needed.
        keep_running: leave the server running until `stop`, whoever else uses it and lets go.
        durable: False turns fsync off where this call starts the server (tests only).

    Raises:
        ConfigurationError: the folder, the account or the programs cannot be used.
        InfraError: the server does not come up; with the end of its log.
    """
    server = start_embedded(home, keep_running=keep_running, durable=durable)
    try:
        yield server
    finally:
        server.close()


def start_embedded(home: Path, *, keep_running: bool = False, durable: bool = True) -> EmbeddedPostgres:
    """`embedded_postgres` without the `with`: the caller calls `close()`; arguments and errors are the same."""
    home = _resolved(home)
    with _locked(home):
        users = os.open(home / "postgres.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(users, fcntl.LOCK_SH)
            cluster = _cluster(home)
            cluster.start(durable)
            _ensure_database(cluster)
            if keep_running:
                _keep_marker(home).touch()
        except BaseException:
            os.close(users)
            raise
    return EmbeddedPostgres(_socket_url(cluster), home, users)


def running_url(home: Path) -> str | None:
    """URL of the home's server if one answers; starts nothing."""
    cluster = _cluster(home.expanduser().resolve())
    return _socket_url(cluster) if cluster.answers() else None


def stop(home: Path) -> bool:
    """Stop the home's server whoever uses it; open transactions are rolled back. False where none was running."""
    home = home.expanduser().resolve()
    if not home.exists():
        return False
    with _locked(home):
        _keep_marker(home).unlink(missing_ok=True)
        return _cluster(home).stop()


def redacted(url: str) -> str:
    """The URL without passwords, for people and logs."""
    parsed = _parsed(url)
    query = {key: "***" if key in _SECRETS else value for key, value in parsed.query.items()}
    return parsed.set(query=query).render_as_string(hide_password=True)


def check_database(url: str) -> str:
    """Connect once, within about five seconds; returns the URL with the driver SQLAlchemy needs.

    Args:
        url: postgresql://user:password@host:port/database, also with the driver (+psycopg) or as postgres://.

    Raises:
        ConfigurationError: not a PostgreSQL URL, unreachable, refused, or too old. Never names the password.
    """
    parsed = _parsed(url)
    result: list[int | Exception] = []

    def connect() -> None:
        _, options = PGDialect_psycopg().create_connect_args(parsed)
        try:
            with psycopg.connect(**{**options, "connect_timeout": _CHECK_SECONDS}) as connection:
                result.append(connection.info.server_version)
        except Exception as error:  # reported by the waiting thread
            result.append(error)

    # libpq's own limit counts per address and leaves name resolution out.
    thread = threading.Thread(target=connect, name="database-check", daemon=True)
    thread.start()
    thread.join(_CHECK_SECONDS)
    if not result or isinstance(result[0], Exception):
        reason = str(result[0]).strip().splitlines()[0] if result else f"no answer within {_CHECK_SECONDS} s"
        raise ConfigurationError(
            f"The database is not reachable: {_where(parsed)}: {_without_password(reason, parsed)}.\n"
            f"Expected: a PostgreSQL server ({OLDEST_VERSION} or newer) that accepts this user and holds this database."
            "\nFix: start it, correct BEYOND_IID_DATABASE_URL, or unset that to use the embedded PostgreSQL."
        )
    version = result[0] // 10000
    if version < OLDEST_VERSION:
        raise ConfigurationError(
            f"The database {_where(parsed)} is PostgreSQL {version}; expected {OLDEST_VERSION} or newer.\n"
            "Fix: upgrade it, or unset BEYOND_IID_DATABASE_URL to use the embedded PostgreSQL."
        )
    return parsed.render_as_string(hide_password=False)


def _parsed(url: str) -> URL:
    # The parser's own messages may quote the URL, password included.
    wanted = "expected postgresql://user:password@host:port/database (in BEYOND_IID_DATABASE_URL)"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"The database URL cannot be read; {wanted}.") from None
    if parsed.drivername.split("+")[0] not in ("postgresql", "postgres"):
        raise ConfigurationError(f"The database URL is for {parsed.drivername!r}; {wanted}.")
    if not parsed.database:
        raise ConfigurationError(f"The database URL names no database; {wanted}.")
    return parsed.set(drivername="postgresql+psycopg")


def _where(url: URL) -> str:
    host = url.host or url.query.get("host") or "the default socket"
    port = url.port or url.query.get("port") or PORT
    return f"host {host}, port {port}, database {url.database!r}, user {url.username or 'of the system'!r}"


def _without_password(text: str, url: URL) -> str:
    for secret in (str(url.password or ""), *(str(url.query.get(key, "")) for key in _SECRETS)):
        if secret:
            text = text.replace(secret, "***")
    return text.rstrip(".")


def _socket_url(cluster: Cluster) -> str:
    return URL.create(
        "postgresql+psycopg",
        username=ADMIN,
        database=DATABASE,
        query={"host": str(cluster.socket_folder), "port": str(PORT)},
    ).render_as_string(hide_password=False)


def _ensure_database(cluster: Cluster) -> None:
    try:
        with cluster.connect(ADMIN) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.OperationalError as error:
        raise InfraError(f"The embedded PostgreSQL in {cluster.data} cannot be used: {error}") from error


def _cluster(home: Path) -> Cluster:
    return Cluster(home / "postgres")


def _keep_marker(home: Path) -> Path:
    return home / "postgres.keep"


def _resolved(home: Path) -> Path:
    try:
        home.expanduser().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The state folder {home} cannot be created: {error}. Choose another.") from error
    return home.expanduser().resolve()


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process at a time starts, stops or counts."""
    try:
        handle = os.open(home / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"The state folder {home} cannot be written: {error}. Choose another.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
