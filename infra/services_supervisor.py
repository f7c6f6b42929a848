"""The process that keeps one home's services running: starts them, notices what crashes, starts it again, stops all.

It has one thread and asks the system instead of being told: a tick every quarter of a second reaps what has ended,
starts what is due and asks what should answer.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.errors import InfraError
from infra.service_ports import Ports
from infra.service_processes import Children, adopt_orphans, is_alive
from infra.service_programs import Postgres, PrefectServer, PrefectWorker, RayHead, Service
from infra.services_record import POSTGRES, PREFECT, RAY, Record, ServicesFolder, ServiceState
from infra.services_stop import cancel_flow_runs, clear_leftovers, settle_flow_runs
from infra.settings import load_settings

MOST_RESTARTS = 5
"""How often a service is started again within `WINDOW_SECONDS` before it is given up."""
WINDOW_SECONDS = 600.0

_LOCK_SECONDS = 20.0
_TICK_SECONDS = 0.25
_PROBE_SECONDS = {True: 3.0, False: 0.5}
"""Between two questions to a service that answered, or did not."""
_PATIENCE_SECONDS = 15.0


@dataclass
class _Watched:
    """A service and what has become of it."""

    service: Service
    state: str = "waiting"
    pid: int | None = None
    created: float | None = None
    since: datetime.datetime | None = None
    restarts: int = 0
    last_exit: str | None = None
    last_exit_at: datetime.datetime | None = None
    exits: deque[float] = field(default_factory=deque)
    due: float = 0.0
    ask: float = 0.0

    def shown(self) -> ServiceState:
        return ServiceState(
            name=self.service.name,
            state=self.state,
            address=self.service.address,
            note=self.service.note,
            pid=self.pid,
            created=self.created,
            since=self.since,
            restarts=self.restarts,
            last_exit=self.last_exit,
            last_exit_at=self.last_exit_at,
        )


class Supervisor:
    """Holds the services of one home."""

    def __init__(self, folder: ServicesFolder, fixed: dict[str, int]) -> None:
        """Decide what is started here and what is configured to run elsewhere.

        Args:
            folder: the records.
            fixed: ports that the user chose.
        """
        self._folder = folder
        self._children = Children()
        self._sessions: list[int] = []
        self._written: Record | None = None
        self._end = False
        settings = load_settings()
        ports = Ports(folder.path / "ports.json", fixed)
        self._external: dict[str, str] = {}
        self._prefect: PrefectServer | None = None
        self._ray: RayHead | None = None
        self._watched: list[_Watched] = []
        if api := os.environ.get("PREFECT_API_URL"):
            self._external[PREFECT] = api
        else:
            self._prefect = PrefectServer(folder, ports)
            self._watched.append(_Watched(self._prefect))
        if settings.ray_address:
            self._external[RAY] = settings.ray_address
        else:
            self._ray = RayHead(folder, ports)
            self._watched.append(_Watched(self._ray))
        if settings.database_url:
            self._external[POSTGRES] = ""  # its address may hold a password
        else:
            self._watched.append(_Watched(Postgres(folder.home)))
        self._worker = PrefectWorker(folder, self._for_flow_runs)
        self._watched.append(_Watched(self._worker))

    def run(self) -> None:
        """Keep the services running until SIGTERM; SIGHUP gives those that were given up another chance."""
        signal.signal(signal.SIGTERM, self._asked_to_end)
        signal.signal(signal.SIGINT, self._asked_to_end)
        signal.signal(signal.SIGHUP, self._asked_to_retry)
        adopt_orphans()
        self._say("supervisor started")
        while not self._end:
            self._children.reap()
            for one in self._watched:
                self._look_after(one)
            self._write()
            time.sleep(_TICK_SECONDS)
        self._stop()

    def _look_after(self, one: _Watched) -> None:
        now = time.monotonic()
        if one.pid is not None and not is_alive(one.pid, one.created):
            self._ended(one, self._children.ending(one.pid))
        if one.pid is None and one.state != "given up" and now >= one.due:
            self._start(one)
        elif one.pid is not None and now >= one.ask:
            answers = one.service.answers(one.pid)
            if answers and one.state != "healthy":
                self._say(f"{one.service.name} answers at {one.service.address}")
            if answers:
                one.state = "healthy"
            elif one.state == "healthy":
                one.state = "not answering"
                self._say(f"{one.service.name} does not answer")
            one.ask = time.monotonic() + _PROBE_SECONDS[answers]
            self._follow_addresses(one)

    def _start(self, one: _Watched) -> None:
        try:
            pid = one.service.start()
        except (InfraError, OSError) as error:
            self._ended(one, f"not started: {error}")
            return
        if pid is None:
            return
        if one.service.own_session:
            self._sessions.append(pid)
        one.pid, one.since = pid, _now()
        try:
            one.created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            one.created = None
        one.state = "starting"
        one.restarts += one.last_exit is not None
        one.ask = 0.0
        self._say(f"{one.service.name} started, process {pid}")

    def _ended(self, one: _Watched, how: str) -> None:
        """Note the end of a service, end what is left of it, and decide when it is started again."""
        name, pid = one.service.name, one.pid
        one.pid = one.created = None
        one.last_exit, one.last_exit_at = how, _now()
        if pid is not None and one.service.own_session and not one.service.outlived:
            self._children.end([pid], 0.0)
        if not isinstance(one.service, Postgres):  # its lock stays held, or another user's leaving would stop it
            one.service.release()
        now = time.monotonic()
        one.exits.append(now)
        while one.exits[0] < now - WINDOW_SECONDS:
            one.exits.popleft()
        self._say(f"{name} (process {pid}) ended: {how}" if pid else f"{name} {how}")
        if len(one.exits) > MOST_RESTARTS:
            one.state = "given up"
            self._say(
                f"{name} is given up: it ended {len(one.exits)} times within {WINDOW_SECONDS / 60:.0f} minutes. "
                f"Its log: {self._folder.log(name)}. `beyond-iid up` tries again."
            )
            return
        one.state = "restarting"
        one.due = now + (0.0 if len(one.exits) == 1 else 2.0 ** (len(one.exits) - 2))

    def _follow_addresses(self, one: _Watched) -> None:
        """Have the worker started again where the others' addresses have changed: somebody took their ports."""
        if one.service is self._worker and one.pid is not None:
            wanted = self._for_flow_runs()
            if wanted is not None and wanted != self._worker.started_with:
                self._say("the services' addresses have changed: the worker is started again")
                os.kill(one.pid, signal.SIGKILL)
                one.ask = time.monotonic() + _PATIENCE_SECONDS

    def _for_flow_runs(self) -> dict[str, str] | None:
        """The environment of flow runs; None until all other services have been there or are given up."""
        if any(one.state in ("waiting", "starting") for one in self._watched if one.service is not self._worker):
            return None
        return self._environment()

    def _environment(self) -> dict[str, str]:
        found = {"BEYOND_IID_HOME": str(self._folder.home)}
        api = self._prefect.api if self._prefect else self._external[PREFECT]
        if api:
            found["PREFECT_API_URL"] = api
        if self._ray is None:
            found["BEYOND_IID_RAY_ADDRESS"] = self._external[RAY]
        elif self._ray.cluster:
            found |= self._ray.driver_environment()
        return found

    def _stop(self) -> None:
        self._say("stopping")
        # A server that an experiment has started for itself is not ours to empty.
        api = self._prefect.api if self._prefect and self._prefect.own_session else ""
        stopped = cancel_flow_runs(api) if api else ()
        first = [one.pid for one in self._watched if one.service is self._worker and one.pid]
        ended = self._children.end(first, _PATIENCE_SECONDS)
        if api:
            settle_flow_runs(api)
        ended += self._children.end(set(self._sessions) - set(first), _PATIENCE_SECONDS)
        for one in self._watched:
            one.service.release()
        if self._prefect and self._prefect.own_session:
            (self._folder.home / "prefect" / "server.json").unlink(missing_ok=True)
        self._folder.remove_ray_folder()
        self._folder.write(Record(stopped=stopped))
        self._say(f"stopped; {ended} processes, flow runs: {', '.join(stopped) or 'none'}")

    def _write(self) -> None:
        watched = [one.shown() for one in self._watched]
        external = [ServiceState(name=name, state="external", address=where) for name, where in self._external.items()]
        order = (POSTGRES, PREFECT, RAY, self._worker.name)
        record = Record(
            supervisor=os.getpid(),
            services=tuple(sorted((*watched, *external), key=lambda one: order.index(one.name))),
            environment=self._environment(),
            sessions=tuple(self._sessions),
            postgres_ours=POSTGRES not in self._external,
        )
        if record != self._written:
            self._folder.write(record)
            self._written = record

    def _say(self, text: str) -> None:
        with self._folder.events.open("a") as log:
            log.write(f"{_now().isoformat(timespec='seconds')} {text}\n")

    def _asked_to_end(self, *_: object) -> None:
        self._end = True

    def _asked_to_retry(self, *_: object) -> None:
        for one in self._watched:
            if one.state == "given up":
                one.exits.clear()
                one.state, one.due = "waiting", 0.0


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def supervise(home: Path, fixed: dict[str, int]) -> None:
    """Be the supervisor of this home; returns at once where there is one."""
    folder = ServicesFolder(home)
    folder.create()
    with folder.held(_LOCK_SECONDS, supervisor=True) as alone:
        if alone:
            clear_leftovers(folder)
            Supervisor(folder, fixed).run()


if __name__ == "__main__":
    try:
        supervise(Path(sys.argv[1]), json.loads(sys.argv[2]))
    except InfraError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
