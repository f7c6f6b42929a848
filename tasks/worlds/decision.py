"""What is decided on estimated effects: the proportions and the dependencies, as the product decides them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tasks.effects.matrix import EffectMatrix
from tasks.proportions.goal import ObjectiveName, goal_from_effects, propose
from tasks.proportions.proposal import Baseline, Limits, Options, Proposal
from tasks.taxonomy.induce import induce
from tasks.worlds.world import AnalyticWorld


@dataclass(frozen=True)
class Rule:
    """What decides.

    Attributes:
        limits: of the proposal; its total is the world's.
        confidence: level of the intervals and of the program's gain; 1 − confidence is the taxonomy's false discovery
            rate.
        objective: what the program maximizes.
    """

    limits: Limits
    confidence: float = 0.95
    objective: ObjectiveName = "performance"


def world_baseline(world: AnalyticWorld) -> Baseline:
    """The world's baseline as the program of the proportions takes it, without limits on single categories."""
    size = len(world.categories)
    return Baseline(world.categories, tuple(world.shares.tolist()), (None,) * size, (0.0,) * size, (1.0,) * size)


def decide(world: AnalyticWorld, matrix: EffectMatrix, rule: Rule) -> Proposal:
    """The program's proposal for the estimated share-weighted performance, or equivalent amounts; refusal included."""
    baseline = world_baseline(world)
    amount = 1.0 if rule.objective == "equivalence" else float(rule.limits.total)
    options = Options(amount=amount, confidence=rule.confidence, sensitivity=False)
    return propose(goal_from_effects(matrix, baseline, rule.objective), baseline, rule.limits, options)


def edges_of(matrix: EffectMatrix, rule: Rule) -> frozenset[tuple[str, str]]:
    """(source, target) of the taxonomy's edges."""
    # Stability, a bootstrap that takes most of the time, is not scored: below 3 seeds and without draws there is none.
    found = induce(replace(matrix, seeds=min(matrix.seeds, 2), errors=None), 1 - rule.confidence)
    return frozenset((edge.source, edge.target) for edge in found.edges)
