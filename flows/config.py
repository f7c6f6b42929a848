"""The experiment file: one validated, frozen description of everything an experiment does.

The same models validate YAML files in deployments/experiments/ and draw the form in the Prefect UI.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from flows.designs import Block, Design, Dose, Estimator, Factorial, LeaveOneOut, Mixtures, PairOut, Seed
from flows.pool_blocks import PoolHygiene, Selection, Tagging, check_steps
from tasks.benchmarks.measures import Benchmarks
from tasks.benchmarks.scores import HELD_OUT_METRICS, LOSS, MetricName
from tasks.curriculum.curriculum import PAPER_STAGES, Schedule
from tasks.finetune.recipe import Recipe
from tasks.pool.config import FilesSource, PoolSource

ExperimentName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        title="Experiment",
        description="The experiment's name: letters, digits, '.', '_', '-'.",
    ),
]


class HeldOut(Block):
    """Examples kept out of training: one part for measuring, another for validating."""

    measure_per_category: int = Field(64, ge=2, description="Held-out examples per category that score interventions.")
    validate_per_category: int = Field(64, ge=2, description="Other examples per category, only for the validation.")
    files: FilesSource | None = Field(None, description="A separate data set to take both from; default: the pool.")


class BaselineSet(Block):
    """The training set that interventions change."""

    total: int | None = Field(None, ge=1, description="Examples per epoch; default: the pool's own recommendation.")
    shares: Literal["pool", "uniform"] | dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        "pool",
        title="Shares",
        description="Share of each category: as in the pool, all equal, or a list that sums to 1.",
    )


class Analysis(Block):
    """How scores become effects, proportions and a taxonomy."""

    metric: MetricName = Field(
        LOSS,
        description="The metric that effects and verdicts are computed from: loss, exact_match, or one that the key "
        "benchmarks measures in every category.",
    )
    estimator: Estimator | None = Field(
        None,
        title="Estimator",
        description="paired: differences between runs of the same seed. surface: one response surface over all runs. "
        "Default: what the design calls for (surface for factorial, mixtures and several doses, else paired).",
    )
    objective: Literal["equivalence", "performance"] = Field(
        "equivalence",
        title="Objective",
        description="What the proportions maximize. equivalence: the equivalent amounts αᵀΓw (the paper). performance: "
        "the expected score, weighted by baseline shares, from the effects per example.",
    )
    robustness: float = Field(
        0.0,
        ge=0,
        title="Robustness",
        description="Budget of uncertainty: how many categories' effects may be at their worst together. "
        "0 takes the estimates as they are; as many as there are categories guards against all.",
    )
    no_harm: float | None = Field(
        None,
        ge=0,
        le=1,
        title="No harm",
        description="Largest fraction of its equivalent amount that any category may lose; 0 = none may lose, "
        "default: no limit.",
    )
    concave: bool = Field(
        False,
        title="Diminishing returns",
        description="Let further examples of a category be worth less and less (piecewise linear), for large shifts.",
    )
    require_pair_out: bool = Field(
        False,
        title="Require pair-out confirmation",
        description="Keep an edge only where pair-out runs confirm it: what a category gives to itself must shrink "
        "where the preliminary one is absent. Needs design.kind 'pair-out'.",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of every interval.")
    fdr: float = Field(
        0.05, gt=0, lt=1, title="False discovery rate", description="False discovery rate of the taxonomy's edges."
    )
    minimum_effect: float = Field(
        0.0, ge=0, description="Smallest effect of interest for an edge, in the metric's unit; 0 = any significant one."
    )
    max_shift: float | None = Field(0.03, gt=0, le=1, description="Upper limit of half the sum of |new − old| shares.")
    box: float | None = Field(0.5, gt=0, le=1, description="Each share stays within (1 ± box) times its baseline.")
    schedule: Schedule = Field(Schedule.PAPER, description="Curriculum schedule.")


ValidationArm = Literal[
    "uniform",
    "random step",
    "sign-rule",
    "proposal",
    "curriculum",
    "tilted curriculum",
    "strict curriculum",
    "reversed curriculum",
    "proposal + curriculum",
]


class Validation(Block):
    """The retraining that tests the proposal and the curriculum against their controls."""

    seeds: tuple[Seed, ...] = Field((101, 102, 103), min_length=2, description="Fresh: none of the design's seeds.")
    arms: tuple[ValidationArm, ...] = Field(
        ("random step", "sign-rule", "proposal", "curriculum"),
        description="Besides the baseline; a curriculum brings its shuffled control, and 'proposal + curriculum' the "
        "proposal too.",
    )
    random_steps: int = Field(2, ge=1, le=50, description="Random steps of the proposal's size.")
    refused: Literal["skip", "try"] = Field(
        "skip",
        description="What becomes of a proposal that the program itself advises against (its gain is not "
        "distinguishable from none): left out, or trained all the same to see.",
    )


class Resources(Block):
    """Where runs go; decides no number and is no part of a run's identity."""

    cpus_per_run: float = Field(1.0, gt=0, description="CPUs per fine-tune (per worker, if there are several).")
    gpus_per_run: float = Field(0.0, ge=0, description="GPUs per worker; a fraction shares one GPU between runs.")
    workers_per_run: int = Field(1, ge=1, description="Data-parallel workers per fine-tune (Ray Train above 1).")
    retries: int = Field(2, ge=0, le=20, description="How often a run is tried again after a failure.")
    max_parallel: int | None = Field(None, ge=1, description="Runs at once; default: as many as the cluster holds.")
    keep: Literal["best", "none", "all"] = Field(
        "none",
        title="Keep weights",
        description="Which runs' weights stay after scoring. none: only the scores stay. all: every run's. best: those "
        "of the best seed of the validation's best arm.",
    )
    benchmark_batch_size: int = Field(64, ge=1, description="Examples per forward pass while scoring.")
    run_timeout_minutes: float | None = Field(
        None,
        gt=0,
        title="Time limit of a run",
        description="Minutes after which a run counts as hanging: it is cut and tried again. Default: no limit.",
    )
    price_per_hour: float | None = Field(
        None,
        ge=0,
        title="Price",
        description="Price of one GPU-hour (of a CPU-hour, where runs take no GPU), for the cost shown while it runs.",
    )

    @model_validator(mode="before")
    @classmethod
    def _former_key(cls, content: Any) -> Any:
        if isinstance(content, dict) and "keep_checkpoints" in content:
            raise ValueError(
                "the key keep_checkpoints is now called keep: write `keep: all` for true, `keep: none` for false, or "
                "`keep: best` for the validation's best alone"
            )
        return content


