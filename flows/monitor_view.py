"""An experiment as a terminal shows it while it runs, from the database and the workers' progress files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from db.base import AnalysisKind, Phase, RunState
from db.experiments import get_experiment, latest_analysis, validation_of
from db.models import Analysis, Experiment
from db.monitoring import RunLine, mean_seconds, run_counts, run_lines
from db.proposals import load_proposal
from db.verdicts import load_verdicts
from flows.monitor_table import gpu_text, step_text, worker_text
from flows.worker import WorkerProgress, progress_age, read_progress
from tasks.proportions.decision import decision_text

SILENT_SECONDS = 60.0
"""A run whose worker wrote nothing for so long is shown as silent: a long step, a hanging worker, or a dead driver."""
MOST_ROWS = 15
_SETTLED = timedelta(minutes=2)

_ORDER = (RunState.FINISHED, RunState.RUNNING, RunState.FAILED, RunState.PLANNED)


@dataclass(frozen=True)
class RunningRun:
    """A run that the database calls running.

    Attributes:
        line: the database's row.
        progress: what its worker wrote last; None where this machine sees no such file.
        age: seconds since then.
    """

    line: RunLine
    progress: WorkerProgress | None
    age: float | None

    @property
    def silent(self) -> bool:
        """Whether nothing was heard of it for long."""
        return self.age is None or self.age > SILENT_SECONDS


@dataclass(frozen=True)
class View:
    """An experiment at one moment.

    Attributes:
        name: the experiment.
        counts: runs by phase and state; phases without a plan are left out.
        running: longest first, at most `MOST_ROWS`.
        failed: latest first, at most `MOST_ROWS`.
        mean: mean seconds of training and evaluation per finished run; None before the first.
        decision: what the latest analysis decided, in words; None before it.
        verdicts: of its validation, in words.
        complete: nothing is left to do.
    """

    name: str
    counts: Mapping[Phase, Mapping[RunState, int]]
    running: tuple[RunningRun, ...]
    failed: tuple[RunLine, ...]
    mean: float | None
    decision: str | None
    verdicts: tuple[str, ...]
    complete: bool

    def number(self, *states: RunState) -> int:
        """Runs in these states, of all phases."""
        return sum(of_phase.get(state, 0) for of_phase in self.counts.values() for state in states)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the planned runs are done, with as many at once as run now; None where unknown."""
        heard = [one for one in self.running if not one.silent]
        if self.mean is None or not heard:
            return None
        open_runs = self.number(RunState.PLANNED, RunState.RUNNING)
        done = sum(min(self.mean, one.line.seconds or 0.0) for one in heard)
        return (open_runs * self.mean - done) / max(1, min(self.number(RunState.RUNNING), open_runs))


def gather(session: Session, name: str, artifacts: Path) -> View:
    """Look at the experiment recorded last under this name.

    Args:
        session: the transaction.
        name: the experiment.
        artifacts: the artifact store with the runs' folders.

    Raises:
        InputError: there is no such experiment.
    """
    experiment = get_experiment(session, name)
    counts: dict[Phase, dict[RunState, int]] = {}
    for (_, phase, state), number in run_counts(session, [experiment.id]).items():
        counts.setdefault(phase, {})[state] = number
    running = []
    for line in run_lines(session, experiment.id, RunState.RUNNING, MOST_ROWS):
        folder = artifacts / "runs" / line.fingerprint
        running.append(RunningRun(line, read_progress(folder), progress_age(folder)))
    analysis = latest_analysis(session, experiment.id, AnalysisKind.OPTIMIZE)
    verdicts = _verdicts(session, experiment, analysis)
    return View(
        name=name,
        counts={phase: counts[phase] for phase in Phase if phase in counts},
        running=tuple(running),
        failed=tuple(run_lines(session, experiment.id, RunState.FAILED, MOST_ROWS)),
        mean=mean_seconds(session, experiment.id),
        decision=None if analysis is None else _decision(session, analysis),
        verdicts=verdicts,
        complete=_complete(experiment, counts, analysis, bool(verdicts)),
    )


