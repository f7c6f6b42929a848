"""What the report says of the pool's preparation: cleaning, tags and selection, as their steps counted them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.tagging.confusion import Confusion


@dataclass(frozen=True)
class CleaningSummary:
    """Rows that left before anything else.

    Attributes:
        rows: rows read.
        left: (kind of reason, rows), most frequent first; held-out prompts last.
        items: benchmark items looked for; None where there were none.
        items_found: of these, how many a row held.
    """

    rows: int
    left: tuple[tuple[str, int], ...]
    items: int | None
    items_found: int


@dataclass(frozen=True)
class TaggingSummary:
    """How rows got their categories.

    Attributes:
        tagger: engine and model.
        minimum_confidence: rows below it were set apart.
        categories: (category, rows in the pool, rows set apart).
        rejected: (kind of reason, rows) of rows without a tag.
        confidences: (from, rows) for each tenth of confidence, all tagged rows.
        confusion: native labels against categories; empty where there are none.
        learnt: agreement in cross-validation and its standard error, shares; None for engines that learn nothing.
        cost: (questions, prompt tokens, completion tokens, dollars); None for engines that ask no model.
    """

    tagger: str
    minimum_confidence: float
    categories: tuple[tuple[str, int, int], ...]
    rejected: tuple[tuple[str, int], ...]
    confidences: tuple[tuple[float, int], ...]
    confusion: Confusion
    learnt: tuple[float, float] | None
    cost: tuple[int, int, int, float] | None

    @property
    def agreement(self) -> tuple[float, float, int] | None:
        """Share of rows whose category is their native label, its standard error, and rows compared."""
        found = self.confusion
        return (found.agreement, found.standard_error, found.total) if found.comparable else None


@dataclass(frozen=True)
class SelectionSummary:
    """What the baseline trains on.

    Attributes:
        method: how rows were chosen.
        categories: (category, rows of the baseline, rows of its reserve).
        left: (kind of reason, rows) of rows in neither.
        score: lowest, mean and highest score of the selected rows.
    """

    method: str
    categories: tuple[tuple[str, int, int], ...]
    left: tuple[tuple[str, int], ...]
    score: tuple[float, float, float]


@dataclass(frozen=True)
class PoolSteps:
    """The steps that an experiment asked for; None where it did not."""

    cleaning: CleaningSummary | None = None
    tagging: TaggingSummary | None = None
    selection: SelectionSummary | None = None


def pool_steps(found: Mapping[str, Any], method: str) -> PoolSteps:
    """The steps' summaries from their counts by key (hygiene, tagging, selection); `method` is the selection's."""
    return PoolSteps(
        _cleaning(found["hygiene"]) if "hygiene" in found else None,
        _tagging(found["tagging"]) if "tagging" in found else None,
        _selection(found["selection"], method) if "selection" in found else None,
    )


def _cleaning(found: Mapping[str, Any]) -> CleaningSummary:
    held_out = found.get("held_out", 0)
    more = (("holds a held-out prompt", held_out),) if held_out else ()
    items = found.get("benchmark")
    return CleaningSummary(
        found["rows"],
        (*found["dropped"].items(), *more),
        items and items["items"],
        items["items_found"] if items else 0,
    )


def _tagging(found: Mapping[str, Any]) -> TaggingSummary:
    sure, low = found["categories"], found["low_confidence"]
    checked, usage = found["cross_validation"], found["usage"]
    keys = ("asked", "tokens_in", "tokens_out", "cost")
    return TaggingSummary(
        tagger=found["tagger"],
        minimum_confidence=found["minimum_confidence"],
        categories=tuple((name, sure.get(name, 0), low.get(name, 0)) for name in sorted({*sure, *low})),
        rejected=tuple(found["rejected"].items()),
        confidences=tuple((tenth / 10, rows) for tenth, rows in enumerate(found["confidences"])),
        confusion=Confusion(Counter({(native, category): n for native, category, n in found["confusion"]})),
        learnt=(checked["agreement"], checked["standard_error"]) if checked else None,
        cost=tuple(sum(one[key] for one in usage) for key in keys) if usage else None,
    )


def _selection(found: Mapping[str, Any], method: str) -> SelectionSummary:
    score = found["score"]
    return SelectionSummary(
        method,
        tuple((name, rows, found["reserve"].get(name, 0)) for name, rows in found["selected"].items()),
        tuple(found["left"].items()),
        (score["lowest"], score["mean"], score["highest"]),
    )
