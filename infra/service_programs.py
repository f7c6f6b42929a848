"""The four services as the supervisor sees them: how each is started, on which address, and whether it answers."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Protocol

import psutil

from infra.environment import RAY_DEFAULTS, RAY_ON_LOOPBACK, with_project
from infra.postgres import EmbeddedPostgres, redacted, running_url, start_embedded
from infra.postgres_process import Cluster
from infra.prefect_calls import healthy, worker_is_online
from infra.prefect_server import running_server, server_command, server_environment, write_server
from infra.security import without_credentials
from infra.service_ports import Ports
from infra.service_processes import spawn
from infra.services_record import POSTGRES, PREFECT, RAY, WORKER, ServicesFolder

POOL = "beyond-iid"
"""Work pool of the local Prefect worker."""

_RAY_CHOICES = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "BEYOND_IID_RAY_ADDRESS")


class Service(Protocol):
    """Something the supervisor keeps running.

    Attributes:
        name: as shown.
        address: where it is found; "" before its first start.
        note: what else a person needs to know.
        own_session: whether it was started here, in a session of its own.
        outlived: whether what it has started goes on when it dies.
    """

    name: str
    address: str
    note: str
    own_session: bool
    outlived: bool

    def start(self) -> int | None:
        """Start it and return its process id; None = not yet."""

    def answers(self, pid: int) -> bool:
        """Whether it does what it is for."""

    def release(self) -> None:
        """Let go of what was held for it, once its process has ended."""


class Postgres:
    """The home's embedded server; other users of the home share it and may have started it."""

    name = POSTGRES
    note = ""
    own_session = False
    outlived = True

    def __init__(self, home: Path) -> None:
        """Start nothing yet."""
        self.address = ""
        self._home = home
        self._held: EmbeddedPostgres | None = None

    def start(self) -> int | None:
        """Start it, or share the running one; waits for its recovery after a crash."""
        fresh = start_embedded(self._home)
        self.release()  # only now: were nobody to hold it, the server would be stopped
        self._held = fresh
        self.address = redacted(fresh.url)
        return Cluster(self._home / "postgres").postmaster_pid()

    def answers(self, pid: int) -> bool:
        """Whether it accepts connections."""
        return running_url(self._home) is not None

    def release(self) -> None:
        """Let go of it; its last user stops it."""
        if self._held is not None:
            self._held.close()
            self._held = None


