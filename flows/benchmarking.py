"""An experiment's `benchmarks` made ready for its runs: checked, its items kept, and what of it decides numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.config import ExperimentConfig
from flows.material import Material
from tasks.benchmarks.checking import CHECKERS_VERSION
from tasks.benchmarks.generation import GENERATION_VERSION, engine_version, resolve_engine
from tasks.benchmarks.items import Item, read_items, write_items
from tasks.benchmarks.measures import Benchmarks, JudgeMeasure, LmEvalMeasure, Measure
from tasks.benchmarks.measuring import Assignment, assign, check_assignments
from tasks.benchmarks.scores import HELD_OUT_METRICS, Metric
from tasks.errors import InputError
from tasks.fingerprint import fingerprint

# What decides how fast, where and at what price, but no number; items count by their content.
_IDLE_KEYS = {"items", "task_folder", "url", "concurrency", "retries", "timeout", "price_in", "price_out"}


@dataclass(frozen=True)
class ReadyBenchmarks:
    """What runs need to know.

    Attributes:
        metrics: all that is measured, held-out loss and exact match first.
        spec: for the runs' specifications; None where nothing but these two is measured.
        identity: for their fingerprints; None likewise.
    """

    metrics: tuple[Metric, ...]
    spec: dict[str, Any] | None
    identity: dict[str, Any] | None

    @property
    def in_identity(self) -> dict[str, Any]:
        """The identity as a part of a larger one; empty where there is none."""
        return {} if self.identity is None else {"measures": self.identity}


def ready_benchmarks(config: ExperimentConfig, material: Material) -> ReadyBenchmarks:
    """Check the measures against the pool and copy their files of items beside it.

    Raises:
        InputError: a category that is not measured, items or references that do not fit, items in the training data, a
            metric to analyze that some category lacks, or programs that cannot be run safely on this machine.
    """
    benchmarks = config.benchmarks
    if benchmarks is None:
        return ReadyBenchmarks(HELD_OUT_METRICS, None, None)
    parts = [assign(benchmarks, part.instructions) for part in (material.split.measure, material.split.validate)]
    _check_analyzed(config, benchmarks, material.split.measure.categories)
    for assignments in parts:
        check_assignments(assignments, material.split.train.instructions)
    engine = resolve_engine(benchmarks.generation.engine, config.resources.gpus_per_run)
    kept = benchmarks.model_copy(
        update={
            "measures": benchmarks.changed(lambda measure: _kept_items(measure, material.folder)).measures,
            "generation": benchmarks.generation.model_copy(update={"engine": engine}),
        }
    )
    identity = {
        "measures": [_identity(one) for one in parts[0]],
        "checkers": CHECKERS_VERSION,
        "generation": [engine_version(engine), GENERATION_VERSION],
    }
    return ReadyBenchmarks(benchmarks.metrics, kept.model_dump(mode="json"), identity)


def _kept_items(measure: Measure, folder: Path) -> Measure:
    """The measure with its items in the artifact store, under their content's hash: they cannot change any more."""
    if isinstance(measure, LmEvalMeasure) or measure.items is None:
        return measure
    items = read_items(Path(measure.items))
    path = folder / "items" / f"{_items_hash(items)}.jsonl"
    if not path.exists():
        write_items(path, items)
    return measure.model_copy(update={"items": str(path)})


def _check_analyzed(config: ExperimentConfig, benchmarks: Benchmarks, categories: tuple[str, ...]) -> None:
    metric = config.analysis.metric
    if metric in {one.name for one in HELD_OUT_METRICS}:
        return
    lacking = [
        category
        for category in categories
        if metric not in {measure.measured.name for measure in benchmarks.measures.get(category, ())}
    ]
    if lacking:
        raise InputError(
            f"analysis.metric is {metric!r}, but benchmarks.measures has no such measure for "
            f"{', '.join(map(repr, lacking))}: give each of them one, or set analysis.metric to 'loss'"
        )


def _identity(one: Assignment) -> dict[str, Any]:
    measure = one.measure
    identity: dict[str, Any] = {"category": one.category, **measure.model_dump(mode="json", exclude=_IDLE_KEYS)}
    if isinstance(measure, LmEvalMeasure):
        from tasks.benchmarks.lm_eval_tasks import task_identity

        return {**identity, "lm_eval": task_identity(measure)}
    if isinstance(measure, JudgeMeasure):
        from tasks.benchmarks.judge import judge_identity

        identity["judge"] = judge_identity(measure)
    return {**identity, "items": "held-out" if measure.items is None else _items_hash(one.items)}


def _items_hash(items: tuple[Item, ...]) -> str:
    return fingerprint([[[list(m) for m in item.prompt], item.reference, item.tests] for item in items])
