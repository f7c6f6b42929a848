"""The bulk tagger: a linear model from a few labelled rows and the unlabelled pool, applied by several processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tasks.optional import need
from tasks.pool.instruction import Instruction
from tasks.tagging.batches import text_batches
from tasks.tagging.embedding import Embedder, prompt_text
from tasks.tagging.lexical import LexicalFeatures
from tasks.tagging.linear import Agreement, LinearModel, fit_linear
from tasks.tagging.outcome import Outcome, Tag
from tasks.tagging.workers import Workers

Features = Literal["lexical", "embedding", "both"]
"""What the classifier looks at."""

SAMPLE_ROWS = 10_000
"""Unlabelled rows that the classifier learns from, whatever the size of the pool."""

_BATCH_ROWS = 2000
_BATCH_CHARACTERS = 4_000_000
"""Keeps a process below some 300 MB where rows are long."""


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
    workers: Workers | None = None,
) -> TrainedClassifier:
    """Train on labelled rows and learn from unlabelled ones of the pool too; on all `workers`, with the same result.

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
    unknown = reader.read(others) if others else features[:0]
    model, agreement = fit_linear(features, labels, unknown, categories, workers=workers)
    return TrainedClassifier(reader, model, agreement)


class ClassifierTagger:
    """Applies a trained classifier on all `workers`; without any, in this process.

    The result does not depend on their number.
    """

    def __init__(self, trained: TrainedClassifier, workers: Workers | None = None) -> None:
        self.categories = trained.model.categories
        self._trained = trained
        self._workers = workers or Workers()

    def tag(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Outcome]]:
        """The likeliest category of each row.

        Raises:
            RunError: a process died.
        """
        parts = text_batches(rows, _BATCH_ROWS, _BATCH_CHARACTERS)
        for batch, tags in self._workers.each(TrainedClassifier.outcomes, self._trained, parts):
            yield from zip(batch, tags, strict=True)
