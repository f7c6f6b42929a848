"""From stored scores to conclusions: effects, proportions, taxonomy, curriculum. Composition of stages, no IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.config import Analysis, ExperimentConfig
from flows.designs import PairOut
from flows.material import Material
from tasks.curriculum.curriculum import Curriculum, Schedule
from tasks.curriculum.schedule import build_curriculum
from tasks.effects.matrix import EffectMatrix, RunTable
from tasks.effects.pair_out import pair_interaction
from tasks.effects.paired import paired_effects
from tasks.effects.surface import surface_effects
from tasks.interventions.draw import draw
from tasks.proportions.goal import goal_from_effects, propose
from tasks.proportions.proposal import Baseline, Coefficients, ControlStep, Limits, Options, Proposal
from tasks.proportions.sign_rule import sign_rule
from tasks.taxonomy.induce import induce
from tasks.taxonomy.taxonomy import Taxonomy

METHOD_VERSION = 3
"""Changes whenever the same scores and parameters would give other conclusions; part of an analysis' identity."""

_CONCAVE_EXPONENT = 0.5
"""Diminishing returns: gains fall off like the inverse square root of the equivalent amount, typical of fine-tuning."""


@dataclass(frozen=True)
class Conclusions:
    """What one set of scores says.

    Attributes:
        effects: those that decide.
        further_effects: (name, effects) of arms that were measured besides, and of the planned runs alone where others
            were chosen adaptively.
        baseline: shares and availability the program started from.
        limits: what it was allowed to change.
        proposal: the solved proportions and the decision whether to train on them.
        sign_rule: the paper's rule as a control.
        taxonomy: dependencies, levels, roles.
        curriculum: the recommended examples in stages.
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


def conclude(config: ExperimentConfig, material: Material, tables: Mapping[str, RunTable]) -> Conclusions:
    """Run the analysis stages on the scores; the table that bears the design's label decides.

    Runs that were chosen after a look at earlier ones serve the decisions; their effects without those runs are given
    besides, as only these have honest intervals.

    Args:
        config: the experiment.
        material: its pool.
        tables: runs by the name their effects are stored under.

    Raises:
        InputError: scores that the estimator cannot use.
        EvidenceError: limits that contradict each other.
    """
    analysis, label = config.analysis, config.design.label
    estimate = surface_effects if config.estimator == "surface" else paired_effects
    effects = {name: estimate(table, analysis.confidence) for name, table in tables.items()}
    deciding, runs = effects.pop(label), tables[label]
    if any(runs.adaptive):
        effects[f"{label}, planned runs only"] = estimate(runs.confirmatory(), analysis.confidence)
    baseline, limits = baseline_and_limits(config, material)
    goal = goal_from_effects(deciding, baseline, analysis.objective, target_weights(baseline))
    proposal = propose(goal, baseline, limits, _options(analysis, limits))
    taxonomy = induce(
        deciding,
        fdr=analysis.fdr,
        minimum_effect=analysis.minimum_effect,
        interactions=pair_interaction(runs) if isinstance(config.design, PairOut) else None,
        require_pair_out=analysis.require_pair_out,
    )
    counts = dict(zip(proposal.categories, proposal.recommended_counts, strict=True))
    gamma = Coefficients(deciding.targets, deciding.sources, deciding.gamma)
    unidentified = [t for t, known in zip(deciding.targets, deciding.identified, strict=True) if not known]
    return Conclusions(
        effects=deciding,
        further_effects=tuple(effects.items()),
        baseline=baseline,
        limits=limits,
        proposal=proposal,
        sign_rule=sign_rule(gamma, baseline, limits, unidentified),
        taxonomy=taxonomy,
        curriculum=curriculum_over(config, material, counts, taxonomy, config.design.seeds[0], analysis.schedule),
    )


def _options(analysis: Analysis, limits: Limits) -> Options:
    return Options(
        amount=1.0 if analysis.objective == "equivalence" else float(limits.total),
        robustness=analysis.robustness,
        confidence=analysis.confidence,
        exponent=_CONCAVE_EXPONENT if analysis.concave else None,
    )


def baseline_and_limits(config: ExperimentConfig, material: Material) -> tuple[Baseline, Limits]:
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
    return baseline, program_limits(config, total)


def target_weights(baseline: Baseline) -> dict[str, float]:
    """Weight of each measured category: its baseline share; what the baseline leaves out is not measured."""
    return {name: share for name, share in zip(baseline.categories, baseline.shares, strict=True) if share}


def program_limits(config: ExperimentConfig, total: int) -> Limits:
    """What the program may change of a training set of `total` examples.

    A category that the baseline leaves out may get the share that the design has tried, and no more.
    """
    analysis, addition = config.analysis, getattr(config.design, "addition", None)
    return Limits(total, analysis.max_shift, analysis.box, no_harm=analysis.no_harm, entry=addition or 0.0)


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
    for identifier in draw(material.split.train, counts, seed, material.selected):
        examples[category[identifier]].append(identifier)
    return build_curriculum(examples, dict(taxonomy.levels), schedule, seed, stages=config.recipe.epochs)