def render(view: View) -> Group:
    """The view for a terminal; tables are as wide as it is."""
    parts: list[RenderableType] = [Text(view.name, style="bold"), _counts(view)]
    if view.running:
        parts.append(_running(view))
    parts.append(Text(_outlook(view)))
    if view.failed:
        parts += [_failed(view), Text(f"Repeat what failed: beyond-iid rerun {view.name}")]
    if view.decision:
        parts.append(Text(f"Decision: {view.decision}"))
    parts += [Text(f"Verdict: {text}") for text in view.verdicts]
    return Group(*parts)


def _verdicts(session: Session, experiment: Experiment, analysis: Analysis | None) -> tuple[str, ...]:
    validation = None if analysis is None else validation_of(session, experiment.id, analysis.id)
    return () if validation is None else tuple(verdict.text for verdict in load_verdicts(session, validation.id))


def _decision(session: Session, analysis: Analysis) -> str | None:
    proposal = load_proposal(session, analysis.id)
    if proposal is None:
        return None
    return f"{decision_text(proposal.decision, proposal.reason)} ({analysis.created:%Y-%m-%d %H:%M})"


def _complete(
    experiment: Experiment, counts: Mapping[Phase, Mapping[RunState, int]], analysis: Analysis | None, judged: bool
) -> bool:
    """Whether all planned runs have scores and what follows from them is stored."""
    if any(number for of_phase in counts.values() for state, number in of_phase.items() if state != RunState.FINISHED):
        return False
    if analysis is None:
        return False
    # Where the conclusions propose nothing, a validation plans nothing: that it has not begun yet looks the same.
    nothing_to_try = Phase.VALIDATE not in counts and datetime.now(UTC) - analysis.created > _SETTLED
    return judged or nothing_to_try or not experiment.config.get("validation")


def _counts(view: View) -> Table:
    table = Table("phase", *(state.value for state in _ORDER), "of", box=None, pad_edge=False)
    for phase, of_phase in view.counts.items():
        table.add_row(
            phase.value, *(str(of_phase.get(state, 0)) for state in _ORDER), str(sum(of_phase.values()))
        )  # fmt: skip
    return table


def _running(view: View) -> Table:
    table = Table("running", "step", "loss", "seconds", "worker", "GPU", box=None, pad_edge=False)
    for one in view.running:
        progress = one.progress
        seconds = f"{one.line.seconds or 0.0:.0f}"
        if progress is None:
            cells: Sequence[str] = ("not started", "", seconds, "", "")
        else:
            step = step_text(progress) + (f", silent for {one.age:.0f} s" if one.silent else "")
            loss = "" if progress.loss is None else f"{progress.loss:.4f}"
            cells = (step, loss, seconds, worker_text(progress), gpu_text(progress))
        name = one.line.name + (f" (attempt {one.line.attempts})" if one.line.attempts > 1 else "")
        table.add_row(*map(escape, (name, *cells)))
    _more(table, view.number(RunState.RUNNING) - len(view.running))
    return table


def _failed(view: View) -> Table:
    table = Table("failed", "attempts", "reason", box=None, pad_edge=False)
    for line in view.failed:
        reason = (line.error or "").splitlines()[0] if line.error else ""
        table.add_row(escape(line.name), str(line.attempts), escape(reason))
    _more(table, view.number(RunState.FAILED) - len(view.failed))
    return table


def _more(table: Table, number: int) -> None:
    if number > 0:
        table.add_row(f"… and {number} more")


def _outlook(view: View) -> str:
    if view.complete:
        return f"Complete. Everything about it: beyond-iid show {view.name}"
    per_run = "" if view.mean is None else f" ({view.mean:.1f} s per run)"
    if view.seconds_left is not None:
        return f"About {_duration(view.seconds_left)} left in the planned runs{per_run}"
    if view.number(RunState.RUNNING, RunState.PLANNED, RunState.FAILED) and not view.running:
        return f"Nothing is running at the moment{per_run}; start the same experiment again to go on."
    return f"Time left is not known yet{per_run}."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
