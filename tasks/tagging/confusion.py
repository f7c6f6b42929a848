"""Native labels against assigned categories, counted row by row."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from tasks.pool.lines_file import csv_lines


@dataclass
class Confusion:
    """How often each native label was given each category.

    Attributes:
        counts: (native label, category) → rows.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, native: str, category: str) -> None:
        """Count one row."""
        self.counts[native, category] += 1

    @property
    def total(self) -> int:
        """Rows counted."""
        return self.counts.total()

    @property
    def comparable(self) -> bool:
        """Whether any native label is the name of a category that was given; else agreement means nothing."""
        return bool({native for native, _ in self.counts} & {category for _, category in self.counts})

    @property
    def agreement(self) -> float:
        """Share of the rows whose category is their native label; NaN without rows."""
        same = sum(n for (native, category), n in self.counts.items() if native == category)
        return same / self.total if self.total else math.nan

    @property
    def standard_error(self) -> float:
        """Binomial standard error of the agreement; NaN without rows."""
        share = self.agreement
        return math.sqrt(share * (1 - share) / self.total) if self.total else math.nan

    def table(self) -> list[list[str]]:
        """Header and rows: native labels down, categories across, each row with its number and share of agreement.

        Both are sorted; a label that is no category, or the other way round, has no column or row.
        """
        natives = sorted({native for native, _ in self.counts})
        categories = sorted({category for _, category in self.counts})
        lines = [["native label", *categories, "rows", "agreement"]]
        for native in natives:
            row = [self.counts[native, category] for category in categories]
            lines.append([native, *map(str, row), str(sum(row)), f"{self.counts[native, native] / sum(row):.4f}"])
        return lines

    def csv_lines(self) -> list[str]:
        """The table as lines of CSV."""
        return csv_lines(self.table())
