"""Store of an experiment's plan: interventions × seeds, each with the run that answers for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.base import Phase
from db.columns import among
from db.errors import RecordError
from db.models import Experiment, InterventionCategory, InterventionRow, PlannedRun, Run
from tasks.interventions.intervention import Arm, Intervention


@dataclass(frozen=True)
class Planned:
    """One intervention with one seed.

    Attributes:
        intervention: the training set.
        seed: pairs it with the other interventions of the same seed.
        fingerprint: the run that answers for it; several may share one.
        name: the run's name, for people.
        spec: the run's specification as plain JSON, for people; may be empty.
        adaptive: chosen after looking at earlier runs' results.
    """

    intervention: Intervention
    seed: int
    fingerprint: str
    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    adaptive: bool = False


def set_plan(
    session: Session, experiment_id: int, phase: Phase, planned: Sequence[Planned], analysis_id: int | None = None
) -> None:
    """Make this the complete plan of a phase: all interventions and seeds at once, not one by one.

    What an earlier plan of the same phase had beyond this one leaves the plan; its runs and scores stay, and so do the
    analyses drawn from them. Planning the same again changes nothing.

    Args:
        session: the transaction.
        experiment_id: whose.
        phase: measure or validate.
        planned: every intervention × seed, in the order people should see.
        analysis_id: the analysis whose proposal a validation tries out; None for measuring.

    Raises:
        RecordError: one intervention name stands for two training sets, or a seed is planned twice.
    """
    interventions = _distinct(planned)
    # Two starts of the same experiment plan one after the other.
    session.scalars(select(Experiment.id).where(Experiment.id == experiment_id).with_for_update()).one()
    plan_runs(session, planned)
    stored = {i.name: (key, i) for key, i in _stored(session, experiment_id, phase, analysis_id)}
    stale = [key for name, (key, known) in stored.items() if interventions.get(name) != known]
    session.execute(delete(InterventionRow).where(among(InterventionRow.id, stale)))
    keys = {name: key for name, (key, known) in stored.items() if key not in stale}
    for position, (name, intervention) in enumerate(interventions.items()):
        if name not in keys:
            keys[name] = _add(session, intervention, (experiment_id, phase, analysis_id, position))
    runs = _run_ids(session, [p.fingerprint for p in planned])
    wanted = {(keys[p.intervention.name], p.seed): (runs[p.fingerprint], p.adaptive) for p in planned}
    _associate(session, wanted, list(keys.values()))


def plan_runs(session: Session, planned: Sequence[Planned]) -> None:
    """Have a row for every run, in state "planned" where it is new."""
    rows = {p.fingerprint: {"fingerprint": p.fingerprint, "name": p.name, "spec": dict(p.spec)} for p in planned}
    if rows:
        # In one order everywhere, so that two writers never wait for each other in a circle.
        session.execute(insert(Run).on_conflict_do_nothing(), [rows[key] for key in sorted(rows)])


def load_interventions(
    session: Session, experiment_id: int, phase: Phase, analysis_id: int | None = None
) -> list[Intervention]:
    """The plan's interventions in their order."""
    return [intervention for _, intervention in _stored(session, experiment_id, phase, analysis_id)]


def of_plan(experiment_id: int, phase: Phase, analysis_id: int | None) -> tuple[Any, ...]:
    """The conditions that select a plan's interventions."""
    return (
        InterventionRow.experiment_id == experiment_id,
        InterventionRow.phase == Phase(phase).value,
        InterventionRow.analysis_id.is_not_distinct_from(analysis_id),
    )


def planned_runs(
    session: Session, experiment_id: int, phase: Phase, analysis_id: int | None = None
) -> list[tuple[str, int, bool]]:
    """(intervention's name, seed, adaptive) of the plan, in its order."""
    rows = session.execute(
        select(InterventionRow.name, PlannedRun.seed, PlannedRun.adaptive)
        .join(PlannedRun, PlannedRun.intervention_id == InterventionRow.id)
        .where(*of_plan(experiment_id, phase, analysis_id))
        .order_by(InterventionRow.position, InterventionRow.id, PlannedRun.seed)
    )
    return [(row.name, row.seed, row.adaptive) for row in rows]


