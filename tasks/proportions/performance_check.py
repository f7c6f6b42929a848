"""Equivalent amounts are a yardstick, not performance: whether the same effects predict that a proposal does harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tasks.effects.slopes import Slopes
from tasks.proportions.limits import Vector
from tasks.proportions.proposal import Proposal


def heed_performance(proposal: Proposal, slopes: Slopes, amount: float, confidence: float) -> Proposal:
    """Refuse a change whose weighted performance is predicted to fall.

    A category whose own data hardly matter any more has a tiny yardstick m_ii, so that help from others counts manifold
    in equivalent amounts; a program that maximizes these may move examples to where they do less for performance.

    Args:
        proposal: solved for equivalent amounts.
        slopes: weighted performance per unit of each source's amount, with error draws.
        amount: what the whole training set amounts to in that unit.
        confidence: level of the predicted gain's interval.

    Returns:
        The proposal; with the decision "keep" and the prediction as its reason where the whole interval of the
        predicted gain in performance lies below 0.
    """
    if proposal.decision == "keep" or slopes.errors is None:
        return proposal
    change = dict(zip(proposal.categories, _change(proposal) * amount, strict=True))
    step = np.array([change[name] for name in slopes.sources])
    value = float(slopes.value @ step)
    low, high = value + np.quantile(slopes.errors @ step, [(1 - confidence) / 2, (1 + confidence) / 2])
    if high >= 0:
        return proposal
    reason = (
        f"it gains in equivalent amounts, but the same effects predict that performance falls: {value:+.3g} "
        f"{slopes.unit}, between {low:+.3g} and {high:+.3g} with {100 * confidence:.4g}% confidence; "
        "the objective 'performance' looks for a change that helps"
    )
    return replace(proposal, decision="keep", reason=reason)


def _change(proposal: Proposal) -> Vector:
    return np.array(proposal.shares) - np.array(proposal.baseline_shares)
