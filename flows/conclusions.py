"""From stored scores to conclusions: effects, proportions, taxonomy, curriculum. Composition of stages, no IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.config import Analysis, ExperimentConfig
from flows.material import Material
from tasks.curriculum.curriculum import Curriculum, Schedule
from tasks.curriculum.schedule import build_curriculum
from tasks.effects.matrix import EffectMatrix, RunTable
from tasks.effects.paired import paired_effects
from tasks.interventions.draw import draw
from tasks.interventions.intervention import Arm
from tasks.proportions.program import solve
from tasks.proportions.proposal import Baseline, Coefficients, ControlStep, Limits, Proposal
from tasks.proportions.sign_rule import sign_rule
from tasks.taxonomy.induce import induce
from tasks.taxonomy.taxonomy import Taxonomy

METHOD_VERSION = 1
"""Changes whenever the same scores and parameters would give other conclusions; part of an analysis' identity."""


@dataclass(frozen=True)
class Conclusions:
    """What one set of scores says.

    Attributes:
        effects: of the deciding arm.
        further_effects: (arm, effects) of arms that were measured besides.
        baseline: shares and availability the program started from.
        limits: what it was allowed to change.
        proposal: the solved proportions; equal to the baseline where nothing is worth moving.
        sign_rule: the paper's rule as a control.
        taxonomy: dependencies, levels, roles.
        curriculum: the proposal's examples in stages.
    """

    effects: EffectMatrix
    further_effects: tuple[tuple[str, EffectMatrix], ...]
    baseline: Baseline
    limits: Limits
    proposal: Proposal
    sign_rule: ControlStep
    taxonomy: Taxonomy
    curriculum: Curriculum

    @property
    def moves(self) -> bool:
        """Whether the proposal differs from the baseline in whole examples."""
        return self.proposal.counts != tuple(self.baseline_counts[c] for c in self.proposal.categories)

    @property
    def baseline_counts(self) -> dict[str, int]:
        """Baseline examples per epoch and category."""
        shares = zip(self.baseline.categories, self.baseline.shares, strict=True)
        return {category: round(share * self.limits.total) for category, share in shares}


def conclude(config: ExperimentConfig, material: Material, tables: Mapping[Arm, RunTable]) -> Conclusions:
    """Run the analysis stages on the scores of each arm; the design's first arm decides.

    Raises:
        InputError: scores that cannot be paired.
        EvidenceError: limits that contradict each other.
    """
    analysis = config.analysis
    effects = {arm: paired_effects(table, analysis.confidence) for arm, table in tables.items()}
    deciding = effects.pop(config.design.arm)
    baseline, limits = baseline_and_limits(analysis, material)
    gamma = Coefficients(deciding.targets, deciding.sources, deciding.gamma)
    unidentified = [t for t, known in zip(deciding.targets, deciding.identified, strict=True) if not known]
    proposal = solve(gamma, baseline, limits, unidentified)
    taxonomy = induce(deciding, fdr=analysis.fdr, minimum_effect=analysis.minimum_effect)
    counts = dict(zip(proposal.categories, proposal.counts, strict=True))
    return Conclusions(
        effects=deciding,
        further_effects=tuple((arm.value, matrix) for arm, matrix in effects.items()),
        baseline=baseline,
        limits=limits,
        proposal=proposal,
        sign_rule=sign_rule(gamma, baseline, limits, unidentified),
        taxonomy=taxonomy,
        curriculum=curriculum_over(config, material, counts, taxonomy, config.design.seeds[0], analysis.schedule),
    )


def baseline_and_limits(analysis: Analysis, material: Material) -> tuple[Baseline, Limits]:
    """The program's starting point and what it may change."""
    categories = tuple(sorted(material.baseline))
    total = sum(material.baseline.values())
    baseline = Baseline(
        categories=categories,
        shares=tuple(material.baseline[c] / total for c in categories),
        available=tuple(float(material.available[c]) for c in categories),
        minimum=(0.0,) * len(categories),
        maximum=(1.0,) * len(categories),
    )
    return baseline, Limits(total, analysis.max_shift, analysis.box)


def curriculum_over(
    config: ExperimentConfig,
    material: Material,
    counts: Mapping[str, int],
    taxonomy: Taxonomy,
    seed: int,
    schedule: Schedule,
) -> Curriculum:
    """Order the seed's draw of these counts; as many stages as plain training has epochs, so budgets are equal."""
    category = {i.id: i.category for i in material.split.train.instructions}
    examples: dict[str, list[str]] = {c: [] for c in counts}
    for identifier in draw(material.split.train, counts, seed):
        examples[category[identifier]].append(identifier)
    return build_curriculum(examples, dict(taxonomy.levels), schedule, seed, stages=config.recipe.epochs)
