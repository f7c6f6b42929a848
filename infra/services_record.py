"""What is written down about one home's services: who supervises them, what runs where, on which ports."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from infra.errors import ConfigurationError, InfraError
from infra.service_processes import is_alive

POSTGRES, PREFECT, RAY, WORKER = "postgres", "prefect", "ray", "worker"

_RAY_FOLDER_LIMIT = 40
"""Ray adds up to 65 bytes for its sockets' names, and systems accept at least 104 in all."""


class ServiceState(BaseModel):
    """One service as it is now.

    Attributes:
        name: postgres, prefect, ray or worker.
        state: waiting, starting, healthy, not answering, restarting, given up, external, or external: not answering.
        address: where people and programs find it; no secrets.
        note: what else a person needs to know.
        pid: its process; None where it does not run or is not ours.
        created: that process's start, seconds since 1970: with the pid it names one process for ever.
        since: when it was started last.
        restarts: how often it was started again since `up`.
        last_exit: how it ended last: exit code or signal.
        last_exit_at: when.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: str
    address: str = ""
    note: str = ""
    pid: int | None = None
    created: float | None = None
    since: datetime | None = None
    restarts: int = 0
    last_exit: str | None = None
    last_exit_at: datetime | None = None


class Record(BaseModel):
    """What the supervisor knows, written whenever it changes.

    Attributes:
        supervisor: process id of whoever wrote it.
        services: in the order in which they are shown.
        environment: what a driver needs to use the services; no secrets.
        sessions: process sessions the services were started in, those of ended ones included.
        postgres_ours: whether the supervisor holds the home's embedded Postgres.
        stopped: flow runs that the last stop ended.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    supervisor: int | None = None
    services: tuple[ServiceState, ...] = ()
    environment: dict[str, str] = {}
    sessions: tuple[int, ...] = ()
    postgres_ours: bool = False
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServicesFolder:
    """The part of a home folder that belongs to its services.

    Attributes:
        home: the state folder, absolute.
    """

    home: Path

    @property
    def path(self) -> Path:
        """Records, logs and the Ray token."""
        return self.home / "services"

    @property
    def events(self) -> Path:
        """Log of starts, crashes and stops."""
        return self.path / "services.log"

    @property
    def token(self) -> Path:
        """Ray's token, readable by its owner only."""
        return self.path / "ray_token"

    @property
    def ray(self) -> Path:
        """Ray's temporary folder: in the home if its path is short enough for sockets, else under /tmp.

        Ray opens it to everybody, so it lies in a private one.
        """
        inside = self.path / "ray"
        return inside if len(os.fsencode(inside)) <= _RAY_FOLDER_LIMIT else self._short / "ray"

    @property
    def _short(self) -> Path:
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path("/tmp") / f"beyond-iid-{name}"  # noqa: S108 - ownership and mode are checked before use

    def log(self, name: str) -> Path:
        """Log of a service."""
        return self.path / f"{name}.log"

    def create(self) -> None:
        """Make the folder, private.

        Raises:
            ConfigurationError: it cannot be created.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                f"The folder {self.path} for the services' records cannot be written: {error.strerror}. "
                "Set BEYOND_IID_HOME to a folder that can."
            ) from error

    def create_ray_folder(self) -> None:
        """Make the private folder that Ray's temporary folder lies in.

        Raises:
            ConfigurationError: something else lies there.
        """
        parent = self.ray.parent
        parent.mkdir(mode=0o700, exist_ok=True)
        facts = parent.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise ConfigurationError(f"{parent} is not a private folder of this account. Remove it.")

    def remove_ray_folder(self) -> None:
        """Remove Ray's temporary files."""
        shutil.rmtree(self.ray, ignore_errors=True)
        if self.ray.parent == self._short:
            with contextlib.suppress(OSError):
                self._short.rmdir()

    def ensure_token(self) -> None:
        """Make Ray's token unless there is one."""
        if not self.token.exists():
            handle = os.open(self.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))

    def read(self) -> Record:
        """The last record; an empty one where there is none.

        Raises:
            InfraError: the file is damaged.
        """
        path = self.path / "services.json"
        try:
            return Record.model_validate_json(path.read_text())
        except FileNotFoundError:
            return Record()
        except (OSError, ValidationError) as error:
            raise InfraError(f"{path} cannot be read. End the services listed there by hand and remove it.") from error

    def write(self, record: Record) -> None:
        """Replace the record at once."""
        fresh = self.path / "services.json.new"
        fresh.write_text(record.model_dump_json(indent=2))
        fresh.replace(self.path / "services.json")

    def current(self) -> Record | None:
        """The living supervisor's own record; None where there is no supervisor, or it has not written one yet."""
        supervisor, record = self.supervisor(), self.read()
        return record if supervisor is not None and record.supervisor == supervisor.pid else None

    def supervisor(self) -> psutil.Process | None:
        """The living supervisor; None where nobody holds the lock."""
        try:
            with (self.path / "lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return self._holder(lock.read())
        except OSError:
            pass
        return None

    @staticmethod
    def _holder(text: str) -> psutil.Process | None:
        try:
            pid, created = text.split()
            return psutil.Process(int(pid)) if is_alive(int(pid), float(created)) else None
        except (ValueError, psutil.NoSuchProcess):
            return None

    @contextmanager
    def held(self, patience: float, *, supervisor: bool = False) -> Iterator[bool]:
        """Hold the lock under which services are started and ended; False if another process keeps it.

        Args:
            patience: seconds to wait for it.
            supervisor: leave this process's id in it, so that `supervisor` finds it.
        """
        with (self.path / "lock").open("a+") as lock:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        yield False
                        return
                    time.sleep(0.05)
            lock.truncate(0)
            if supervisor:
                lock.write(f"{os.getpid()} {psutil.Process().create_time()}")
                lock.flush()
            yield True
