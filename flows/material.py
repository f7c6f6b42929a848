"""The material of an experiment: its pool, cut, written to the artifact store, with the baseline counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flows.config import ExperimentConfig
from tasks.fingerprint import fingerprint
from tasks.interventions.design import baseline_counts
from tasks.pool.config import SkillWorldSource
from tasks.pool.instruction import Instruction, Pool, PoolSplit
from tasks.pool.reader import read_pool, write_rejects
from tasks.pool.skillworld import PlantedGraph, SkillWorld, skill_world
from tasks.pool.split import split_pool
from tasks.pool.storage import write_instructions


@dataclass(frozen=True)
class Material:
    """What every run of an experiment draws from.

    Attributes:
        pool: as read, with rejected rows.
        split: training, measuring and validating parts.
        baseline: examples per epoch and category.
        available: examples in the training part per category.
        folder: where the parts lie: train.jsonl, measure.jsonl, validate.jsonl, warmup.jsonl, rejected.jsonl.
        warmup: practice rows that a tiny base model is warmed up on; empty where the pool has none.
        planted: the truth, for planted worlds.
    """

    pool: Pool
    split: PoolSplit
    baseline: dict[str, int]
    available: dict[str, int]
    folder: Path
    warmup: tuple[Instruction, ...]
    planted: PlantedGraph | None

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All parts together."""
        return (*self.split.train.instructions, *self.split.measure.instructions, *self.split.validate.instructions)

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """Rejected rows per reason, most frequent first; the part of a reason that names a row is left out."""
        reasons = Counter(row.reason.split(":")[0] for row in (*self.pool.rejected, *self.split.train.rejected))
        return dict(reasons.most_common())


def gather_material(config: ExperimentConfig, artifacts: Path) -> Material:
    """Read the pool, cut it, and write the parts to the artifact store (once per content).

    Raises:
        InputError: the pool is unusable, or a category has too few examples for the baseline and the held-out sets.
    """
    world = _world(config.pool) if isinstance(config.pool, SkillWorldSource) else None
    pool = world.pool if world else read_pool(config.pool)  # type: ignore[arg-type]
    separate = read_pool(config.held_out.files) if config.held_out.files else None
    split = split_pool(pool, config.held_out.measure_per_category, config.held_out.validate_per_category, separate)
    baseline = _baseline(config, split.train.counts(), world)
    split = _only(split, {category for category, n in baseline.items() if n})
    available = split.train.counts()
    folder = artifacts / "pools" / _identity(split, world)
    parts = {"train": split.train, "measure": split.measure, "validate": split.validate}
    if world and world.warmup.instructions:
        parts["warmup"] = world.warmup
    for name, part in parts.items():
        path = folder / f"{name}.jsonl"
        if not path.exists():
            write_instructions(path, part.instructions)
    write_rejects((*pool.rejected, *split.train.rejected), folder / "rejected.jsonl")
    return Material(
        pool=pool,
        split=split,
        baseline={category: n for category, n in baseline.items() if n},
        available=available,
        folder=folder,
        warmup=world.warmup.instructions if world else (),
        planted=world.graph if world else None,
    )


def _world(source: SkillWorldSource) -> SkillWorld:
    return skill_world(source.seed, source.size_factor)


def _baseline(config: ExperimentConfig, available: dict[str, int], world: SkillWorld | None) -> dict[str, int]:
    if world and config.baseline.shares == "pool" and config.baseline.total is None:
        return dict(world.baseline_counts)
    return baseline_counts(available, config.baseline.total, config.baseline.shares)


def _only(split: PoolSplit, categories: set[str]) -> PoolSplit:
    """The split without categories that the baseline leaves out: they are neither trained on nor measured."""

    def kept(pool: Pool) -> Pool:
        return Pool(pool.name, tuple(i for i in pool.instructions if i.category in categories), pool.rejected)

    return PoolSplit(kept(split.train), kept(split.measure), kept(split.validate))


def _identity(split: PoolSplit, world: SkillWorld | None) -> str:
    parts = [split.train.content_hash, split.measure.content_hash, split.validate.content_hash]
    return fingerprint([*parts, world.warmup.content_hash if world else ""])[:16]
