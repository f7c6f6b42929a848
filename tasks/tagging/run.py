"""Tag a pool from file to file: one pass, memory but for ids independent of the number of rows."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.inference.answers import Failure
from tasks.pool.instruction import Instruction, RejectedRow
from tasks.pool.lines_file import ResultFiles, written_to
from tasks.pool.repeated_ids import RepeatedIds
from tasks.tagging.confusion import Confusion
from tasks.tagging.outcome import Tag, Tagger
from tasks.tagging.pool_rows import UntaggedRow
from tasks.tagging.tagged_files import (
    CONFUSION,
    LOW_CONFIDENCE,
    REJECTED,
    SUMMARY,
    companion,
    rejected_line,
    tagged_line,
)


@dataclass(frozen=True)
class TaggingOutput:
    """What to write.

    Attributes:
        out: the tagged pool; its companions lie beside it.
        minimum_confidence: rows below it go to `low-confidence.jsonl` beside `out`.
        tagger: what did it, written into every row.
        report: what else belongs into summary.json (agreement, tokens, settings).
        pool: the rows' name, for messages.
    """

    out: Path
    minimum_confidence: float
    tagger: str
    report: Callable[[], dict[str, Any]] = dict
    pool: str = "the pool"


@dataclass
class TaggingSummary:
    """What became of the rows.

    Attributes:
        kept: rows in the tagged pool, by category.
        low: rows set apart for their confidence, by category.
        rejected: rows without a tag, by kind of reason.
        confidence_sum: sum of the confidences of all tagged rows.
        confidences: tagged rows by tenth of the confidence: 9 stands for 0.9 and above.
        confusion: all tagged rows that have a native label.
        confusion_kept: of these, the rows in the tagged pool.
        first_rejected: the first row without a tag; None while there is none.
        highest: the largest confidence of all tagged rows.
        ids: the ids of all tagged rows.
    """

    kept: Counter[str] = field(default_factory=Counter)
    low: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    confidence_sum: float = 0.0
    confidences: Counter[int] = field(default_factory=Counter)
    confusion: Confusion = field(default_factory=Confusion)
    confusion_kept: Confusion = field(default_factory=Confusion)
    first_rejected: RejectedRow | None = None
    highest: float = 0.0
    ids: RepeatedIds = field(default_factory=RepeatedIds)

    def reject(self, row: RejectedRow) -> None:
        """Count a row without a tag."""
        self.rejected[row.kind] += 1
        self.first_rejected = self.first_rejected or row

    def count(self, tag: Tag, row: UntaggedRow, sure: bool) -> None:
        """Count a tagged row; `sure`: whether it is in the tagged pool."""
        (self.kept if sure else self.low)[tag.category] += 1
        self.ids.add(row.instruction.id)
        self.highest = max(self.highest, tag.confidence)
        self.confidence_sum += tag.confidence
        self.confidences[min(9, int(tag.confidence * 10))] += 1
        if row.native:
            self.confusion.add(row.native, tag.category)
            if sure:
                self.confusion_kept.add(row.native, tag.category)

    @property
    def tagged(self) -> int:
        """Rows with a category, whatever their confidence."""
        return self.kept.total() + self.low.total()

    def to_json(self) -> dict[str, Any]:
        """For summary.json."""
        native = self.confusion
        return {
            "rows": {"kept": self.kept.total(), "low_confidence": self.low.total(), "rejected": self.rejected.total()},
            "categories": dict(sorted(self.kept.items())),
            "low_confidence": dict(sorted(self.low.items())),
            "rejected": dict(self.rejected.most_common()),
            "repeated_ids": self.ids.repeated(),
            "mean_confidence": self.confidence_sum / self.tagged if self.tagged else None,
            "confidences": [self.confidences[tenth] for tenth in range(10)],
            "native_labels": None
            if not native.total
            else {
                "rows": native.total,
                "agreement": native.agreement if native.comparable else None,
                "standard_error": native.standard_error if native.comparable else None,
                "rows_kept": self.confusion_kept.total,
                "agreement_kept": self.confusion_kept.agreement if self.confusion_kept.comparable else None,
                "counts": [[*pair, n] for pair, n in sorted(native.counts.items())],
            },
        }


def tag_pool(
    rows: Iterable[UntaggedRow | RejectedRow],
    tagger: Tagger,
    output: TaggingOutput,
    progress: Callable[[int], None] | None = None,
) -> TaggingSummary:
    """Tag every row and write the files; they appear together at the end, or not at all.

    `out` is there even where no row is sure enough for it. Beside it: `low-confidence.jsonl`, `rejected.jsonl`
    (unusable and failed rows with their reasons) where there are any, `confusion.csv` where rows have native labels,
    and `summary.json`. Memory grows by 8 bytes a row, for the ids.

    Args:
        rows: the pool's rows in order.
        tagger: what tags them.
        output: where to, and which rows to set apart.
        progress: called with the number of rows done.

    Raises:
        InputError: no row got a category, or the files cannot be written.
    """
    out = output.out
    summary = TaggingSummary()
    with written_to(out), ResultFiles() as files:
        kept = files.lines(out, keep_empty=True)
        low = files.lines(companion(out, LOW_CONFIDENCE))
        rejects = files.lines(companion(out, REJECTED))
        for number, (row, outcome) in enumerate(_outcomes(rows, tagger), start=1):
            if isinstance(row, RejectedRow) or isinstance(outcome, Failure) or outcome is None:
                lost = row if isinstance(row, RejectedRow) else RejectedRow(row.file, row.line, _reason(outcome))
                rejects.write(rejected_line(lost))
                summary.reject(lost)
            else:
                sure = outcome.confidence >= output.minimum_confidence
                line = tagged_line(row.instruction, outcome, output.tagger, row.native)
                (kept if sure else low).write(line)
                summary.count(outcome, row, sure)
            if progress is not None:
                progress(number)
        if not summary.tagged:
            raise InputError(_nothing(output.pool, summary))
        _write_tables(files, summary, output)
    return summary


def _outcomes(rows: Iterable[UntaggedRow | RejectedRow], tagger: Tagger) -> Iterator[tuple[Any, Any]]:
    """Every row with its outcome, in order; what the tagger does not see keeps its place."""
    waiting: deque[UntaggedRow | RejectedRow] = deque()

    def usable() -> Iterator[Instruction]:
        for row in rows:
            waiting.append(row)
            if isinstance(row, UntaggedRow):
                yield row.instruction

    for _, outcome in tagger.tag(usable()):
        while isinstance(waiting[0], RejectedRow):
            yield waiting.popleft(), None
        yield waiting.popleft(), outcome
    while waiting:
        yield waiting.popleft(), None


def _reason(outcome: Any) -> str:
    return outcome.reason if isinstance(outcome, Failure) else "not tagged: the tagger gave no outcome"


def _nothing(pool: str, summary: TaggingSummary) -> str:
    lost = summary.first_rejected
    if lost is None:
        return f"{pool}: holds no rows; expected at least one instruction. Check that the file was written completely."
    kinds = ", ".join(f"{kind} ({n})" for kind, n in summary.rejected.most_common(5))
    return (
        f"{pool}: none of {summary.rejected.total()} rows got a category: {kinds}. First: {lost.file}, line "
        f"{lost.line}: {lost.reason}. Expected chat messages, Alpaca or ShareGPT rows with an answer, and a model that "
        "answers. Correct the rows, or what the reason names. Nothing was written."
    )


def _write_tables(files: ResultFiles, summary: TaggingSummary, output: TaggingOutput) -> None:
    table = companion(output.out, CONFUSION)
    if summary.confusion.total:
        files.write(table, summary.confusion.csv_lines())
    else:
        files.without([table])
    content = {
        "tagger": output.tagger,
        "minimum_confidence": output.minimum_confidence,
        **summary.to_json(),
        **output.report(),
    }
    lines = [json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)]
    files.write(companion(output.out, SUMMARY), lines)
