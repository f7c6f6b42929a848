"""What must hold before anything outside this machine is spoken to, and what workers never get to see.

On loopback (and Unix sockets) everything works without secrets. Beyond it the database needs a credential and TLS,
Prefect and Ray need their tokens; BEYOND_IID_ALLOW_INSECURE=1 says that the network itself is trusted.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from infra.errors import ConfigurationError

ALLOW_INSECURE = "BEYOND_IID_ALLOW_INSECURE"
"""Variable that turns the refusals off."""

_TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
_CREDENTIAL_OPTIONS = ("password", "passfile", "sslcert", "service")
_CREDENTIAL_VARIABLES = ("PGPASSWORD", "PGPASSFILE", "PGSSLCERT", "PGSERVICE")

_DRIVER_ONLY_PREFIXES = ("PREFECT_", "PG", "POSTGRES_", "GF_")
_DRIVER_ONLY_NAMES = frozenset({"BEYOND_IID_DATABASE_URL"})
_DRIVER_ONLY_SUFFIXES = ("_PASSWORD", "_AUTH_STRING")


def is_loopback(host: str | None) -> bool:
    """Whether only this machine answers there: no host, a socket's folder, localhost, 127.0.0.0/8 or ::1."""
    if not host or host.startswith(("/", "@")):
        return True
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def require_secure_database(url: str, *, allow_insecure: bool = False) -> None:
    """Refuse a database beyond loopback without a credential or without TLS.

    Args:
        url: as in BEYOND_IID_DATABASE_URL; libpq's own variables (PGPASSWORD, PGSSLMODE, ...) count too.
        allow_insecure: BEYOND_IID_ALLOW_INSECURE.

    Raises:
        ConfigurationError: naming what is missing; never the password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their texts may quote the URL, password included
        raise ConfigurationError(
            "The database URL cannot be read; expected postgresql://user:password@host:port/database "
            "(in BEYOND_IID_DATABASE_URL)."
        ) from None
    distant = [host for host in _database_hosts(parsed) if not is_loopback(host)]
    if allow_insecure or not distant:
        return
    lacking = []
    if not _has_database_credential(parsed):
        lacking.append("a password (user:password@host)")
    mode = str(parsed.query.get("sslmode") or os.environ.get("PGSSLMODE") or "")
    if mode not in _TLS_MODES:
        lacking.append(f"encryption (sslmode=verify-full or require; it is {mode or 'unset'})")
    if lacking:
        raise _refusal(f"BEYOND_IID_DATABASE_URL leads to {', '.join(distant)}", lacking)


def require_prefect_credential(api_url: str, *, allow_insecure: bool = False) -> None:
    """Refuse a Prefect API beyond loopback without PREFECT_API_AUTH_STRING or PREFECT_API_KEY.

    Raises:
        ConfigurationError: neither is set.
    """
    host = _host_of(api_url)
    if allow_insecure or is_loopback(host):
        return
    if not any(os.environ.get(name) for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY")):
        raise _refusal(f"PREFECT_API_URL leads to {host}", ["PREFECT_API_AUTH_STRING (or PREFECT_API_KEY)"])


def require_ray_token(address: str, *, allow_insecure: bool = False) -> None:
    """Refuse a Ray cluster beyond loopback without token authentication.

    Args:
        address: host:port of the cluster's head.
        allow_insecure: BEYOND_IID_ALLOW_INSECURE.

    Raises:
        ConfigurationError: RAY_AUTH_MODE is not "token", or there is no token.
    """
    host = _host_of(address)
    if allow_insecure or is_loopback(host):
        return
    lacking = []
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        lacking.append("RAY_AUTH_MODE=token")
    # Ray's own order: the variable, the variable that names a file, the file in the home folder.
    if not (
        os.environ.get("RAY_AUTH_TOKEN")
        or os.environ.get("RAY_AUTH_TOKEN_PATH")
        or (Path.home() / ".ray" / "auth_token").is_file()
    ):
        lacking.append("RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH), the same as on the cluster")
    if lacking:
        raise _refusal(f"The Ray cluster is at {host}", lacking)


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for Ray's processes: without anything that opens the database or Prefect."""
    return {name: value for name, value in environment.items() if not _is_driver_only(name)}


@contextmanager
def credentials_hidden() -> Iterator[None]:
    """Take them out of this process's environment for as long as Ray starts its processes, which inherit it."""
    hidden = {name: value for name, value in os.environ.items() if _is_driver_only(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_driver_only(name: str) -> bool:
    return name in _DRIVER_ONLY_NAMES or name.startswith(_DRIVER_ONLY_PREFIXES) or name.endswith(_DRIVER_ONLY_SUFFIXES)


def _database_hosts(url: URL) -> list[str]:
    """Every host libpq may connect to: of the URL, its options (several, with commas), or its variables."""
    given = [url.host or ""]
    for option, variable in (("host", "PGHOST"), ("hostaddr", "PGHOSTADDR")):
        value = url.query.get(option)
        values = [value] if isinstance(value, str) else list(value or ())
        if not values and not url.host:
            values = [os.environ.get(variable, "")]
        given += values
    return [host for entry in given for host in entry.split(",") if host]


def _has_database_credential(url: URL) -> bool:
    return bool(
        url.password
        or any(url.query.get(option) for option in _CREDENTIAL_OPTIONS)
        or any(os.environ.get(name) for name in _CREDENTIAL_VARIABLES)
    )


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address if "//" in address else f"//{address}").hostname
    except ValueError:
        return address


def _refusal(what: str, lacking: list[str]) -> ConfigurationError:
    return ConfigurationError(
        f"{what}, which is not this machine, and lacks {' and '.join(lacking)}.\n"
        f"Fix: set it (`beyond-iid secrets` makes secrets), or set {ALLOW_INSECURE}=1 if that network is trusted."
    )
