"""The stage's value types: stage plan and manifest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tasks.interventions.manifest import Manifest

PAPER_STAGES = 3
"""Stages of the schedule `paper`."""


class Schedule(StrEnum):
    """How the order is tilted."""

    PAPER = "paper"
    """Three stages; stage 1 has N/10 extra base and N/10 fewer dependent examples, stage 3 the reverse."""
    TILTED = "tilted"
    """T stages; a tilt that grows with the level, as a transportation problem."""
    STRICT = "strict"
    """Level by level."""
    REVERSED = "reversed"
    """The tilted schedule backwards: a control."""
    SHUFFLED = "shuffled"
    """The same examples equally often, in random order: the exact control."""


@dataclass(frozen=True)
class Curriculum:
    """An ordered, hashed training plan.

    Attributes:
        schedule: which schedule.
        seed: decides which examples go where and the order inside stages.
        categories: K names, sorted.
        stage_counts: [T][K] examples of each category in each stage.
        tilt: examples really moved between early and late stages (≤ what was asked for).
        tilt_requested: examples asked for; 0 for schedules without a tilt.
        manifest: the order; each example of the input appears exactly `repeats` times.
        repeats: appearances of each example in total.
        note: why the tilt is smaller than requested, in one sentence; empty where it is not.
    """

    schedule: Schedule
    seed: int
    categories: tuple[str, ...]
    stage_counts: tuple[tuple[int, ...], ...]
    tilt: int
    tilt_requested: int
    manifest: Manifest
    repeats: int
    note: str = ""
