"""The step `selection` of an experiment: the baseline's rows, chosen once per training rows and options."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.pool_blocks import Selection
from flows.pool_files import PoolFiles, Steps
from tasks.errors import InputError
from tasks.fingerprint import file_sha256, fingerprint, folder_sha256
from tasks.pool.instruction import Pool
from tasks.selection.baseline import SOURCE, BaselineRows, baseline_rows, load_baseline, save_baseline, write_candidates
from tasks.selection.candidates import Candidates, read_candidates, row_grades
from tasks.selection.grades import Templates, read_templates
from tasks.selection.select import Batches, Wish, choose, column_scores, control_scores, embedded, model_scores

VERSION = "1"
"""Changes whenever the same rows and options would give another selection."""

Grades = Mapping[str, Sequence[float]]
Scores = Callable[[Candidates], NDArray[np.float64]]
Vectors = Callable[[Candidates], Callable[[NDArray[np.int64]], Batches]]


@dataclass(frozen=True)
class Chosen:
    """A selection and what it depends on.

    Attributes:
        rows: selected rows, and those that are in neither baseline nor reserve.
        identity: fingerprint of training rows, grades, options and models.
    """

    rows: BaselineRows
    identity: str


def select_rows(train: Pool, raw: PoolFiles | None, selection: Selection, store: Path, steps: Steps) -> Chosen:
    """Choose the baseline's rows; what was chosen before is read.

    Args:
        train: the training rows.
        raw: the pool's files before any step, whose rows hold the grades; None where they hold no further fields.
        selection: method and limits.
        store: the artifact store.
        steps: progress.

    Raises:
        InputError: grades, model or files are missing, or fewer rows than `size` can be taken.
    """
    fields = selection.fields if selection.method == "deita" and selection.scorer is None else ()
    grades = _grades(raw, fields, train) if fields else None
    identity = fingerprint(
        {
            "version": VERSION,
            "train": train.content_hash,
            "grades": None if grades is None else _grades_sha256(grades),
            **_options_identity(selection),
        }
    )
    folder = store / "selections" / identity
    path = folder / "selection.json"
    if not path.exists():
        candidates = folder / "candidates.jsonl"
        write_candidates(candidates, train, fields, grades)
        wish = Wish(selection.size, selection.seed, selection.max_per_category, selection.similarity)
        with ExitStack() as stack:
            scores, vectors = _scores(selection, folder, stack, steps), _vectors(selection, steps)
            rows = read_candidates((str(candidates),), SOURCE, fields, lambda *n: steps("Reading", *n))
            if not rows.usable.any():
                raise InputError(f"selection: no training row can be chosen; first: {rows.index.reasons[0]}.")
            found = choose(rows, scores(rows), wish, vectors(rows) if vectors else None, steps)
        save_baseline(path, baseline_rows(train, found, wish, selection.reserve))
        candidates.unlink()
    return Chosen(load_baseline(path), identity)


def _grades(raw: PoolFiles | None, fields: tuple[str, ...], train: Pool) -> Grades:
    if raw is None:
        raise InputError(
            "selection.method deita needs grades, but data sets that landed keep no further fields: give a model with "
            "selection.scorer, or choose the method random or length."
        )
    wanted = {row.content_hash for row in train.instructions}
    found = row_grades(raw.source(raw.files), fields)
    return {content: grades for content, grades in found.items() if content in wanted}


def _grades_sha256(grades: Grades) -> str:
    digest = hashlib.sha256()
    for content in sorted(grades):
        digest.update(f"{content} {list(grades[content])}\n".encode())
    return digest.hexdigest()


def _scores(selection: Selection, folder: Path, stack: ExitStack, steps: Steps) -> Scores:
    method = selection.method
    if method != "deita":
        return lambda candidates: control_scores(candidates, method)
    if selection.scorer is None:
        return column_scores
    from tasks.selection.model_scorers import ScorerConfig, open_scorer

    config = ScorerConfig(
        engine=selection.scorer_engine,
        model=selection.scorer,
        url=selection.scorer_url or "",
        concurrency=selection.scorer_concurrency,
        options=selection.scorer_options,
    )
    scorer = stack.enter_context(open_scorer(config, folder / "answers.jsonl"))
    return lambda candidates: model_scores(candidates, scorer, _templates(selection), steps)


def _vectors(selection: Selection, steps: Steps) -> Vectors | None:
    if selection.method != "deita":
        return None
    from tasks.tagging.embedding import load_embedder

    folder = selection.embedding_model
    embedder = load_embedder(Path(folder) if folder else None)
    return lambda candidates: embedded(candidates, embedder, selection.size, steps)


def _templates(selection: Selection) -> Templates:
    complexity, quality = selection.complexity_template, selection.quality_template
    return read_templates(Path(complexity) if complexity else None, Path(quality) if quality else None)


def _options_identity(selection: Selection) -> dict[str, Any]:
    names = {"scorer", "scorer_url", "scorer_concurrency", "complexity_template", "quality_template", "embedding_model"}
    identity: dict[str, Any] = {"options": selection.model_dump(mode="json", exclude=names)}
    if selection.scorer:
        local = Path(selection.scorer).expanduser()
        identity["scorer"] = folder_sha256(local) if local.is_dir() else selection.scorer
    for name in ("complexity_template", "quality_template"):
        path = getattr(selection, name)
        identity[name] = file_sha256(Path(path)) if path else None
    if selection.method == "deita":
        folder = selection.embedding_model
        identity["embedding_model"] = folder_sha256(Path(folder)) if folder else "MiniLM"
    return identity
