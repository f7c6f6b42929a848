"""What a reader should know before trusting effects: names that do not meet, scores upside down, extrapolation."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from tasks.effects.extrapolation import far_mixtures
from tasks.effects.matrix import EffectMatrix, Matrix, RunTable

_SHOWN = 8
_LIKE = 0.7
_SAME = 0.01
"""Amounts that differ by less than 1 % of the baseline's are the same: weights are rounded."""


def name_notes(targets: Sequence[str], sources: Sequence[str]) -> tuple[str, ...]:
    """Targets that are no source and sources that are no target, with the names they may have been meant to be."""
    alone, unmeasured = [t for t in targets if t not in sources], [s for s in sources if s not in targets]
    notes = []
    if alone:
        notes.append(f"measured, but no source of the effects: {_listed(alone, unmeasured)}")
    if unmeasured:
        notes.append(f"a source, but not measured: {_listed(unmeasured, alone)}")
    return tuple(notes)


def yardstick_notes(matrix: EffectMatrix) -> tuple[str, ...]:
    """Targets whose own data do not measurably help them; whether the scores seem to be upside down."""
    column = {name: j for j, name in enumerate(matrix.sources)}
    own = [(i, column[name]) for i, name in enumerate(matrix.targets) if name in column]
    if not own:
        return ()
    rows, columns = np.array(own).T
    notes = []
    blank = [matrix.targets[i] for i in rows if not matrix.identified[i]]
    if blank:
        notes.append(
            f"no γ for {_listed(blank)}: their own data do not measurably help them, so there is no yardstick "
            "(blank rows)"
        )
    harmed = (matrix.delta[rows, columns] < 0) & (matrix.p_value[rows, columns] <= 1 - matrix.confidence)
    if harmed.all():
        notes.append(
            "its own data significantly hurt every category: are the scores higher-is-better? "
            "A loss is lower-is-better, the default; --higher-is-better is for accuracies and the like"
        )
    return tuple(notes)


def seed_notes(runs: RunTable) -> tuple[str, ...]:
    """What runs of a single seed cannot tell."""
    if len(set(runs.seeds)) > 1:
        return ()
    return (
        "all runs have the same seed, or none is given: what differs between seeds is unknown, and intervals of a new "
        "seed's score are too narrow",
    )


def unbent_notes(runs: RunTable, baseline: Matrix) -> tuple[str, ...]:
    """Whether the runs only remove whole sources, so that slopes at the baseline rest on the surface's form alone.

    Args:
        runs: what a surface was fitted to.
        baseline: [S] mixture at which slopes are taken.
    """
    less = (runs.amounts > _SAME * baseline) & (runs.amounts < (1 - _SAME) * baseline)
    if less.any():
        return ()
    return (
        "no run holds a part of what the baseline holds of a source, as leave-one-out and sequential designs go: the "
        "surface's slopes then rest on its form alone (in simulations their error was 1.3 times the paired "
        "estimator's); --estimator paired, or a factorial, mixtures or doses serve better",
    )


def extrapolated(runs: RunTable, without: Matrix) -> tuple[str, ...]:
    """Sources whose removal lies far outside the runs (`far_mixtures`), so that a surface's Δ extrapolates.

    Args:
        runs: what the surface was fitted to.
        without: [S, S] the baseline without each source.
    """
    return tuple(runs.sources[far.row] for far in far_mixtures(runs.sources, runs.amounts, without))


def extrapolation_note(sources: Sequence[str]) -> str:
    """What Δ of these sources is worth."""
    return (
        f"leaving out {_listed(sources)} lies far outside the runs: these Δ extrapolate, and their intervals are too "
        "narrow (95 % intervals of a category's own removal covered 64 to 82 % in simulations); slopes and γ at the "
        "baseline do not. Runs that leave a category out measure Δ"
    )


def _listed(names: Sequence[str], near: Sequence[str] = ()) -> str:
    said = []
    for name in names[:_SHOWN]:
        match = get_close_matches(name, near, 1, _LIKE)
        said.append(f"{name} (is it {match[0]}?)" if match else name)
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(said) + rest
