"""The stage's value types."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """A category's place in the taxonomy."""

    BASE = "base"
    """Supports others, depends on none."""
    MIDDLE = "middle"
    """Supports others and depends on others, or is in no edge at all."""
    DEPENDENT = "dependent"
    """Depends on others, supports none."""


@dataclass(frozen=True)
class Edge:
    """source → target: source is preliminary to target; target depends on source.

    Attributes:
        source: the preliminary category.
        target: the dependent category.
        delta: what removing the source costs the target, in the effects' unit (> 0).
        q_value: Benjamini–Hochberg q-value of delta.
        asymmetry_p: one-sided p-value that the reverse effect is smaller.
        stability: share of bootstrap worlds in which the edge appears; NaN where seeds are too few.
        pair_out_p: one-sided p-value that the target's own gain is smaller without the source; NaN without pair-out
            runs of the two.
        confirmed: whether pair-out runs confirm the edge; None without any.
    """

    source: str
    target: str
    delta: float
    q_value: float
    asymmetry_p: float
    stability: float
    pair_out_p: float = math.nan
    confirmed: bool | None = None


@dataclass(frozen=True)
class Taxonomy:
    """A directed acyclic graph over the categories.

    Attributes:
        categories: all category names, sorted.
        edges: kept edges, sorted by (source, target).
        reduced: the (source, target) pairs of the transitive reduction, for drawing.
        removed: edges taken out to break cycles (a minimum-weight feedback arc set).
        levels: (category, level); 0 = depends on nothing; otherwise the longest path from a root.
        roles: (category, role).
        removed_exactly: whether `removed` is proven to be of minimum weight; False where a cyclic part was too large
            to solve exactly and a heuristic chose.
        unconfirmed: edges taken out, before cycles were broken, because pair-out runs were required to confirm them
            and did not (confirmed is False) or do not exist (confirmed is None).
    """

    categories: tuple[str, ...]
    edges: tuple[Edge, ...]
    reduced: tuple[tuple[str, str], ...]
    removed: tuple[Edge, ...]
    levels: tuple[tuple[str, int], ...]
    roles: tuple[tuple[str, Role], ...]
    removed_exactly: bool = True
    unconfirmed: tuple[Edge, ...] = ()
