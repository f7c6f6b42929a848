"""The material of an experiment: its pool, cut, written to the artifact store, with the baseline counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from flows.config import ExperimentConfig
from flows.designs import adds_categories
from flows.pool_files import Stage, directly
from flows.pool_steps import ReadPool, read_with_steps
from flows.selection_step import Chosen, select_rows
from tasks.errors import InputError
from tasks.fingerprint import fingerprint
from tasks.hygiene.held_out import without_held_out
from tasks.interventions.design import baseline_counts
from tasks.pool.config import LandedSource, SkillWorldSource
from tasks.pool.instruction import Instruction, Pool, PoolSplit
from tasks.pool.landed import set_aside, too_few
from tasks.pool.lines_file import write_lines
from tasks.pool.reader import read_pool, write_rejects
from tasks.pool.skillworld import PlantedGraph, SkillWorld, skill_world
from tasks.pool.split import split_pool
from tasks.pool.storage import write_instructions

STEPS_FILE = "steps.json"
"""Beside the pool's parts: what cleaning, tagging and selection depend on (identity) and say (report)."""


@dataclass(frozen=True)
class Material:
    """What every run of an experiment draws from.

    Attributes:
        pool: as read, with rejected rows.
        split: training, measuring and validating parts.
        baseline: examples per epoch and category; 0 for categories that the design adds.
        available: examples in the training part per category.
        folder: where the parts lie: train.jsonl, measure.jsonl, validate.jsonl, warmup.jsonl, rejected.jsonl.
        warmup: practice rows that a tiny base model is warmed up on; empty where the pool has none.
        planted: the truth, for planted worlds.
        selected: ids of the rows that a selection took for the baseline: they are drawn before the others of their
            category, which are its reserve. Empty where there is no selection.
        steps: what cleaning, tagging and selection depend on, by key; empty where there is none.
    """

    pool: Pool
    split: PoolSplit
    baseline: dict[str, int]
    available: dict[str, int]
    folder: Path
    warmup: tuple[Instruction, ...]
    planted: PlantedGraph | None
    selected: frozenset[str] = frozenset()
    steps: Mapping[str, Any] = field(default_factory=dict)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All parts together."""
        return (*self.split.train.instructions, *self.split.measure.instructions, *self.split.validate.instructions)

    @property
    def rejected_by_reason(self) -> dict[str, int]:
        """Rejected rows per reason, most frequent first; the part of a reason that names a row is left out."""
        reasons = Counter(row.reason.split(":")[0] for row in (*self.pool.rejected, *self.split.train.rejected))
        return dict(reasons.most_common())


def gather_material(config: ExperimentConfig, artifacts: Path, stage: Stage = directly) -> Material:
    """Read the pool, cut it, and write the parts to the artifact store (once per content).

    What the experiment asks for comes in this order: rows are cleaned, tagged and read; some are held out; of the
    others those that hold a held-out prompt leave; the baseline's are selected.

    Args:
        config: the experiment.
        artifacts: the artifact store.
        stage: does each step and shows its progress.

    Raises:
        InputError: the pool is unusable, or a category has too few examples for the baseline and the held-out sets.
    """
    world = _world(config.pool) if isinstance(config.pool, SkillWorldSource) else None
    separate = read_pool(config.held_out.files) if config.held_out.files else None
    found = ReadPool(world.pool, None, {}, {}) if world else read_with_steps(config, artifacts, stage)
    pool = _measurable(config, found.pool, separate)
    split = split_pool(pool, config.held_out.measure_per_category, config.held_out.validate_per_category, separate)
    split, steps, chosen = _without_and_selected(config, split, found, artifacts, stage)
    baseline = chosen.rows.counts(split.train) if chosen else _baseline(config, split.train.counts(), world)
    measured = {category for category, n in baseline.items() if n}
    trained = set(baseline) if adds_categories(config.design) else measured
    split = _only(split, trained, measured)
    folder = artifacts / "pools" / _identity(split, world, steps.identity)
    parts = {"train": split.train, "measure": split.measure, "validate": split.validate}
    if world and world.warmup.instructions:
        parts["warmup"] = world.warmup
    for name, part in parts.items():
        path = folder / f"{name}.jsonl"
        if not path.exists():
            write_instructions(path, part.instructions)
    write_rejects((*pool.rejected, *split.train.rejected), folder / "rejected.jsonl")
    if steps.report:
        write_lines(folder / STEPS_FILE, [json.dumps(asdict(steps), ensure_ascii=False)])
        pool = replace(pool, name=f"{pool.name} ({', '.join(steps.report)}: {fingerprint(steps.identity)[:12]})")
    return Material(
        pool=pool,
        split=split,
        baseline={category: n for category, n in baseline.items() if category in trained},
        available=split.train.counts(),
        folder=folder,
        warmup=world.warmup.instructions if world else (),
        planted=world.graph if world else None,
        selected=frozenset(chosen.rows.selected) if chosen else frozenset(),
        steps=steps.identity,
    )


def _measurable(config: ExperimentConfig, pool: Pool, separate: Pool | None) -> Pool:
    """Of landed data, only categories with enough rows for now."""
    if not isinstance(config.pool, LandedSource):
        return pool
    held_out, shares = config.held_out, config.baseline.shares
    return set_aside(
        pool,
        too_few(
            pool,
            held_out.measure_per_category + held_out.validate_per_category,
            separate.counts() if separate else None,
            shares if isinstance(shares, dict) else (),
        ),
    )


@dataclass(frozen=True)
class _Steps:
    """What the steps depend on and what they say."""

    identity: dict[str, Any]
    report: dict[str, Any]


def _without_and_selected(
    config: ExperimentConfig, split: PoolSplit, found: ReadPool, artifacts: Path, stage: Stage
) -> tuple[PoolSplit, _Steps, Chosen | None]:
    """The steps that come after holding out."""
    identity, report, train = dict(found.identity), dict(found.report), split.train
    hygiene, selection = config.hygiene, config.selection
    if hygiene and hygiene.held_out:
        held_out = (*split.measure.instructions, *split.validate.instructions)
        train = stage("look for held-out rows", lambda steps: without_held_out(train, held_out, hygiene))
        identity["held_out"] = "looked for"
        report["hygiene"] = {**report["hygiene"], "held_out": len(split.train.instructions) - len(train.instructions)}
        empty = sorted(set(split.train.categories) - set(train.categories))
        if empty:
            raise InputError(
                f"hygiene.held_out: every training row of {', '.join(empty)} holds a held-out prompt, as rows of one "
                "template do. Raise hygiene.overlap, or set hygiene.held_out to false."
            )
    chosen = None
    if selection:
        raw = None if isinstance(config.pool, LandedSource) else found.raw
        chosen = stage("select the baseline", lambda steps: select_rows(train, raw, selection, artifacts, steps))
        train = chosen.rows.apply(train)
        identity["selection"], report["selection"] = chosen.identity, dict(chosen.rows.report)
    return replace(split, train=train), _Steps(identity, report), chosen


def _world(source: SkillWorldSource) -> SkillWorld:
    return skill_world(source.seed, source.size_factor)


def _baseline(config: ExperimentConfig, available: dict[str, int], world: SkillWorld | None) -> dict[str, int]:
    if world and config.baseline.shares == "pool" and config.baseline.total is None:
        return dict(world.baseline_counts)
    shares = config.baseline.shares
    if isinstance(config.pool, LandedSource) and isinstance(shares, dict):
        # What lands later under a new name is not asked for by a list that was written before.
        shares = {**dict.fromkeys(available, 0.0), **shares}
    return baseline_counts(available, config.baseline.total, shares)


def _only(split: PoolSplit, trained: set[str], measured: set[str]) -> PoolSplit:
    """The split without the categories that are not trained on, and what is held out without those not measured.

    What the baseline leaves out is never measured, so that the scores that are there stay valid when data land.
    """

    def kept(pool: Pool, categories: set[str]) -> Pool:
        return Pool(pool.name, tuple(i for i in pool.instructions if i.category in categories), pool.rejected)

    return PoolSplit(kept(split.train, trained), kept(split.measure, measured), kept(split.validate, measured))


def _identity(split: PoolSplit, world: SkillWorld | None, steps: dict[str, Any]) -> str:
    parts = [split.train.content_hash, split.measure.content_hash, split.validate.content_hash]
    warmup = world.warmup.content_hash if world else ""
    return fingerprint([*parts, warmup, steps] if steps else [*parts, warmup])[:16]
