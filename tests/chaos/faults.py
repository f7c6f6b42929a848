"""What goes wrong, and when: each fault strikes a running experiment, through the system or the Prefect API."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from tests.chaos.laboratory import Laboratory, members
from tests.flows.command import NAME

BUSY = "ray::execute_run"
_RUNNING = (
    "SELECT 1 FROM run r JOIN planned_run p ON p.run_id = r.id JOIN intervention i ON i.id = p.intervention_id "
    "WHERE i.phase = '{phase}' AND r.state = 'running' LIMIT 1"
)


@dataclass
class Scene:
    """A started experiment.

    Attributes:
        laboratory: its state folder.
        driver: its command.
        undo: called after the first command has ended, before the second start.
    """

    laboratory: Laboratory
    driver: subprocess.Popen[bytes]
    undo: list[Callable[[], None]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The state folder."""
        return self.laboratory.home

    def until(self, condition: Callable[[], bool], seconds: float = 240) -> None:
        """Wait for a condition.

        Raises:
            RuntimeError: the command ended before, or it took too long.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self.driver.poll() is not None:
                raise RuntimeError(f"the command ended before the fault could strike:\n{self.laboratory.output()[1]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the moment did not come within {seconds:g} s")
            time.sleep(0.05)


Fault = Callable[[Scene], None]


@contextmanager
def moment(scene: Scene, phase: str) -> Iterator[None]:
    """Come back in the middle of the phase; a worker is busy in measure and validate, optimize waits for a lock."""
    if phase == "optimize":
        with scene.laboratory.results_locked() as waited_for:
            scene.until(waited_for)
            yield
        return
    query = _RUNNING.format(phase=phase)
    scene.until(lambda: bool(scene.laboratory.query(query)) and bool(members(scene.home, BUSY)))
    time.sleep(0.5)  # into the training
    yield


def kill_driver(scene: Scene) -> None:
    """The process of the command."""
    scene.driver.kill()


def kill_worker(scene: Scene) -> None:
    """A worker that trains; in optimize, where none does, an idle one."""
    _kill(members(scene.home, BUSY) or members(scene.home, "ray::IDLE", "default_worker.py"))


def kill_node(scene: Scene) -> None:
    """The raylet: the node's own process, on which its workers hang."""
    _kill(members(scene.home, "raylet/raylet --"))


def kill_head(scene: Scene) -> None:
    """The cluster's memory (GCS)."""
    _kill(members(scene.home, "gcs/gcs_server --"))


def kill_postgres(scene: Scene) -> None:
    """The postmaster; its children end by themselves."""
    postmaster = int((scene.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)


def kill_prefect(scene: Scene) -> None:
    """The server, not the supervisor that started it."""
    _kill(members(scene.home, "prefect server start"))


def stop_worker(scene: Scene) -> None:
    """SIGSTOP: it neither ends nor answers."""
    members(scene.home, BUSY)[0].send_signal(signal.SIGSTOP)


def starve_workers(scene: Scene) -> None:
    """Busy workers get no further memory (RLIMIT_AS below what they hold)."""
    for process in members(scene.home, BUSY):
        resource.prlimit(process.pid, resource.RLIMIT_AS, (2**20, 2**20))


def fill_memory(scene: Scene) -> None:
    """Take memory until the node is above Ray's threshold, and give it back once a run has paid for it."""
    threshold = float(scene.laboratory.environment["RAY_memory_usage_threshold"])
    ballast = []
    before = {process.pid for process in members(scene.home, BUSY)}
    deadline = time.monotonic() + 60
    while before <= {process.pid for process in members(scene.home, BUSY)} and time.monotonic() < deadline:
        if psutil.virtual_memory().percent / 100 < threshold + 0.03:
            ballast.append(b"\x01" * 200_000_000)
        time.sleep(0.05)


def fill_disk(scene: Scene) -> None:
    """Nothing more fits on the artifact store."""
    ballast = Path(scene.laboratory.environment["BEYOND_IID_ARTIFACTS"]) / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    scene.undo.append(ballast.unlink)


def cancel(scene: Scene) -> None:
    """What the Cancel button of the Prefect UI sends."""
    url = json.loads((scene.home / "prefect" / "server.json").read_text())["url"]
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs() if run.name == NAME and run.state and run.state.is_running()]
        client.set_flow_run_state(runs[0].id, Cancelling(), force=True)


def _kill(found: list[psutil.Process]) -> None:
    if not found:
        raise RuntimeError("there is no such process to kill")
    found[0].send_signal(signal.SIGKILL)
