"""The real command line with a state folder of its own, and a small experiment for it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import yaml

from db.overview import experiment_overview
from db.session import open_database
from infra.postgres import embedded_postgres, running_url

NAME = "small_v1.0"
CATEGORIES = ("letters", "digits", "[/names]")
UNUSED = "unused"
"""In the pool, but with share 0 in the baseline."""
SEEDS = (1, 2)
LONG_DESIGN = {"arm": "size-reduced", "seeds": [1, 2, 3, 4]}
"""Twice as many runs, where a stop has to come in their middle."""
LONG_RUNS = 4 * 4
METRICS = 2
BASELINE = "baseline"


def write_pool(path: Path, per_category: int = 60) -> None:
    """Copying tasks over different alphabets."""
    alphabets = dict(zip((*CATEGORIES, UNUSED), ("abcdefgh", "01234567", "ABCDEFGH", "ijklmnop"), strict=True))
    generator = random.Random(7)
    with path.open("w") as lines:
        for category, alphabet in alphabets.items():
            words = sorted({"".join(generator.choices(alphabet, k=5)) for _ in range(per_category * 2)})[:per_category]
            for word in words:
                lines.write(json.dumps({"instruction": f"copy {word}", "output": word, "category": category}) + "\n")


def small_experiment(folder: Path, **changes: Any) -> Path:
    """An experiment file whose runs take about a second each."""
    write_pool(folder / "pool.jsonl")
    content: dict[str, Any] = {
        "name": NAME,
        "pool": {"kind": "files", "paths": ["pool.jsonl"]},
        "held_out": {"measure_per_category": 8, "validate_per_category": 8},
        "baseline": {"total": 60, "shares": {**dict(zip(CATEGORIES, (0.4, 0.3, 0.3), strict=True)), UNUSED: 0}},
        "design": {"arm": "size-reduced", "seeds": list(SEEDS)},
        "recipe": {
            "model": {"kind": "tiny", "layers": 1, "width": 32, "heads": 2},
            "engine": "torch",
            "epochs": 3,
            "batch_size": 4,
            "max_length": 64,
        },
        "analysis": {"max_shift": 0.1},
        "validation": {"seeds": [11, 12], "random_steps": 1},
        # A second worker would import torch and all for longer than these runs take.
        "resources": {"max_parallel": 1},
        **changes,
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass
class Command:
    """The installed command line with a state folder of its own."""

    home: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "beyond-iid"), *arguments],
            env={**os.environ, "BEYOND_IID_HOME": str(self.home), "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the embedded database while it runs; [] while it does not."""
        url = running_url(self.home)
        if url is None:
            return []
        try:
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                return connection.execute(sql).fetchall()
        except psycopg.Error:
            return []

    def shown(self) -> dict[str, Any]:
        """`show --json`."""
        shown = self.run("show", NAME, "--json")
        assert shown.returncode == 0, shown.stderr
        return dict(json.loads(shown.stdout))

    def overview(self) -> dict[str, Any]:
        """What the database holds, read by this process: starting a command takes longer than the question."""
        with (
            embedded_postgres(self.home) as server,
            closing(open_database(server.url)) as database,
            database.session() as session,
        ):
            return dict(json.loads(json.dumps(experiment_overview(session, NAME))))

    def wait_for(self, condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "the experiment did not get there in time"
            time.sleep(0.1)

    def finished(self) -> int:
        rows = self.query("SELECT count(*) FROM run WHERE state = 'finished'")
        return int(rows[0][0]) if rows else 0


def end_processes_of(home: Path) -> None:
    """Kill whatever still runs for this state folder."""
    for process in processes(lambda line: str(home) in line):
        process.kill()


def processes(wanted: Callable[[str], bool]) -> list[psutil.Process]:
    """Processes whose command line is wanted."""
    found = []
    for process in psutil.process_iter():
        try:
            if wanted(" ".join(process.cmdline())):
                found.append(process)
        except psutil.Error:
            continue
    return found


def busy_workers(driver: int) -> list[psutil.Process]:
    """Ray workers below this driver that do a run at the moment."""
    return [
        process
        for process in processes(lambda line: "ray::execute_run" in line)
        if driver in [parent.pid for parent in process.parents()]
    ]
