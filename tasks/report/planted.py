"""Recovered dependencies against planted ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tasks.report.content import PlantedEdges
from tasks.taxonomy.taxonomy import Taxonomy


class Finding(StrEnum):
    """What became of an edge."""

    RECOVERED = "found"
    """In the taxonomy; planted as direct (or nothing is known about the truth)."""
    INDIRECT = "indirect"
    """In the taxonomy; planted as indirect: true, but through another category."""
    NOT_PLANTED = "not planted"
    """In the taxonomy, but not in the planted world."""
    MISSED = "missed"
    """Planted as direct, not in the taxonomy."""


@dataclass(frozen=True)
class Comparison:
    """Every edge that was found or planted as direct, with what became of it, sorted by (source, target)."""

    edges: tuple[tuple[str, str, Finding], ...]

    def count(self, finding: Finding) -> int:
        """How many edges have that finding."""
        return sum(1 for _, _, f in self.edges if f is finding)


def compare(taxonomy: Taxonomy, planted: PlantedEdges) -> Comparison:
    """Name each edge of the taxonomy and of the planted world."""
    kept = {(e.source, e.target) for e in taxonomy.edges}
    direct, indirect = set(planted.direct), set(planted.indirect)

    def finding(pair: tuple[str, str]) -> Finding:
        if pair not in kept:
            return Finding.MISSED
        if pair in direct:
            return Finding.RECOVERED
        return Finding.INDIRECT if pair in indirect else Finding.NOT_PLANTED

    return Comparison(tuple((s, t, finding((s, t))) for s, t in sorted(kept | direct)))
