"""How much of the slots' time is training and scoring, where the rest goes, and how fast plain TRL processes are.

Efficiency = (sum of training and evaluation seconds) / (slots × wall seconds of the fan-out).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from infra.postgres import embedded_postgres
from tests.bench.measure_only import measured
from tests.bench.prefect_records import flow_runs, task_runs
from tests.bench.processor_time import processor_time
from tests.bench.recovery import EXPERIMENT

SLOTS = 2
PEERS = 4
"""Of the quick start's runs, repeated by plain TRL."""
MINUTE = ("name=minute", "recipe.epochs=26", "design={kind: mixtures, number: 11, seeds: [1]}")
TARGETS = {"quick start": 0.90, "runs of a minute": 0.97}


@dataclass(frozen=True)
class Timeline:
    """One run's points in time, seconds since the epoch, and its own measurements."""

    name: str
    folder: Path
    task_start: float
    specified: float
    started: float
    working: float
    recorded: float
    finished: float
    task_end: float
    training: float
    evaluation: float

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by where they went."""
        return {
            "training": self.training,
            "evaluation": self.evaluation,
            "checks, reading and writing in the worker": self.recorded - self.working - self.training - self.evaluation,
            "Prefect task start, specification and manifest written": self.specified - self.task_start,
            "row set to running": self.started - self.specified,
            "Ray: dispatch, worker start, imports": self.working - self.started,
            "Ray: result noticed, scores stored": self.finished - self.recorded,
            "Prefect task end": self.task_end - self.finished,
        }


@dataclass(frozen=True)
class FanOut:
    """A measured fan-out.

    Attributes:
        runs: its runs.
        wall: seconds of the fan-out flow.
        whole: seconds of the command, start-up of Postgres, Prefect, Ray and the base model included.
        processor: CPU seconds of everything that the command started.
    """

    runs: tuple[Timeline, ...]
    wall: float
    whole: float
    processor: float

    @property
    def useful(self) -> float:
        """Training and evaluation seconds of all runs."""
        return sum(run.training + run.evaluation for run in self.runs)


def main(minute: bool = True) -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="beyond-iid-bench-") as folder:
        home = Path(folder)
        quick = fan_out(home, "name=quick")
        rows = {"quick start": quick}
        _where_time_goes("quick start", quick)
        _beside_trl(home, quick)
        if minute:
            rows["runs of a minute"] = fan_out(home, *MINUTE)
            _where_time_goes("runs of a minute", rows["runs of a minute"])
        _efficiency(rows)


def fan_out(home: Path, *changes: str) -> FanOut:
    """Measure the quick start with some keys changed, and read back what happened."""
    before = {run.name for run in flow_runs(home)} if (home / "prefect" / "prefect.db").exists() else set()
    environment = {**os.environ, "BEYOND_IID_HOME": str(home), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with processor_time() as used:
        seconds = measured(EXPERIMENT, environment, *changes)
    (fan,) = [run for run in flow_runs(home) if run.name.startswith("measure ") and run.name not in before][1:]
    assert fan.start is not None and fan.end is not None
    return FanOut(_timelines(home, fan.start, fan.end), fan.end - fan.start, seconds, used.seconds)


def _timelines(home: Path, start: float, end: float) -> tuple[Timeline, ...]:
    with embedded_postgres(home) as server, psycopg.connect(server.url.replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "SELECT name, fingerprint, extract(epoch FROM started)::float, extract(epoch FROM finished)::float, "
            "seconds, evaluation_seconds FROM run WHERE extract(epoch FROM started) BETWEEN %s AND %s ORDER BY started",
            (start, end),
        ).fetchall()
    tasks = {task.name: task for task in task_runs(home) if task.start is not None and start <= task.start <= end}
    found = []
    for name, fingerprint, started, finished, training, evaluation in rows:
        folder = home / "artifacts" / "runs" / fingerprint
        # The record is written again where weights go; the log's last line comes right after it.
        last = "worker.log" if (folder / "worker.log").exists() else "record.json"
        times = [(folder / file).stat().st_mtime for file in ("spec.json", "run.lock", last)]
        task = tasks[name]
        found.append(
            Timeline(
                name, folder, task.start or 0.0, times[0], started, times[1], times[2], finished, task.end or 0.0,
                training, evaluation,
            )
        )  # fmt: skip
    return tuple(found)


def _efficiency(rows: dict[str, FanOut]) -> None:
    print(
        f"\n| experiment | runs | training + evaluation per run, s | fan-out, s | efficiency, {SLOTS} slots | target | "
        "whole command, s | efficiency with start-up |\n|" + " --- |" * 8
    )
    for name, fan in rows.items():
        n = len(fan.runs)
        print(
            f"| {name} | {n} | {fan.useful / n:.2f} | {fan.wall:.1f} | {fan.useful / SLOTS / fan.wall:.3f} | "
            f"{TARGETS[name]:.2f} | {fan.whole:.1f} | {fan.useful / SLOTS / fan.whole:.3f} |"
        )


def _where_time_goes(name: str, fan: FanOut) -> None:
    total = SLOTS * fan.wall
    print(f"\n| {name}: where {SLOTS} × {fan.wall:.1f} s went | s | share | median per run, s | largest, s |")
    print("|" + " --- |" * 5)
    for part in fan.runs[0].parts:
        seconds = [run.parts[part] for run in fan.runs]
        print(
            f"| {part} | {sum(seconds):.1f} | {sum(seconds) / total:.1%} | {median(seconds):.3f} | {max(seconds):.2f} |"
        )
    rest = total - sum(sum(run.parts.values()) for run in fan.runs)
    print(f"| slot empty (between tasks, first start, last run alone) | {rest:.1f} | {rest / total:.1%} | | |")


def _beside_trl(home: Path, quick: FanOut) -> None:
    """The same runs by a shell loop of TRL processes, one and two at a time."""
    chosen = quick.runs[:PEERS]
    ours = quick.wall / len(quick.runs)
    whole = quick.whole / len(quick.runs)
    n = len(quick.runs)
    print(
        f"\n| the quick start's {n} runs | s per run | times ours | CPU s per run | times ours | {n} runs, s |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        f"| ours, {SLOTS} slots, scores included | {ours:.2f} | 1 | | | {quick.wall:.0f} |\n"
        f"| ours, with all start-up and the base model | {whole:.2f} | {whole / ours:.2f} | "
        f"{quick.processor / n:.2f} | 1 | {quick.whole:.0f} |"
    )
    for at_once, threads in ((1, SLOTS), (SLOTS, 1)):
        with processor_time() as used:
            seconds = _shell_loop(home, chosen, at_once, threads) / len(chosen)
        processor = used.seconds / len(chosen)
        print(
            f"| TRL process per run, {at_once} at a time, {threads} thread{'s' * (threads > 1)} each, no scores | "
            f"{seconds:.2f} | {seconds / ours:.2f} | {processor:.2f} | {processor * n / quick.processor:.2f} | "
            f"{seconds * n:.0f} |"
        )
    steps = [json.loads((run.folder / "record.json").read_text())["training"]["steps"] for run in chosen]
    print(f"\nTRL repeated the first {len(chosen)} runs ({', '.join(map(str, steps))} steps), {n} are extrapolated.")


def _shell_loop(home: Path, runs: Sequence[Timeline], at_once: int, threads: int) -> float:
    """Wall seconds of all runs, `at_once` processes at a time; the peer must take as many steps as ours."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    waiting = list(runs)
    running: list[subprocess.Popen[str]] = []
    start = time.perf_counter()
    while waiting or running:
        while waiting and len(running) < at_once:
            run = waiting.pop(0)
            out = home / "trl" / f"{run.folder.name}-{at_once}"
            command = [sys.executable, "-m", "tests.bench.trl_process", str(run.folder / "spec.json"), str(out)]
            running.append(
                subprocess.Popen(
                    command, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        for process in [p for p in running if p.poll() is not None]:
            if process.returncode:
                sys.exit(f"a TRL process ended with {process.returncode}: {process.args!r}")
            running.remove(process)
        time.sleep(0.02)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(minute="--quick" not in sys.argv)
