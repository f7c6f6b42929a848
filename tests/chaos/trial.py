"""One case from fault to verdict: what the first command said, what the second completed, what was left behind."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.cases import Case
from tests.chaos.faults import Scene, moment
from tests.chaos.laboratory import VALIDATION, Laboratory, copy_of, experiment_file, family
from tests.flows.command import CATEGORIES, METRICS, NAME

_PATIENCE = 240.0
"""Seconds the first command may go on after the fault."""


@dataclass
class Trial:
    """What became of a case.

    Attributes:
        name: the case.
        exits: exit statuses of the first start (of all drivers); None where it had to be ended by force.
        seconds: from the fault to the first command's end.
        message: first line of what it said last.
        server: the flow run's state after the first command, and at the very end.
        runs: run rows by state after the first command.
        attempts: attempts above one per run, at the end.
        left: processes some seconds after the first command.
        left_at_end: likewise after the second.
        again: exit status of the second start.
        trained_again: what the second start says it trained and reused.
        server_running: flow and task runs that the server takes for running at the very end.
        allowed: what was left after the first command and may be.
        faults: what is wrong; empty = passed.
        skipped: why it was not tried.
    """

    name: str
    exits: list[int | None] = field(default_factory=list)
    seconds: float = 0.0
    message: str = ""
    server: list[str] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    left: list[str] = field(default_factory=list)
    left_at_end: list[str] = field(default_factory=list)
    again: int | None = None
    trained_again: str = ""
    server_running: int = 0
    allowed: str = ""
    faults: list[str] = field(default_factory=list)
    skipped: str = ""


def attempt(case: Case, prepared: Path, services: bool = False) -> Trial:
    """Play a case through on a copy of the prepared state folder.

    Args:
        case: the fault.
        prepared: see `laboratory.template`.
        services: with `beyond-iid up` before and `down` after, else with what the command starts for itself.
    """
    trial = Trial(case.name + (" (up)" if services else ""))
    with copy_of(prepared) as home, _disk(case, home) as artifacts:
        environment = {**case.environment(), **artifacts}
        laboratory = Laboratory(home, environment, services=services)
        experiment = experiment_file(home / "experiment", case.seeds, VALIDATION, case.resources)
        known = len(laboratory.flow_states())
        if services:
            laboratory.call("up")
        try:
            before = _first(case, trial, laboratory, experiment)
        except RuntimeError as error:
            trial.faults.append(f"the fault could not be brought about: {error}"[:600])
            return trial
        trial.server = laboratory.flow_states()[known:]
        trial.runs = _states(laboratory)
        again = Laboratory(home, artifacts, first=3, services=services)
        trial.again = _ended(again.start(experiment), 600)
        out, error_text = again.output()
        trial.trained_again = next((line for line in out.splitlines() if line.startswith(NAME)), error_text[-200:])
        _judge(case, trial, again, before)
        if services:
            again.call("down")
        trial.left_at_end = again.leftovers(set())
        if trial.left_at_end:
            trial.faults.append(f"left behind at the end: {', '.join(trial.left_at_end)}")
        trial.server += ["→", *laboratory.flow_states()[known:]]
        trial.server_running = laboratory.unfinished_on_server()
        if trial.server_running:
            trial.faults.append(f"{trial.server_running} flow and task runs still running on the server")
    return trial


def _first(case: Case, trial: Trial, laboratory: Laboratory, experiment: Path) -> dict[str, Any]:
    drivers = [laboratory.start(experiment) for _ in range(case.drivers)]
    scene = Scene(laboratory, drivers[0])
    if case.fault:
        with moment(scene, case.phase):
            before = _finished(laboratory)
            known = family(laboratory.home)
            case.fault(scene)
            struck = time.monotonic()
    else:
        scene.until(lambda: bool(_finished(laboratory)))
        before, known, struck = _finished(laboratory), family(laboratory.home), time.monotonic()
    trial.exits = [_ended(driver, _PATIENCE) for driver in drivers]
    trial.seconds = time.monotonic() - struck
    trial.message = _message(laboratory.output()[1])
    _no_traceback(trial, laboratory)
    trial.left = laboratory.leftovers(known)
    judge_leftovers(trial, case.may_leave)
    for undo in scene.undo:
        undo()
    return before


def judge_leftovers(trial: Trial, may_leave: frozenset[str]) -> None:
    """What the first start left running is a fault, but for what the case allows, which the verdict names."""
    trial.allowed = ", ".join(sorted(set(trial.left) & may_leave))
    beyond = sorted(set(trial.left) - may_leave)
    if beyond:
        trial.faults.append(f"left behind by the first start: {', '.join(beyond)}")


def _judge(case: Case, trial: Trial, laboratory: Laboratory, before: dict[str, Any]) -> None:
    """Nothing lost, nothing doubled, nothing left behind."""
    wrong = trial.faults
    if None in trial.exits:
        wrong.append(f"the command was still there {_PATIENCE:.0f} s after the fault")
    if trial.again != 0:
        wrong.append(f"the second start ended with {trial.again}: {trial.trained_again}")
        return
    shown = _show(laboratory)
    runs = [run for phase in shown["phases"].values() for run in phase["runs"]]
    trial.attempts = sum(max(run["attempts"] - 1, 0) for run in runs)
    measured = shown["phases"]["measure"]
    planned = (1 + len(CATEGORIES)) * len(case.seeds)
    if measured["missing"] or shown["phases"]["validate"]["missing"]:
        wrong.append("planned runs without scores")
    if not measured["states"]["finished"] == len(measured["runs"]) == planned:
        wrong.append(f"{measured['states']} of {planned} planned runs")
    cells = [(d["intervention"], d["seed"], d["category"], d["metric"]) for d in measured["deltas"]]
    if not len(cells) == len(set(cells)) == len(CATEGORIES) * len(case.seeds) * len(CATEGORIES) * METRICS:
        wrong.append(f"{len(cells)} deltas, {len(set(cells))} of them distinct")
    if len({run["fingerprint"] for run in runs}) != len(runs):
        wrong.append("a run is listed twice")
    now = {run["fingerprint"]: (run["seconds"], run["attempts"]) for run in runs}
    changed = [identity for identity, value in before.items() if now.get(identity, value) != value]
    if changed:
        wrong.append(f"{len(changed)} finished runs changed")
    if not shown["verdicts"]:
        wrong.append("no verdicts")
    if not (laboratory.home / "reports" / f"{NAME}.html").exists():
        wrong.append("no report")


def _show(laboratory: Laboratory) -> dict[str, Any]:
    process = laboratory.start("show", NAME, "--json")
    _ended(process, 120)
    return dict(json.loads(laboratory.output()[0]))


def _finished(laboratory: Laboratory) -> dict[str, Any]:
    rows = laboratory.query("SELECT fingerprint, seconds, attempts FROM run WHERE state = 'finished'")
    return {fingerprint: (seconds, attempts) for fingerprint, seconds, attempts in rows}


def _states(laboratory: Laboratory) -> dict[str, int]:
    """Run rows by state while no command runs."""
    from infra.postgres import embedded_postgres

    with embedded_postgres(laboratory.home):
        return dict(laboratory.query("SELECT state, count(*) FROM run GROUP BY state ORDER BY state"))


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _message(error_text: str) -> str:
    lines = [line for line in error_text.splitlines() if line.strip()]
    said = [number for number, line in enumerate(lines) if line.startswith("beyond-iid: ")]
    if said:
        return " ".join(lines[said[-1] : said[-1] + 2])[:300]
    return f"(nothing; last line: {lines[-1][:120] if lines else ''})"


def _no_traceback(trial: Trial, laboratory: Laboratory) -> None:
    if "Traceback" in "".join(laboratory.output()):
        trial.faults.append("a traceback was shown")


@contextmanager
def _disk(case: Case, home: Path) -> Iterator[dict[str, str]]:
    """A small file system for the artifact store, filled with what the template has; {} where none is asked for."""
    if not case.small_disk:
        yield {}
        return
    disk = home / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={case.small_disk}m", "tmpfs", str(disk)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{home / 'artifacts'}/.", str(disk)], check=True)
        yield {"BEYOND_IID_ARTIFACTS": str(disk)}
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
