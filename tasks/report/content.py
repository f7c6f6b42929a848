"""What a report shows: the stages' values, and what is known about each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.benchmarks.scores import Metric, Score
from tasks.curriculum.curriculum import Curriculum
from tasks.effects.matrix import EffectMatrix
from tasks.interventions.designs.summary import DesignSummary
from tasks.interventions.intervention import BASELINE, Intervention
from tasks.pool.summary import PoolSummary
from tasks.proportions.proposal import Limits, Proposal
from tasks.report.pool_steps import PoolSteps
from tasks.taxonomy.taxonomy import Taxonomy
from tasks.validation.arms import PROPOSAL, RANDOM_STEP, is_random_step
from tasks.validation.regret import Regret
from tasks.validation.verdict import Verdict

MEASURE = "measure"
VALIDATE = "validate"
FINISHED = "finished"

PLANNED_ONLY = ", planned runs only"
"""Ends the name of effects that leave out the runs which were chosen after a look at earlier results."""


@dataclass(frozen=True)
class RunRow:
    """One fine-tune as the runs table shows it.

    Attributes:
        fingerprint: 64 hex digits; the row's anchor is "run-" and the first 12.
        label: the intervention's or validation arm's name; "baseline" marks the baseline.
        phase: "measure" or "validate".
        seed: decides initialization, order and dropout.
        state: "finished", or whatever else it is ("planned", "running", "failed"); only the first has results.
        seconds: wall-clock training time, None where unknown.
        tokens: tokens seen, None where unknown.
        device: "cpu" or the accelerator's name.
        host: host name.
        final_loss: last logged training loss, nats per answer token.
        reused: taken from an earlier experiment instead of trained for this one.
        changed: categories whose count was changed on purpose, removed or scaled; empty for the baseline and mixtures.
        arm: "size-reduced", "size-matched", or None.
        adaptive: chosen after a look at earlier runs' results.
    """

    fingerprint: str
    label: str
    phase: str
    seed: int
    state: str
    seconds: float | None = None
    tokens: int | None = None
    device: str | None = None
    host: str | None = None
    final_loss: float | None = None
    reused: bool = False
    changed: tuple[str, ...] = ()
    arm: str | None = None
    adaptive: bool = False

    @property
    def anchor(self) -> str:
        """Id of the run's row in the document."""
        return f"run-{self.fingerprint[:12]}"


@dataclass(frozen=True)
class MainEffects:
    """How far "some data are better for everything" explains the effects.

    Attributes:
        values: (source, mean of its delta over the other categories), in the effects' unit.
        share_of_variance: share of the off-diagonal variance that the sources' means explain, 0…1.
    """

    values: tuple[tuple[str, float], ...]
    share_of_variance: float


@dataclass(frozen=True)
class PlantedEdges:
    """The dependencies of a planted world, as (source, target) pairs.

    Attributes:
        direct: source was built to be needed by target.
        indirect: source is needed through other categories.
    """

    direct: tuple[tuple[str, str], ...]
    indirect: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ArmPerformance:
    """Mean performance of one validation arm, seed by seed.

    Attributes:
        arm: its name.
        seeds: N seeds.
        values: N share-weighted means over the categories, in the effects' unit, **higher is better**.
    """

    arm: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class AllowedRange:
    """What the limits on one category alone let its count be.

    Attributes:
        category: the category.
        low: fewest examples per epoch.
        high: most examples per epoch.
    """

    category: str
    low: float
    high: float


@dataclass(frozen=True)
class BaselineScore:
    """What the baseline's models reach in one category.

    Attributes:
        score: mean over seeds, with the standard error over examples.
        metric: what it means.
    """

    score: Score
    metric: Metric


