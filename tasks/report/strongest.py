"""Which effects stand out: cells between different categories, ranked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.effects.matrix import EffectMatrix


@dataclass(frozen=True)
class Cell:
    """One effect: what the data of `source` gives to `target`; positive = it helps.

    Attributes:
        row: index of the target.
        column: index of the source.
        source: whose data.
        target: what is measured.
        delta: mean paired difference, in the effects' unit.
        low: lower end of its interval.
        high: upper end.
        q_value: Benjamini–Hochberg.
        shown: q ≤ the false discovery rate.
        own: source and target are the same category.
    """

    row: int
    column: int
    source: str
    target: str
    delta: float
    low: float
    high: float
    q_value: float
    shown: bool
    own: bool


def cells(effects: EffectMatrix, fdr: float) -> tuple[Cell, ...]:
    """Every cell, row by row."""
    return tuple(
        Cell(
            i,
            j,
            source,
            target,
            float(effects.delta[i, j]),
            float(effects.low[i, j]),
            float(effects.high[i, j]),
            float(effects.q_value[i, j]),
            bool(effects.q_value[i, j] <= fdr),
            source == target,
        )
        for i, target in enumerate(effects.targets)
        for j, source in enumerate(effects.sources)
    )


@dataclass(frozen=True)
class Contrast:
    """The cells between different categories in brief.

    Attributes:
        cross: how many there are.
        helps: those shown to help, strongest first.
        hurts: those shown to hurt, strongest first.
    """

    cross: int
    helps: tuple[Cell, ...]
    hurts: tuple[Cell, ...]


def contrast(effects: EffectMatrix, fdr: float) -> Contrast:
    """Count and rank what is shown at that false discovery rate."""
    cross = [c for c in cells(effects, fdr) if not c.own]
    shown = sorted((c for c in cross if c.shown), key=lambda c: (-abs(c.delta), c.row, c.column))
    return Contrast(len(cross), tuple(c for c in shown if c.delta > 0), tuple(c for c in shown if c.delta < 0))


def ranked(effects: EffectMatrix, fdr: float, most: int) -> tuple[Cell, ...]:
    """Cross cells for a list: all of them if they are at most `most`, else the shown ones, at most `most`.

    Ordered by |delta|, shown ones first.
    """
    cross = [c for c in cells(effects, fdr) if not c.own and np.isfinite(c.delta)]
    cross.sort(key=lambda c: (not c.shown, -abs(c.delta), c.row, c.column))
    return tuple(cross if len(cross) <= most else [c for c in cross if c.shown][:most])
