"""The bulk tagger: a linear model from a few labelled rows and the unlabelled pool, applied by several processes."""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.errors import RunError
from tasks.optional import need
from tasks.pool.instruction import Instruction
from tasks.tagging.batches import batches
from tasks.tagging.embedding import Embedder, prompt_text
from tasks.tagging.lexical import LexicalFeatures
from tasks.tagging.linear import Agreement, LinearModel, fit_linear
from tasks.tagging.outcome import Outcome, Tag

Features = Literal["lexical", "embedding", "both"]
"""What the classifier looks at."""

SAMPLE_ROWS = 10_000
"""Unlabelled rows that the classifier learns from, whatever the size of the pool."""

_BATCH_ROWS = 500
_WAITING_BATCHES = 3
"""Batches under way per process: enough to keep it busy."""


class FeatureReader:
    """Instructions → features [n, terms]: lexical, embeddings of the prompt, or both side by side."""

    def __init__(self, kind: Features, fitted_on: Sequence[Instruction], embedder: Embedder | None) -> None:
        if kind != "lexical" and embedder is None:
            raise ValueError(f"features {kind} need an embedder")
        self._lexical = LexicalFeatures(fitted_on) if kind != "embedding" else None
        self._embedder = embedder if kind != "lexical" else None

    def read(self, rows: Sequence[Instruction]) -> Any:
        """Features of the rows, sparse if any are lexical."""
        dense = None if self._embedder is None else self._embedder.encode([prompt_text(row) for row in rows])
        if self._lexical is None:
            return dense
        sparse = self._lexical.transform(rows)
        if dense is None:
            return sparse
        from scipy.sparse import csr_matrix, hstack

        return hstack([sparse, csr_matrix(dense)]).tocsr()


@dataclass(frozen=True)
class TrainedClassifier:
    """What a process needs to tag.

    Attributes:
        reader: instructions → features.
        model: features → chances.
        agreement: cross-validated agreement with the labels it was trained on.
    """

    reader: FeatureReader
    model: LinearModel
    agreement: Agreement

    def outcomes(self, rows: Sequence[Instruction]) -> list[Tag]:
        """The likeliest category of each row; its confidence is its calibrated chance."""
        chances = self.model.chances(self.reader.read(rows))
        best = chances.argmax(axis=1)
        return [Tag(self.model.categories[b], float(c)) for b, c in zip(best, chances.max(axis=1), strict=True)]


def train_classifier(
    labelled: Sequence[Instruction],
    unlabelled: Sequence[Instruction],
    categories: tuple[str, ...],
    kind: Features = "lexical",
    embedder: Embedder | None = None,
) -> TrainedClassifier:
    """Train on labelled rows and learn from unlabelled ones of the pool too.

    A conversation that is in both counts as labelled only. See `tasks.tagging.linear.fit_linear` for the method and
    `tasks.tagging.lexical` for the features.
    """
    need("sklearn", "scikit-learn")
    known = {row.messages for row in labelled}
    others = [row for row in unlabelled if row.messages not in known]
    reader = FeatureReader(kind, [*labelled, *others], embedder)
    place = {name: index for index, name in enumerate(categories)}
    labels = np.array([place[row.category] for row in labelled])
    features = reader.read(labelled)
    model, agreement = fit_linear(features, labels, reader.read(others) if others else features[:0], categories)
    return TrainedClassifier(reader, model, agreement)


class ClassifierTagger:
    """Applies a trained classifier on `processes` processes; one stays in this process.

    The result does not depend on their number.
    """

    def __init__(self, trained: TrainedClassifier, processes: int = 1) -> None:
        self.categories = trained.model.categories
        self._trained = trained
        self._processes = processes

    def tag(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Outcome]]:
        """The likeliest category of each row.

        Raises:
            RunError: a process died.
        """
        if self._processes == 1:
            for batch in batches(rows, _BATCH_ROWS):
                yield from zip(batch, self._trained.outcomes(batch), strict=True)
            return
        # Through a file: handed over in a pipe, it would block for ever if the new process died at its start.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "classifier.pickle"
            file.write_bytes(pickle.dumps(self._trained))
            context = multiprocessing.get_context("spawn")
            try:
                with ProcessPoolExecutor(self._processes, context, _take, (file,)) as pool:
                    yield from _ordered(pool, rows, self._processes * _WAITING_BATCHES)
            except BrokenProcessPool as error:
                raise RunError(
                    "A tagging process died, perhaps for lack of memory. Run again with fewer --processes."
                ) from error


def _ordered(
    pool: ProcessPoolExecutor, rows: Iterable[Instruction], limit: int
) -> Iterator[tuple[Instruction, Outcome]]:
    waiting: deque[tuple[tuple[Instruction, ...], Future[list[Tag]]]] = deque()
    for batch in batches(rows, _BATCH_ROWS):
        waiting.append((batch, pool.submit(_outcomes, batch)))
        if len(waiting) >= limit:
            done, future = waiting.popleft()
            yield from zip(done, future.result(), strict=True)
    while waiting:
        done, future = waiting.popleft()
        yield from zip(done, future.result(), strict=True)


_trained_here: TrainedClassifier | None = None
"""The classifier of a worker process, sent once and not with every batch."""


def _take(file: Path) -> None:
    global _trained_here  # noqa: PLW0603 - set once in a process of our own
    _trained_here = pickle.loads(file.read_bytes())  # noqa: S301 - written by our parent in a folder of its own


def _outcomes(rows: Sequence[Instruction]) -> list[Tag]:
    if _trained_here is None:
        raise ValueError("the process has no classifier")
    return _trained_here.outcomes(rows)
