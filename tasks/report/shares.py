"""Baseline, proposal and sign rule side by side, one row per category."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.report.content import ReportData


@dataclass(frozen=True)
class ShareRow:
    """One category's counts.

    Attributes:
        category: its name.
        before: examples per epoch in the baseline.
        after: examples per epoch proposed.
        sign_rule: examples of the sign-rule control, None where there is none.
    """

    category: str
    before: int
    after: int
    sign_rule: int | None

    @property
    def change(self) -> int:
        """Examples more (or, negative, fewer) than in the baseline."""
        return self.after - self.before

    @property
    def relative(self) -> float:
        """Change as a share of the baseline's count; NaN where the baseline has none."""
        return self.change / self.before if self.before else float("nan")


def share_rows(report: ReportData) -> tuple[ShareRow, ...]:
    """Rows of the proposal, largest gain first; empty without one.

    Raises:
        ValueError: the baseline has no count for a category of the proposal.
    """
    proposal = report.proposal
    if proposal is None:
        return ()
    before, rule = dict(report.baseline_counts), dict(report.sign_rule)
    unknown = [c for c in proposal.categories if c not in before]
    if unknown:
        raise ValueError(f"the proposal has categories that the baseline counts lack: {unknown[:5]}")
    rows = [
        ShareRow(c, before[c], after, rule.get(c))
        for c, after in zip(proposal.categories, proposal.counts, strict=True)
    ]
    return tuple(sorted(rows, key=lambda r: (-r.change, r.category)))
