"""From the files that an experiment names to its pool: cleaned, tagged, read; each step once per content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.cleaning_step import clean_files, cleaning_rejects
from flows.config import ExperimentConfig
from flows.pool_files import PoolFiles, Stage, landed_marks, pool_files
from flows.tagging_step import tag_files, tagging_rejects
from tasks.pool.config import LandedSource, SkillWorldSource
from tasks.pool.instruction import Pool, RejectedRow
from tasks.pool.landed import merge_landed, read_landed
from tasks.pool.reader import read_pool


@dataclass(frozen=True)
class ReadPool:
    """An experiment's pool as it is before anything is held out.

    Attributes:
        pool: instructions, and every row that is not among them with its reason.
        raw: the files before any step; None where no step needed them.
        identity: what the steps depend on; empty where there was none.
        report: counts of each step by its key.
    """

    pool: Pool
    raw: PoolFiles | None
    identity: dict[str, Any]
    report: dict[str, Any]


def read_with_steps(config: ExperimentConfig, store: Path, stage: Stage) -> ReadPool:
    """Clean and tag what the experiment asks for, and read the result.

    Args:
        config: an experiment whose pool is not a built-in world.
        store: the artifact store.
        stage: does each step and shows its progress.

    Raises:
        InputError: see the steps.
    """
    source, hygiene, tagging = config.pool, config.hygiene, config.tagging
    if isinstance(source, SkillWorldSource):
        raise TypeError("a built-in world has no files")
    if not (hygiene or tagging or config.selection):
        return ReadPool(stage("read the pool", lambda steps: _plain(config, store)), None, {}, {})
    fields = (*_compared(tagging), *(config.selection.fields if config.selection else ()))
    raw = files = pool_files(source, store, fields)
    identity: dict[str, Any] = {}
    report: dict[str, Any] = {}
    rejected: list[RejectedRow] = []
    if hygiene:
        cleaned, report["hygiene"] = stage(
            "clean the pool", lambda steps: clean_files(raw, hygiene, tagging is not None, store, steps)
        )
        files = cleaned
        identity["hygiene"] = files.files[0].parent.name
        rejected += cleaning_rejects(files)
    if tagging:
        tagged = stage("tag the pool", lambda steps: tag_files(files, tagging, store, steps))
        identity["tagging"], report["tagging"] = list(tagged.identity), tagged.report
        files = tagged.files
        rejected += tagging_rejects(store, tagged.identity)
    pool = stage("read the pool", lambda steps: _read(files, isinstance(source, LandedSource)))
    return ReadPool(replace(pool, rejected=(*rejected, *pool.rejected)), raw, identity, report)


def _compared(tagging: Any) -> tuple[str, ...]:
    return (tagging.compare_with,) if tagging and tagging.compare_with else ()


def _plain(config: ExperimentConfig, store: Path) -> Pool:
    """The pool of an experiment without steps."""
    if not isinstance(config.pool, LandedSource):
        return read_pool(config.pool)  # type: ignore[arg-type] # a world is read elsewhere
    return read_landed(store, config.pool.dataset, landed_marks(config.pool))


def _read(files: PoolFiles, landed: bool) -> Pool:
    if not landed:
        return replace(read_pool(files.source(files.files)), name=files.name)
    parts = [(part, read_pool(files.source(part.files))) for part in files.parts]
    merged = merge_landed(files.name, [(part.files[0], part.mark, pool.instructions) for part, pool in parts])
    return replace(merged, rejected=(*(row for _, pool in parts for row in pool.rejected), *merged.rejected))