def planned_seeds(session: Session, experiment_id: int, phase: Phase, analysis_id: int | None = None) -> int:
    """How many intervention × seed pairs the plan holds."""
    pairs = select(func.count()).select_from(PlannedRun).join(InterventionRow)
    return session.scalars(pairs.where(*of_plan(experiment_id, phase, analysis_id))).one()


def _distinct(planned: Sequence[Planned]) -> dict[str, Intervention]:
    found: dict[str, Intervention] = {}
    seen: set[tuple[str, int]] = set()
    for one in planned:
        name = one.intervention.name
        if found.setdefault(name, one.intervention) != one.intervention:
            raise RecordError(f"The intervention name {name!r} stands for two training sets. Names must be unique.")
        if (name, one.seed) in seen:
            raise RecordError(f"Seed {one.seed} of {name!r} is planned twice.")
        seen.add((name, one.seed))
    return found


def _stored(
    session: Session, experiment_id: int, phase: Phase, analysis_id: int | None
) -> list[tuple[int, Intervention]]:
    rows = session.execute(
        select(InterventionRow.id, InterventionRow.name, InterventionRow.arm)
        .where(*of_plan(experiment_id, phase, analysis_id))
        .order_by(InterventionRow.position, InterventionRow.id)
    ).all()
    counts: dict[int, list[InterventionCategory]] = {row.id: [] for row in rows}
    for cell in session.scalars(
        select(InterventionCategory).where(among(InterventionCategory.intervention_id, counts))
    ):
        counts[cell.intervention_id].append(cell)
    return [
        (
            row.id,
            Intervention(
                name=row.name,
                counts=tuple(sorted((c.category, c.examples) for c in counts[row.id])),
                removed=tuple(c for _, c in sorted(_removed(counts[row.id]))),
                arm=None if row.arm is None else Arm(row.arm),
            ),
        )
        for row in rows
    ]


def _removed(cells: Sequence[InterventionCategory]) -> list[tuple[int, str]]:
    return [(c.removed_position, c.category) for c in cells if c.removed_position is not None]


def _add(session: Session, intervention: Intervention, place: tuple[int, Phase, int | None, int]) -> int:
    experiment_id, phase, analysis_id, position = place
    key = session.scalars(
        insert(InterventionRow)
        .values(
            experiment_id=experiment_id,
            phase=Phase(phase).value,
            analysis_id=analysis_id,
            position=position,
            name=intervention.name,
            arm=None if intervention.arm is None else intervention.arm.value,
        )
        .returning(InterventionRow.id)
    ).one()
    place_of = {category: index for index, category in enumerate(intervention.removed)}
    rows = [
        {"intervention_id": key, "category": c, "examples": n, "removed_position": place_of.get(c)}
        for c, n in intervention.counts
    ]
    if rows:
        session.execute(insert(InterventionCategory), rows)
    return key


def _run_ids(session: Session, fingerprints: Sequence[str]) -> dict[str, int]:
    rows = session.execute(select(Run.fingerprint, Run.id).where(among(Run.fingerprint, set(fingerprints))))
    return {row.fingerprint: row.id for row in rows}


def _associate(
    session: Session, wanted: Mapping[tuple[int, int], tuple[int, bool]], interventions: Sequence[int]
) -> None:
    present = {
        (row.intervention_id, row.seed): (row.run_id, row.adaptive)
        for row in session.scalars(select(PlannedRun).where(among(PlannedRun.intervention_id, interventions)))
    }
    for intervention_id, seed in [key for key, run in present.items() if wanted.get(key) != run]:
        session.execute(delete(PlannedRun).filter_by(intervention_id=intervention_id, seed=seed))
    rows = [
        {"intervention_id": key[0], "seed": key[1], "run_id": run, "adaptive": adaptive}
        for key, (run, adaptive) in wanted.items()
        if present.get(key) != (run, adaptive)
    ]
    if rows:
        session.execute(insert(PlannedRun), rows)