class PrefectServer:
    """The home's Prefect server: a running experiment's, as long as that one lives, else one on a lasting port."""

    name = PREFECT
    own_session = True
    outlived = False

    def __init__(self, folder: ServicesFolder, ports: Ports) -> None:
        """Start nothing yet."""
        self.address = ""
        self.api = ""
        self.note = ""
        self._folder = folder
        self._ports = ports
        self._starting: IO[str] | None = None
        self._using: IO[str] | None = None

    def start(self) -> int | None:
        """Start it; None while another process is starting one."""
        place = self._folder.home / "prefect"
        place.mkdir(exist_ok=True)
        if self._using is None:
            self._using = (place / "users.lock").open("a")
            fcntl.flock(self._using, fcntl.LOCK_SH)
        if self._starting is None:
            self._starting = (place / "start.lock").open("a")
        try:
            fcntl.flock(self._starting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        running = running_server(place)
        self.own_session = running is None
        self.note = "of a running experiment" if running else ""
        if running:
            self.api, pid = running
        else:
            port = self._ports.take("prefect")
            self.api = f"http://127.0.0.1:{port}/api"
            pid = spawn(server_command(port), server_environment(place, port), self._folder.log(PREFECT))
            write_server(place, self.api, pid)
        self.address = self.api.removesuffix("/api")
        return pid

    def answers(self, pid: int) -> bool:
        """Whether it is healthy and the port is its own: another home's server may have been quicker."""
        if not healthy(self.api) or (self.own_session and not _listens(pid, self.api)):
            return False
        self._let_others_start()
        return True

    def release(self) -> None:
        """Let another process start one."""
        self._let_others_start()

    def _let_others_start(self) -> None:
        if self._starting is not None:
            self._starting.close()
            self._starting = None


def _listens(pid: int, api: str) -> bool:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    port = int(api.removesuffix("/api").rpartition(":")[2])
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


class RayHead:
    """A Ray cluster of this machine alone, with token authentication."""

    name = RAY
    own_session = True
    outlived = False

    def __init__(self, folder: ServicesFolder, ports: Ports) -> None:
        """Start nothing yet."""
        self.address = ""
        self.note = ""
        self.cluster = ""
        self._folder = folder
        self._ports = ports

    def start(self) -> int | None:
        """Start the head and its dashboard."""
        self._folder.create_ray_folder()
        self._folder.ensure_token()
        port, dashboard = self._ports.take("ray"), self._ports.take("dashboard")
        self.cluster = f"127.0.0.1:{port}"
        self.address = f"http://127.0.0.1:{dashboard}"
        self.note = f"cluster {self.cluster}; the dashboard asks for the token in {self._folder.token}"
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += ["--node-ip-address", "127.0.0.1", "--port", str(port), "--temp-dir", str(self._folder.ray)]
        command += ["--include-dashboard", "true", "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard)]
        command += ["--dashboard-agent-listen-port", "0", "--disable-usage-stats"]  # 0: any free port
        # Nobody here uses Ray Client, but it cannot be left out, and its usual port may be another cluster's.
        command += ["--ray-client-server-port", str(self._ports.take("ray-client"))]
        return spawn(command, self._environment(), self._folder.log(RAY))

    def answers(self, pid: int) -> bool:
        """Whether the dashboard, asked with our token, knows a living node."""
        headers = {"Authorization": f"Bearer {self._folder.token.read_text()}"}
        request = urllib.request.Request(f"{self.address}/nodes?view=summary", headers=headers)  # noqa: S310 - ours
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=2) as reply:
                nodes = json.load(reply)["data"]["summary"]
        except (OSError, ValueError, KeyError):
            return False
        return any(node.get("raylet", {}).get("state") == "ALIVE" for node in nodes)

    def release(self) -> None:
        """Nothing is held."""

    def driver_environment(self) -> dict[str, str]:
        """What a driver needs to connect."""
        return {"BEYOND_IID_RAY_ADDRESS": self.cluster, **ray_variables(self._folder)}

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _RAY_CHOICES}
        return {
            **with_project(without_credentials(inherited)),
            **ray_variables(self._folder),
            # Otherwise the head waits 30 s for idle nodes when it is told to end.
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            **RAY_DEFAULTS,
            # A process that renames itself must not overwrite its environment: the mark in it is how it is found.
            "SPT_NOENV": "1",
        }


def ray_variables(folder: ServicesFolder) -> dict[str, str]:
    """What the head and its drivers must agree on."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder.token),
        **RAY_ON_LOOPBACK,
    }


class PrefectWorker:
    """Starts the flow runs of the work pool as processes of this machine."""

    name = WORKER
    own_session = True
    outlived = True

    def __init__(self, folder: ServicesFolder, environment: Callable[[], Mapping[str, str] | None]) -> None:
        """Start nothing yet.

        Args:
            folder: the records.
            environment: what flow runs need to find the other services; None while those are not there yet.
        """
        self.address = f"work pool {POOL}"
        self.note = ""
        self.started_with: Mapping[str, str] | None = None
        self._folder = folder
        self._environment = environment
        self._worker_name = socket.gethostname()

    def start(self) -> int | None:
        """Start it; None while the other services are not there."""
        self.started_with = self._environment()
        if self.started_with is None:
            return None
        environment = {
            **with_project(os.environ),
            "PREFECT_HOME": str(self._folder.home / "prefect"),
            **self.started_with,
        }
        command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        command += ["--name", self._worker_name, "--install-policy", "never"]
        return spawn(command, environment, self._folder.log(WORKER))

    def answers(self, pid: int) -> bool:
        """Whether the Prefect server has heard of it lately."""
        api = (self.started_with or {}).get("PREFECT_API_URL", "")
        return worker_is_online(api, POOL, self._worker_name)

    def release(self) -> None:
        """Nothing is held."""