@dataclass(frozen=True)
class ReportData:
    """Everything one report shows. What is None or empty was not done yet, and its section says so.

    Attributes:
        experiment: the experiment's name.
        created: when, as ISO 8601 text (the report itself reads no clock).
        config: the experiment's configuration as plain data.
        pool: the pool in numbers.
        pool_hash: SHA-256 of its content.
        baseline_counts: (category, examples per epoch) of the baseline.
        runs: every planned run, whatever its state; fingerprints are unique.
        arm: what the deciding effects are called: an arm ("size-matched", "size-reduced") or a design ("factorial").
        design: what the design takes and can tell, or None where its pool is gone.
        interventions: the planned training sets, the baseline first; empty where nothing is planned.
        effects: the deciding effects on the main metric, or None.
        other_effects: (name, effects) of further arms, and of the planned runs alone where others were chosen later.
        false_discovery_rate: an effect counts as shown where q ≤ this.
        baseline_scores: the baseline's scores, mean over its seeds, of each category and metric; or empty.
        main_effects: how far sources explain the effects, or None.
        limits: what the proposal was allowed to change, or None.
        allowed: per category, what the limits on it alone allow; empty where unknown.
        proposal: the solved proportions with the decision whether to train on them, or None.
        sign_rule: (category, examples) of the sign-rule control, or empty.
        taxonomy: the dependency graph, or None.
        planted: the planted truth, where the pool has one.
        curriculum: the staged order, or None.
        verdicts: one per judged arm; empty before validation.
        regrets: each arm behind the best one, smallest first; empty before validation.
        untried: (arm, reason) of arms that were asked for and for which there was nothing to try.
        headline_arm: the arm whose verdict opens the report.
        performances: per validation arm and seed; empty before validation.
        versions: (package, version) pairs.
        seconds: wall-clock duration of the experiment, None while unknown.
        steps: how the pool was cleaned, tagged and selected from.
    """

    experiment: str
    created: str
    config: Mapping[str, Any]
    pool: PoolSummary
    pool_hash: str
    baseline_counts: tuple[tuple[str, int], ...]
    runs: tuple[RunRow, ...]
    arm: str
    design: DesignSummary | None = None
    interventions: tuple[Intervention, ...] = ()
    effects: EffectMatrix | None = None
    other_effects: tuple[tuple[str, EffectMatrix], ...] = ()
    false_discovery_rate: float = 0.05
    baseline_scores: tuple[BaselineScore, ...] = ()
    main_effects: MainEffects | None = None
    limits: Limits | None = None
    allowed: tuple[AllowedRange, ...] = ()
    proposal: Proposal | None = None
    sign_rule: tuple[tuple[str, int], ...] = ()
    taxonomy: Taxonomy | None = None
    planted: PlantedEdges | None = None
    curriculum: Curriculum | None = None
    verdicts: tuple[Verdict, ...] = ()
    regrets: tuple[Regret, ...] = ()
    untried: tuple[tuple[str, str], ...] = ()
    headline_arm: str = PROPOSAL
    performances: tuple[ArmPerformance, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    seconds: float | None = None
    steps: PoolSteps = field(default_factory=PoolSteps)

    def __post_init__(self) -> None:
        anchors = [run.anchor for run in self.runs]
        if len(set(anchors)) != len(anchors):
            twice = sorted({a for a in anchors if anchors.count(a) > 1})
            raise ValueError(f"runs share the anchors {twice[:3]}: each fingerprint may appear once")

    @property
    def adaptive(self) -> tuple[RunRow, ...]:
        """Measuring runs that were chosen after a look at earlier ones' results, whatever their state."""
        return tuple(run for run in self.runs if run.phase == MEASURE and run.adaptive)

    def measured(self, source: str | None, name: str) -> tuple[RunRow, ...]:
        """Finished runs behind one column of these paired effects; `source` None gives the baseline's."""
        wanted = () if source is None else (source,)
        arm = name.removesuffix(PLANNED_ONLY)
        return tuple(
            run
            for run in self.runs
            if run.phase == MEASURE
            and run.state == FINISHED
            and run.changed == wanted
            and (run.label == BASELINE if source is None else run.arm == arm)
            and not (run.adaptive and name.endswith(PLANNED_ONLY))
        )

    def validated(self, arm: str) -> tuple[RunRow, ...]:
        """Finished runs of one validation arm; "random step" stands for all its numbered draws."""
        return tuple(
            run
            for run in self.runs
            if run.phase == VALIDATE
            and run.state == FINISHED
            and (run.label == arm or (arm == RANDOM_STEP and is_random_step(run.label)))
        )