class ExperimentConfig(Block):
    """An experiment: pool, interventions, recipe, analysis, validation."""

    name: ExperimentName
    pool: PoolSource = Field(discriminator="kind", description="Where instructions come from.")
    hygiene: PoolHygiene | None = Field(None, description="Rows that leave the pool first; default: none do.")
    tagging: Tagging | None = Field(
        None, title="Tagging", description="What gives every row its category; default: the rows have one."
    )
    selection: Selection | None = Field(
        None, description="What of the pool the baseline trains on; default: rows by chance (baseline)."
    )
    held_out: HeldOut = Field(HeldOut(), description="Examples that are never trained on.")
    baseline: BaselineSet = Field(BaselineSet(), description="The training set that interventions change.")
    design: Design = Field(LeaveOneOut(), description="Which interventions are made; kind: leave-one-out by default.")
    recipe: Recipe = Field(description="How every fine-tune is trained.")
    benchmarks: Benchmarks | None = Field(
        None, description="What is measured beside held-out loss and exact match; default: nothing more."
    )
    analysis: Analysis = Field(Analysis(), description="How scores become effects, proportions and a taxonomy.")
    validation: Validation | None = Field(
        Validation(), description="The retraining that tests the result; nothing: leave it out."
    )
    resources: Resources = Field(Resources(), description="Where runs go; decides no number.")

    @property
    def estimator(self) -> Estimator:
        """How this experiment's runs become effects: as the analysis says, else what the design calls for."""
        return self.analysis.estimator or ("paired" if self._pairs else "surface")

    @property
    def _pairs(self) -> bool:
        """Whether the design's runs can be compared one by one with the baseline of their seed."""
        if isinstance(self.design, Factorial | Mixtures):
            return False
        return not isinstance(self.design, Dose) or len(self.design.doses) == 1

    @model_validator(mode="after")
    def _pool_steps(self) -> Self:
        check_steps(self.pool, self.hygiene, self.tagging, self.selection, self.baseline)
        return self

    @model_validator(mode="after")
    def _analyzed_is_measured(self) -> Self:
        metrics = HELD_OUT_METRICS if self.benchmarks is None else self.benchmarks.metrics
        names = [metric.name for metric in metrics]
        if self.analysis.metric not in names:
            raise ValueError(
                f"analysis.metric is {self.analysis.metric!r}, which nothing measures; measured are "
                f"{', '.join(map(repr, names))}: set analysis.metric to one of them, or add measures to benchmarks"
            )
        return self

    @model_validator(mode="after")
    def _estimator_fits(self) -> Self:
        if self.analysis.estimator == "paired" and not self._pairs:
            several = "several doses" if isinstance(self.design, Dose) else f"the design {self.design.kind!r}"
            raise ValueError(
                f"analysis.estimator is 'paired', which takes runs that change one category each way, but {several} "
                "cannot be paired: set analysis.estimator to 'surface' or leave it out, or design.kind to "
                "'leave-one-out'"
            )
        return self

    @model_validator(mode="after")
    def _pairs_are_measured(self) -> Self:
        if self.analysis.require_pair_out and not isinstance(self.design, PairOut):
            raise ValueError(
                f"analysis.require_pair_out needs pair-out runs, but design.kind is {self.design.kind!r}: "
                "set design.kind to 'pair-out', or leave analysis.require_pair_out out"
            )
        return self

    @model_validator(mode="after")
    def _stages_are_epochs(self) -> Self:
        if self.analysis.schedule is Schedule.PAPER and self.recipe.epochs != PAPER_STAGES:
            raise ValueError(
                f"analysis.schedule 'paper' has {PAPER_STAGES} stages, one per epoch, but recipe.epochs is "
                f"{self.recipe.epochs}: set recipe.epochs to {PAPER_STAGES}, or analysis.schedule to 'tilted'"
            )
        return self

    @model_validator(mode="after")
    def _best_is_validated(self) -> Self:
        if self.resources.keep == "best" and self.validation is None:
            raise ValueError(
                "resources.keep is 'best', which the validation decides, but validation is left out: set "
                "resources.keep to 'all' or 'none', or validation to its seeds and arms"
            )
        return self

    @model_validator(mode="after")
    def _fresh_seeds(self) -> Self:
        if self.validation:
            used = sorted(set(self.validation.seeds) & set(self.design.seeds))
            if used:
                raise ValueError(
                    f"validation.seeds {used} are also in design.seeds: validation needs seeds that nothing else saw"
                )
        for where, seeds in (("design", self.design.seeds), ("validation", (self.validation or Validation()).seeds)):
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"{where}.seeds {list(seeds)} holds a seed twice: each counts as one repetition")
        return self
