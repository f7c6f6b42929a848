"""Choose rows of a pool: by Deita's score and diversity, at random, or by length."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.hygiene.copying import copy_rows
from tasks.hygiene.draw import ranks
from tasks.inference.usage import Usage
from tasks.pool.lines_file import ResultFiles, written_to
from tasks.selection.candidates import Candidates, stream_messages
from tasks.selection.diversity import Choice, Vectors, greedy_diverse
from tasks.selection.grades import Scorer, Templates, deita_scores

Method = Literal["deita", "random", "length"]
Steps = Callable[[str, int, int], None]
"""Progress: (what is being done, done, of how many)."""
Batches = Iterator[tuple[NDArray[np.int64], Vectors]]

PASSED_OVER = "passed_over.jsonl"
SUMMARY = "summary.json"
OUTPUTS = ("pool.jsonl", "pool.parquet", "reserve.jsonl", "reserve.parquet", PASSED_OVER, SUMMARY)
"""Every name that a result may have."""

_SCORED_TOGETHER = 64
_EMBEDDED_AT_LEAST = 2048


class Embedder(Protocol):
    """Turns texts into vectors."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (texts, dimensions); equal texts have equal vectors."""
        ...


@dataclass(frozen=True)
class Selected:
    """A selection.

    Attributes:
        candidates: the pool.
        scores: what the ranking is by, larger first, (rows,); NaN for rows that cannot be chosen.
        choice: what was taken and what was passed over.
    """

    candidates: Candidates
    scores: NDArray[np.float64]
    choice: Choice


def model_scores(
    candidates: Candidates, scorer: Scorer, templates: Templates, steps: Steps | None = None
) -> NDArray[np.float64]:
    """Deita's score of every usable row from a scorer, (rows,); NaN for the others."""
    usable = candidates.usable
    scores = np.full(len(usable), np.nan)
    total = int(usable.sum())
    rows: list[int] = []
    waiting = []
    for done, (row, messages) in enumerate(stream_messages(candidates, usable), start=1):
        rows.append(row)
        waiting.append(messages)
        if len(rows) == _SCORED_TOGETHER or done == total:
            scores[rows] = deita_scores(waiting, scorer, templates)
            rows, waiting = [], []
            if steps:
                steps("Scoring", done, total)
    return scores


def column_scores(candidates: Candidates) -> NDArray[np.float64]:
    """Product of the grades that the pool's columns hold, (rows,); NaN for rows that cannot be chosen."""
    return np.where(candidates.usable, candidates.grades.prod(axis=1), np.nan)


def control_scores(candidates: Candidates, method: Literal["random", "length"]) -> NDArray[np.float64]:
    """What the controls rank by: nothing but the tie-break, or the answer's characters."""
    values = np.zeros(len(candidates.index)) if method == "random" else candidates.answer_characters.astype(float)
    return np.where(candidates.usable, values, np.nan)


