"""Baseline, proposal and sign rule side by side, one row per category, with how far each count could lie elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.report.content import ReportData

Span = tuple[float, float]
"""From … to …, in examples per epoch."""


@dataclass(frozen=True)
class ShareRow:
    """One category's counts.

    Attributes:
        category: its name.
        before: examples per epoch in the baseline.
        after: examples per epoch in the best proportions found.
        recommended: examples per epoch to train on: `after`, or `before` where the baseline is kept.
        sign_rule: examples of the sign-rule control, None where there is none.
        allowed: what the limits on this category alone allow, None where unknown.
        optimal: where its count could lie at no loss of gain, the others adapting; None where not computed.
        near: where it could lie at the small loss that the proposal's slack allows, likewise.
    """

    category: str
    before: int
    after: int
    recommended: int
    sign_rule: int | None
    allowed: Span | None
    optimal: Span | None
    near: Span | None

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
    n = proposal.total
    allowed = {one.category: (one.low, one.high) for one in report.allowed}
    optimal = {one.category: (one.optimal_low * n, one.optimal_high * n) for one in proposal.sensitivity}
    near = {one.category: (one.near_low * n, one.near_high * n) for one in proposal.sensitivity}
    rows = [
        ShareRow(c, before[c], after, recommended, rule.get(c), allowed.get(c), optimal.get(c), near.get(c))
        for c, after, recommended in zip(proposal.categories, proposal.counts, proposal.recommended_counts, strict=True)
    ]
    return tuple(sorted(rows, key=lambda r: (-r.change, r.category)))
