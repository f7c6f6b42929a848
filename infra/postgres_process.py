"""The PostgreSQL processes over one data directory: initialize, start, recover after a crash, stop."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg

from infra.errors import ConfigurationError, InfraError
from infra.postgres_programs import find_programs, let_through, server_account

ADMIN = "postgres"
"""The database's superuser; reachable only through the socket in a folder of mode 0700."""
PORT = 5432
"""Part of the socket's file name; no TCP port is opened."""

_SOCKET_LIMIT = 103
"""Bytes of a socket's path that every system accepts (Linux 107, macOS 103)."""
_START_SECONDS = 15.0
_STOP_SECONDS = 60.0
_ORPHAN_SECONDS = 5.0
_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class Cluster:
    """One data directory and the programs that serve it.

    Attributes:
        data: the data directory, absolute and resolved.
    """

    data: Path

    @cached_property
    def binaries(self) -> Path:
        """Folder of the programs."""
        return find_programs()

    @cached_property
    def account(self) -> pwd.struct_passwd | None:
        """The system account the server runs as; None = the present one."""
        return server_account()

    @cached_property
    def socket_folder(self) -> Path:
        """Where the socket lies: the data directory, or a private folder under /tmp if its path cannot hold one."""
        path = os.fsencode(self.data / f".s.PGSQL.{PORT}")
        if len(path) <= _SOCKET_LIMIT and not set(path) & set(b',"'):  # separators in settings and addresses
            return self.data
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path("/tmp") / f"beyond-iid-{name}"  # noqa: S108 - ownership and mode are checked before use

    def start(self, durable: bool) -> None:
        """Have the server answer: initialize, clear a dead server's remains, start, wait for its recovery.

        The caller holds the folder's lock.

        Args:
            durable: False turns fsync off: a power cut may then destroy the database (tests only).

        Raises:
            ConfigurationError: the folder, the account or the programs cannot be used.
            InfraError: the server does not come up; with the end of its log.
        """
        if self.answers():
            return
        if not self.is_alive():
            self._clear_remains()
            if self.account is not None:
                for folder in (self.data, self.binaries):
                    let_through(folder)
            if not (self.data / "PG_VERSION").exists():
                self._initialize(durable)
            self._prepare_socket_folder()
            self._launch(durable)
        self._wait_until_it_answers()

    def stop(self) -> bool:
        """Stop the server; open transactions are rolled back. False where none was running.

        Raises:
            InfraError: it does not stop.
        """
        postmaster = self._postmaster()
        if postmaster is None:
            return False
        # Signals rather than pg_ctl: they need no path, whatever became of the folders' permissions meanwhile.
        for order, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, _STOP_SECONDS / 3)):
            with contextlib.suppress(psutil.NoSuchProcess):
                postmaster.send_signal(order)
            if self._all_gone(patience):
                if self.socket_folder != self.data:
                    with contextlib.suppress(OSError):
                        self.socket_folder.rmdir()
                return True
        raise InfraError(f"The embedded PostgreSQL in {self.data} does not stop.{self._log_tail()}")

    def answers(self) -> bool:
        """Whether a server accepts connections on the socket, or would if it had one left."""
        try:
            self.connect(ADMIN).close()
        except psycopg.OperationalError as error:
            return "too many clients" in str(error)
        return True

    def connect(self, database: str) -> psycopg.Connection:
        """An autocommit connection as the superuser."""
        return psycopg.connect(
            host=str(self.socket_folder), port=PORT, user=ADMIN, dbname=database, connect_timeout=5, autocommit=True
        )

    def is_alive(self) -> bool:
        """Whether the postmaster named in postmaster.pid is a living server of this very directory."""
        return self._postmaster() is not None

    def postmaster_pid(self) -> int | None:
        """First line of postmaster.pid, which a killed server leaves behind; None where there is none."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _postmaster(self) -> psutil.Process | None:
        pid = self.postmaster_pid()
        return next((process for process in self._processes() if process.pid == pid), None)

    def _processes(self) -> list[psutil.Process]:
        """Living PostgreSQL processes of this directory: each of them works inside it. Zombies do not count."""
        found = []
        for process in psutil.process_iter(["name", "status"]):
            if process.info["name"] != "postgres" or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            try:
                if Path(process.cwd()) == self.data:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def _wait_until_it_answers(self) -> None:
        # Recovery after a crash may take long: the patience counts from the last sign of life.
        last_sign = time.monotonic()
        while not self.answers():
            if self.is_alive():
                last_sign = time.monotonic()
            if time.monotonic() - last_sign > _START_SECONDS:
                raise InfraError(f"The embedded PostgreSQL in {self.data} does not start.{self._log_tail()}")
            time.sleep(0.05)

    def _all_gone(self, patience: float) -> bool:
        """Wait up to `patience` seconds for the last process to end."""
        deadline = time.monotonic() + patience
        while self._processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _clear_remains(self) -> None:
        # A second postmaster beside a dead one's backends would destroy data; postgres itself would notice them only
        # through postmaster.pid, which must go because its id may belong to a zombie or a foreign process by now.
        if not self._all_gone(_ORPHAN_SECONDS):
            for process in self._processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if not self._all_gone(_ORPHAN_SECONDS):
                left = ", ".join(str(process.pid) for process in self._processes())
                raise InfraError(f"A dead PostgreSQL server's processes still work in {self.data}: {left}. End them.")
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)

    def _initialize(self, durable: bool) -> None:
        # initdb writes PG_VERSION early: a kill in its middle must not look like a database.
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        if self.account is not None:
            os.chown(fresh, self.account.pw_uid, self.account.pw_gid)
        command = [
            self._program("initdb"), "-D", str(fresh), "-U", ADMIN, "--auth=trust", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
            *(() if durable else ("--no-sync",)),
        ]  # fmt: skip
        with tempfile.TemporaryFile("w+") as output:
            if self._call(command, output) != 0:
                output.seek(0)
                raise ConfigurationError(
                    f"The embedded PostgreSQL cannot create its data directory {fresh}: {output.read()[-800:]}\n"
                    "Choose another folder, or set BEYOND_IID_DATABASE_URL to a PostgreSQL server of your own."
                )
        if self.data.exists():  # an empty or foreign folder: rename refuses what is not empty
            self.data.rmdir()
        fresh.rename(self.data)

    def _prepare_socket_folder(self) -> None:
        folder = self.socket_folder
        if folder == self.data:
            return
        owner = self._owner
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, owner, -1)
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != owner or facts.st_mode & 0o077:
            raise ConfigurationError(f"{folder} is not a private folder of the server's account. Remove it.")

    def _launch(self, durable: bool) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": f'"{self.socket_folder}"', "port": str(PORT)}
        if not durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        # The shell ends at once, so that the server is nobody's child: no zombie, no signal of a terminal reaches it.
        # pg_ctl would do the same, but breaks on folders with a quotation mark in their name.
        with self._log.open("a") as log:
            self._call(
                ["/bin/sh", "-c", '"$@" &', "sh", self._program("postgres"), "-D", str(self.data), *options], log
            )

    def _call(self, command: list[str], output: IO[str]) -> int:
        account: dict[str, Any] = {}
        if self.account is not None:
            account = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        # PGPORT, PGDATA and the like must not reach the server. A file, for it would keep a pipe open for ever.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                start_new_session=True,
                check=False,
                **account,
            ).returncode
        except OSError as error:
            raise ConfigurationError(f"{command[0]} cannot be started as {self._owner}: {error}.") from error

    def _program(self, name: str) -> str:
        return str(self.binaries / name)

    @property
    def _owner(self) -> int:
        """User id of the server."""
        return os.geteuid() if self.account is None else self.account.pw_uid

    @property
    def _log(self) -> Path:
        return self.data.with_name(self.data.name + ".log")

    def _log_tail(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").splitlines()[-8:]
        except OSError:
            return f" Its log {self._log} cannot be read."
        return "\n".join([f" The end of {self._log}:", *lines])