def ranking(candidates: Candidates, scores: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Usable rows by falling score; equal scores by a hash of conversation and seed, whatever the order of the rows."""
    rows = np.flatnonzero(candidates.usable)
    tie = ranks(candidates.index, seed)[rows]
    return rows[np.lexsort((tie, -scores[rows]))]


@dataclass(frozen=True)
class Wish:
    """What a selection should be like.

    Attributes:
        size: rows to take.
        seed: of the order of equal scores.
        max_per_category: most rows of one category; None: no limit.
        similarity: cosine from which a row is too similar to one taken; counts only where vectors are given.
    """

    size: int
    seed: int = 0
    max_per_category: int | None = None
    similarity: float = 0.9


def choose(
    candidates: Candidates,
    scores: NDArray[np.float64],
    wish: Wish,
    batches: Callable[[NDArray[np.int64]], Batches] | None = None,
    steps: Steps | None = None,
) -> Selected:
    """Take the best rows, and with `batches` only rows unlike those taken before.

    Args:
        candidates: the pool.
        scores: larger is better, (rows,); usable rows have a finite one.
        wish: size and limits.
        batches: gives, for rows in order, their vectors batch by batch; None: no diversity filter.
        steps: progress.

    Raises:
        InputError: fewer rows than wished for can be taken.
        ValueError: a usable row has no finite score.
    """
    order = ranking(candidates, scores, wish.seed)
    if not np.isfinite(scores[order]).all():
        raise ValueError("a usable row has no score")
    counts: Counter[int] = Counter()

    def wanted(row: int) -> bool:
        category = int(candidates.index.category[row])
        if counts[category] == wish.max_per_category:
            return False
        counts[category] += 1
        return True

    watch = None if steps is None else lambda taken: steps("Choosing", taken, wish.size)
    if batches is None:
        choice = _top(order, wish.size, wanted)
    else:
        choice = greedy_diverse(batches(order), wish.similarity, wanted, wish.size, watch)
    if len(choice.taken) < wish.size:
        raise InputError(
            f"only {len(choice.taken)} of the {wish.size} rows asked for can be taken: {len(order)} usable rows, "
            f"{len(choice.similar)} too similar to a better one, {len(choice.full)} over max_per_category. "
            "Lower size, raise similarity or max_per_category, or add rows."
        )
    return Selected(candidates, scores, choice)


def embedded(
    candidates: Candidates, embedder: Embedder, size: int, steps: Steps | None = None
) -> Callable[[NDArray[np.int64]], Batches]:
    """Vectors of whole conversations, computed as far down the ranking as they are needed.

    Each portion is one pass over the files; its length depends on `size` alone.
    """

    def batches(order: NDArray[np.int64]) -> Batches:
        portion = max(_EMBEDDED_AT_LEAST, size)
        for start in range(0, len(order), portion):
            rows = order[start : start + portion]
            wanted = np.zeros(len(candidates.index), dtype=bool)
            wanted[rows] = True
            texts = {row: _joined(messages) for row, messages in stream_messages(candidates, wanted)}
            for first in range(0, len(rows), _EMBEDDED_AT_LEAST // 8):
                some = rows[first : first + _EMBEDDED_AT_LEAST // 8]
                yield some, np.asarray(embedder.encode([texts[row] for row in some.tolist()]), dtype=np.float32)
                if steps:
                    steps("Embedding", start + first + len(some), len(order))

    return batches


def stored_vectors(path: Path, rows: int, batch: int = 1024) -> Callable[[NDArray[np.int64]], Batches]:
    """Vectors from a NumPy file (.npy), one row per row of the pool in reading order; stays on the disk.

    Raises:
        InputError: the file is no such array.
    """
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a NumPy file ({error}); expected an array saved with numpy.save."
        ) from error
    if vectors.ndim != 2 or len(vectors) != rows or not np.issubdtype(vectors.dtype, np.floating):
        raise InputError(
            f"{path}: holds an array of shape {vectors.shape} and type {vectors.dtype}; expected floats, one row for "
            f"each of the pool's {rows} rows, in reading order."
        )

    for start in range(0, rows, batch):
        found = np.asarray(vectors[start : start + batch], dtype=np.float32)
        bad = ~np.isfinite(found).all(axis=1) | ~(found != 0).any(axis=1)
        if bad.any():
            raise InputError(
                f"{path}, row {start + int(bad.argmax()) + 1}: the vector is zero or not finite; expected a direction "
                "for every row of the pool. Compute the vectors again."
            )

    def batches(order: NDArray[np.int64]) -> Batches:
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            yield some, np.asarray(vectors[some], dtype=np.float32)

    return batches


def write_selected(selected: Selected, out: Path, steps: Steps | None = None, usage: Usage | None = None) -> None:
    """Write a folder: pool (the rows taken, as they were), reserve (usable rows not taken), passed_over.jsonl, summary.

    Rows that are too similar to a taken one, and rows that cannot be used, are in passed_over.jsonl with their reason
    and in neither of the others. summary.json is written last. All appear together or not at all; other files in the
    folder whose names are among `OUTPUTS` are of an earlier run and go.

    Args:
        selected: what was chosen.
        out: the folder.
        steps: progress.
        usage: what was asked of the scorer, for the summary; None: nothing was.

    Raises:
        InputError: the folder cannot be written to.
    """
    index, choice = selected.candidates.index, selected.choice
    taken = np.zeros(len(index), dtype=bool)
    taken[list(choice.taken)] = True
    rest = selected.candidates.usable & ~taken
    rest[[row for row, _ in choice.similar]] = False
    total = sum(path.stat().st_size for path in index.files)
    wanted = {out / f"pool.{index.kind}": taken, out / f"reserve.{index.kind}": rest}
    written = {*wanted, out / PASSED_OVER, out / SUMMARY}
    with written_to(out), ResultFiles() as files:
        copy_rows(index, wanted, None if steps is None else lambda done: steps("Writing", done, total), files)
        files.write(out / PASSED_OVER, _passed_over(selected))
        files.write(out / SUMMARY, [json.dumps(summary(selected, usage), ensure_ascii=False, indent=1)])
        files.without(out / name for name in OUTPUTS if out / name not in written)


def summary(selected: Selected, usage: Usage | None = None) -> dict[str, object]:
    """Counts and the scores' range, for people and programs; `usage` as in `write_selected`."""
    index, choice = selected.candidates.index, selected.choice
    taken = np.zeros(len(index), dtype=bool)
    taken[list(choice.taken)] = True
    chosen = selected.scores[list(choice.taken)]
    return {
        "rows": len(index),
        "usable": int(selected.candidates.usable.sum()),
        "taken": index.counts(taken),
        "repeated_ids": index.repeated_ids(selected.candidates.usable),
        "too_similar": len(choice.similar),
        "over_max_per_category": len(choice.full),
        "score_of_taken": {"lowest": float(chosen.min()), "mean": float(chosen.mean()), "highest": float(chosen.max())},
        **({"usage": asdict(usage)} if usage else {}),
    }


def _top(order: NDArray[np.int64], size: int, wanted: Callable[[int], bool]) -> Choice:
    taken: list[int] = []
    full: list[int] = []
    for row in order.tolist():
        if len(taken) == size:
            break
        (taken if wanted(row) else full).append(row)
    return Choice(tuple(taken), (), tuple(full))


def _passed_over(selected: Selected) -> Iterator[str]:
    index = selected.candidates.index
    twin = dict(selected.choice.similar)
    for row in sorted({*np.flatnonzero(index.reason >= 0).tolist(), *twin}):
        file, number = index.place(row)
        if row in twin:
            other, line = index.place(twin[row])
            reason = f"too similar: to {other}, line {line}"
        else:
            reason = index.reasons[index.reason[row]]
        yield json.dumps({"file": str(file), "line": number, "reason": reason}, ensure_ascii=False)


def _joined(messages: tuple[tuple[str, str], ...]) -> str:
    return "\n".join(content for role, content in messages if role != "system")
