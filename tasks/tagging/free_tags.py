"""Free tags in the manner of InsTag: generate, normalize, map to first-level categories; every step as a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.errors import InputError
from tasks.inference.answers import Failure
from tasks.pool.instruction import Instruction
from tasks.pool.lines_file import csv_lines, write_lines
from tasks.tagging.categories import Categories
from tasks.tagging.embedding import Embedder
from tasks.tagging.first_level import FirstLevel, discover_categories, map_to_categories
from tasks.tagging.model_tagger import Asked
from tasks.tagging.normalization import Normalization, NormalizationRules, normalize_tags
from tasks.tagging.outcome import Outcome, Tag
from tasks.tagging.questions import tags_question

RawTags = tuple[str, ...]


@dataclass(frozen=True)
class FreeTagging:
    """A pool's free tags and what they became.

    Attributes:
        raw: every usable row's tags as the model named them, or why there are none, in the pool's order.
        normalization: raw tags to vocabulary.
        first_level: vocabulary to categories.
    """

    raw: tuple[RawTags | Failure, ...]
    normalization: Normalization
    first_level: FirstLevel


def generate_tags(
    rows: Iterable[Instruction], model: Asked, progress: Callable[[int], None] | None = None
) -> tuple[RawTags | Failure, ...]:
    """Ask the model for every row's tags; `model` must ask `tags_question`.

    Raises:
        InputError: see `Endpoint.ask`.
    """
    question = tags_question()
    found: list[RawTags | Failure] = []
    for number, (_, answer) in enumerate(model.ask(rows), start=1):
        found.append(answer if isinstance(answer, Failure) else tuple(question.value(answer.contents[0])))
        if progress is not None:
            progress(number)
    return tuple(found)


def organize_tags(
    raw: Sequence[RawTags | Failure],
    embedder: Embedder,
    rules: NormalizationRules,
    categories: Categories | int,
) -> FreeTagging:
    """Normalize generated tags and map them to categories.

    Args:
        raw: see `generate_tags`.
        embedder: for merging and mapping by meaning.
        rules: thresholds of the normalization.
        categories: a list, or how many to find in the tags themselves.

    Raises:
        InputError: no row has an answer; or no tag, or fewer tags than categories, reach the floor.
    """
    failures = [tags for tags in raw if isinstance(tags, Failure)]
    if raw and len(failures) == len(raw):
        raise InputError(
            f"None of {len(raw)} rows got free tags; the first: {failures[0].reason}. Correct what the reason names, "
            "and run the command again."
        )
    normalization = normalize_tags([tags for tags in raw if not isinstance(tags, Failure)], embedder.encode, rules)
    tags = [tag for tag, _ in normalization.vocabulary]
    least = categories if isinstance(categories, int) else 1
    if len(tags) < least:
        unanswered = f" {len(failures)} rows got no answer; the first: {failures[0].reason}." if failures else ""
        raise InputError(
            f"{len(tags)} tags are left of {len(normalization.steps[0][1])} raw ones, too few for {least} "
            f"categories.{unanswered} Lower --minimum-tag-rows (now {rules.minimum_rows}) or --first-level."
        )
    directions = np.asarray(embedder.encode(tags))
    if isinstance(categories, int):
        counts = [rows for _, rows in normalization.vocabulary]
        first_level = discover_categories(tags, counts, directions, categories)
    else:
        first_level = map_to_categories(tags, directions, categories.names, embedder.encode(categories.texts()))
    return FreeTagging(tuple(raw), normalization, first_level)


def write_vocabulary(tagging: FreeTagging, folder: Path) -> None:
    """Write every step as CSV: 1-form, 2-floor, 3-meaning, 4-association (tag, rows, into, strength), 5-categories
    (tag, rows, category, cosine).

    An empty `into` is a dropped tag; `strength` is the cosine (meaning) or the share of rows (association).

    Raises:
        OSError: see `tasks.pool.lines_file.write_lines`.
    """
    for number, (name, merges) in enumerate(tagging.normalization.steps, start=1):
        table = [["tag", "rows", "into", "strength"]]
        table += [[m.tag, str(m.rows), m.into, "" if math.isnan(m.strength) else f"{m.strength:.4f}"] for m in merges]
        write_lines(folder / f"{number}-{name}.csv", csv_lines(table))
    first = tagging.first_level
    rows = dict(tagging.normalization.vocabulary)
    best = first.cosines.argmax(axis=1)
    table = [["tag", "rows", "category", "cosine"]]
    table += [
        [tag, str(rows[tag]), first.categories[b], f"{first.cosines[i, b]:.4f}"]
        for i, (tag, b) in enumerate(zip(first.tags, best.tolist(), strict=True))
    ]
    write_lines(folder / "5-categories.csv", csv_lines(table))


class FreeTagger:
    """Categories of rows whose tags were generated and organized before.

    A row's chance of a category is the mean over its normalized tags; the confidence is that of the best. A row
    without any tag of the vocabulary fails, saying so.
    """

    def __init__(self, tagging: FreeTagging) -> None:
        self.categories = tagging.first_level.categories
        self._raw = tagging.raw
        self._mapping = tagging.normalization.mapping()
        self._chances = dict(zip(tagging.first_level.tags, tagging.first_level.chances, strict=True))

    def tag(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Outcome]]:
        """The category of each row; `rows` are those whose tags were generated, in that order.

        Raises:
            ValueError: there are more or fewer rows than then.
        """
        for row, raw in zip(rows, self._raw, strict=True):
            yield row, raw if isinstance(raw, Failure) else self._outcome(raw)

    def _outcome(self, raw: RawTags) -> Outcome:
        tags = tuple(dict.fromkeys(self._mapping[tag] for tag in raw if tag in self._mapping))
        if not tags:
            return Failure(f"no frequent tag: the model named {', '.join(raw) or 'none'}")
        chances = np.mean([self._chances[tag] for tag in tags], axis=0)
        best = int(chances.argmax())
        return Tag(self.categories[best], float(chances[best]), tags)
