"""A state folder with most runs done already, the command line in it, and eyes on everything that runs for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from infra.postgres import running_url
from tests.bench.prefect_records import ask
from tests.flows.command import NAME, Command, small_experiment

MEASURED_SEEDS = (1, 2)
"""Done in the template."""
EPOCHS = 20
"""Makes a run take seconds, long enough to be hit."""
VALIDATION = {"seeds": [11, 12], "arms": ["uniform"], "refused": "try"}
_GRACE_SECONDS = 20.0


def experiment_file(folder: Path, seeds: tuple[int, ...], validation: Any, resources: dict[str, Any]) -> Path:
    """The small experiment of the tests with runs of a few seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {
        "model": {"kind": "tiny", "layers": 1, "width": 32, "heads": 2},
        "engine": "torch",
        "epochs": EPOCHS,
        "batch_size": 4,
        "max_length": 64,
    }
    design = {"arm": "size-reduced", "seeds": list(seeds)}
    analysis = {"max_shift": 0.1, "schedule": "tilted"}
    return small_experiment(
        folder, design=design, recipe=recipe, analysis=analysis, validation=validation, resources=resources
    )


def template(folder: Path) -> Path:
    """A state folder in which the first seeds are measured; made once, then reused."""
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    laboratory = Laboratory(folder)
    ended = laboratory.start(experiment_file(folder / "experiment", MEASURED_SEEDS, None, {})).wait(600)
    if ended:
        sys.exit(f"the template's experiment ended with {ended}\n{laboratory.output()[1]}")
    laboratory.leftovers(set())
    (folder / "complete").touch()
    return folder


@contextmanager
def copy_of(folder: Path) -> Iterator[Path]:
    """A copy of a state folder under /tmp, removed at the end with all that runs in it."""
    home = Path(tempfile.mkdtemp(prefix="beyond-iid-chaos-"))
    try:
        # With owners: the embedded server's data belong to an account of its own where we are root.
        subprocess.run(["cp", "-a", f"{folder}/.", str(home)], check=True)
        yield home
    finally:
        for process in _alive(family(home)):
            process.kill()
        shutil.rmtree(home, ignore_errors=True)


class Laboratory:
    """The command line in one state folder; its output goes to files, so that nothing waits for a reader."""

    def __init__(
        self, home: Path, environment: dict[str, str] | None = None, first: int = 0, services: bool = False
    ) -> None:
        self.home = home
        self.environment = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **(environment or {})}
        self.command = Command(home)
        self.services = services
        self._count = first

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start `beyond-iid run` on an experiment file, or another command."""
        words = [str(one) for one in arguments]
        if len(words) == 1 and words[0].endswith(".yaml"):
            words = ["run", *words]
        self._count += 1
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            return subprocess.Popen(
                [str(Path(sys.executable).parent / "beyond-iid"), *words],
                env={**os.environ, **self.environment, "BEYOND_IID_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def call(self, *arguments: str) -> None:
        """Run a command that has to succeed."""
        if self.start(*arguments).wait(180):
            raise RuntimeError(f"{' '.join(arguments)} failed: {self.output()[1]}")

    def output(self) -> tuple[str, str]:
        """Standard output and error of the process started last."""
        return self._file("out").read_text(errors="replace"), self._file("err").read_text(errors="replace")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask Postgres; [] while it does not answer."""
        return self.command.query(sql)

    @contextmanager
    def results_locked(self) -> Iterator[Callable[[], bool]]:
        """Keep anybody from writing an analysis; yields whether somebody waits to. Holds `optimize` at its end."""
        deadline = time.monotonic() + 120
        while not self.query("SELECT 1 FROM analysis LIMIT 0") and running_url(self.home) is None:
            if time.monotonic() > deadline:
                raise RuntimeError("Postgres did not come up")
            time.sleep(0.1)
        url = str(running_url(self.home)).replace("+psycopg", "")
        connection = psycopg.connect(url)
        try:
            connection.execute("LOCK TABLE analysis IN SHARE ROW EXCLUSIVE MODE")
            yield lambda: bool(self.query("SELECT 1 FROM pg_locks WHERE NOT granted"))
        finally:
            with closing(connection):
                pass

    def flow_states(self) -> list[str]:
        """State of each flow run of the experiment on the Prefect server, oldest first."""
        return [
            str(state)
            for (state,) in ask(self.home, f"SELECT state_name FROM flow_run WHERE name = '{NAME}' ORDER BY created")
        ]

    def unfinished_on_server(self) -> int:
        """Flow and task runs that the server takes for running."""
        return sum(
            int(ask(self.home, f"SELECT count(*) FROM {table} WHERE state_type IN ('RUNNING', 'CANCELLING')")[0][0])
            for table in ("flow_run", "task_run")
        )

    def leftovers(self, known: set[psutil.Process]) -> list[str]:
        """What still runs for this folder some time after its command ended, by what it is.

        While services are up, which stay, only workers at a run.
        """
        busy = self.services and bool(members(self.home, "infra.services"))
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            left = members(self.home, "ray::execute_run") if busy else _alive(family(self.home) | known)
            if not left:
                return []
            time.sleep(0.5)
        return sorted({_kind(process) for process in left})

    def _file(self, kind: str) -> Path:
        return self.home / f"command-{self._count}.{kind}"


def family(home: Path) -> set[psutil.Process]:
    """Processes that run for a state folder: by their environment or command line, with all below them."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            mine = str(home) in " ".join(process.cmdline()) or process.environ().get("BEYOND_IID_HOME") == str(home)
            if mine and process.pid != os.getpid():
                found |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    return found


def members(home: Path, *words: str) -> list[psutil.Process]:
    """Those of the folder's processes whose command line holds one of the words, oldest first."""
    found = [process for process in _alive(family(home)) if any(word in _line(process) for word in words)]
    return sorted(found, key=lambda process: process.create_time())


def _alive(processes: set[psutil.Process]) -> list[psutil.Process]:
    alive = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
        except psutil.Error:
            continue
    return alive


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _kind(process: psutil.Process) -> str:
    line = _line(process)
    known = {
        "postgres": "Postgres", "prefect server": "Prefect server", "infra.prefect_server": "Prefect supervisor",
        "raylet/raylet": "raylet", "gcs_server": "gcs_server", "ray::": "Ray worker", "default_worker": "Ray worker",
        "ray/": "Ray helper", "beyond-iid": "beyond-iid",
    }  # fmt: skip
    return next((name for word, name in known.items() if word in line), line[:60] or f"process {process.pid}")
