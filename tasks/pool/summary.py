"""What became of a pool's rows: counts for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tasks.pool.instruction import Pool


@dataclass(frozen=True)
class PoolSummary:
    """Counts of a pool.

    Attributes:
        name: the pool's name.
        kept: (category, rows), sorted by category.
        rejected: (kind of reason, rows), most frequent first.
    """

    name: str
    kept: tuple[tuple[str, int], ...]
    rejected: tuple[tuple[str, int], ...]

    @property
    def kept_total(self) -> int:
        """Rows kept."""
        return sum(n for _, n in self.kept)

    @property
    def rejected_total(self) -> int:
        """Rows rejected."""
        return sum(n for _, n in self.rejected)

    def text(self) -> str:
        """Several lines for a terminal."""
        lines = [f"{self.name}: {self.kept_total} rows kept in {len(self.kept)} categories"]
        lines += [f"  {n:>9}  {category}" for category, n in self.kept]
        lines.append(f"{self.rejected_total} rows rejected")
        lines += [f"  {n:>9}  {kind}" for kind, n in self.rejected]
        return "\n".join(lines)


def summary(pool: Pool) -> PoolSummary:
    """Count what was kept per category and rejected per kind of reason."""
    rejected = Counter(row.kind for row in pool.rejected)
    return PoolSummary(
        pool.name,
        tuple(sorted(pool.counts().items())),
        tuple(sorted(rejected.items(), key=lambda item: (-item[1], item[0]))),
    )
