"""Store of curricula: the stage plan, and where the ordered manifest lies."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.conclusions import CurriculumRow, CurriculumStage
from tasks.curriculum.curriculum import Curriculum, Schedule

CURRICULUM = "curriculum"
"""Name of an analysis' main curriculum."""


@dataclass(frozen=True)
class StoredCurriculum:
    """A curriculum without the ids of its examples; those are in the manifest's file.

    Attributes:
        schedule: which schedule.
        seed: decided which examples go where and the order inside stages.
        categories: K names, sorted.
        stage_counts: [T][K] examples of each category in each stage.
        tilt: examples really moved between early and late stages.
        tilt_requested: examples asked for.
        repeats: appearances of each example in total.
        manifest_sha256: the manifest's hash.
        manifest_path: where it lies (file or fsspec URL).
        note: why the tilt is smaller than requested; empty where it is not.
    """

    schedule: Schedule
    seed: int
    categories: tuple[str, ...]
    stage_counts: tuple[tuple[int, ...], ...]
    tilt: int
    tilt_requested: int
    repeats: int
    manifest_sha256: str
    manifest_path: str
    note: str


def store_curriculum(
    session: Session, analysis_id: int, curriculum: Curriculum, manifest_path: str, name: str = CURRICULUM
) -> StoredCurriculum:
    """Store a curriculum once; what the analysis already has under this name stays, and is what is returned.

    Args:
        session: the transaction.
        analysis_id: the analysis.
        curriculum: the plan.
        manifest_path: where its manifest was written.
        name: tells several curricula of an analysis apart, e.g. the control's.
    """
    header = {
        "analysis_id": analysis_id,
        "name": name,
        "schedule": curriculum.schedule.value,
        "seed": curriculum.seed,
        "tilt": curriculum.tilt,
        "tilt_requested": curriculum.tilt_requested,
        "repeats": curriculum.repeats,
        "stages": len(curriculum.stage_counts),
        "examples": sum(map(sum, curriculum.stage_counts)),
        "manifest_sha256": curriculum.manifest.sha256,
        "manifest_path": manifest_path,
        "note": curriculum.note,
    }
    key = session.scalar(insert(CurriculumRow).values(header).on_conflict_do_nothing().returning(CurriculumRow.id))
    if key is not None:
        rows = [
            {"curriculum_id": key, "stage": stage, "category": category, "examples": n}
            for stage, counts in enumerate(curriculum.stage_counts)
            for category, n in zip(curriculum.categories, counts, strict=True)
        ]
        session.execute(insert(CurriculumStage), rows)
    stored = load_curriculum(session, analysis_id, name)
    assert stored is not None  # noqa: S101 - added above or there before
    return stored


def load_curriculum(session: Session, analysis_id: int, name: str = CURRICULUM) -> StoredCurriculum | None:
    """The curriculum of this name; None where the analysis has none."""
    row = session.scalars(select(CurriculumRow).filter_by(analysis_id=analysis_id, name=name)).one_or_none()
    if row is None:
        return None
    cells = {
        (cell.stage, cell.category): cell.examples
        for cell in session.scalars(select(CurriculumStage).filter_by(curriculum_id=row.id))
    }
    categories = tuple(sorted({category for _, category in cells}))
    return StoredCurriculum(
        schedule=Schedule(row.schedule),
        seed=row.seed,
        categories=categories,
        stage_counts=tuple(tuple(cells[stage, c] for c in categories) for stage in range(row.stages)),
        tilt=row.tilt,
        tilt_requested=row.tilt_requested,
        repeats=row.repeats,
        manifest_sha256=row.manifest_sha256,
        manifest_path=row.manifest_path,
        note=row.note,
    )


def curriculum_names(session: Session, analysis_id: int) -> list[str]:
    """Names of an analysis' curricula in the order they were recorded."""
    rows = select(CurriculumRow.name).where(CurriculumRow.analysis_id == analysis_id).order_by(CurriculumRow.id)
    return list(session.scalars(rows))
