"""The experiment file: one validated, frozen description of everything an experiment does.

The same models validate YAML files in deployments/experiments/ and draw the form in the Prefect UI.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.benchmarks.scores import Metric
from tasks.curriculum.curriculum import PAPER_STAGES, Schedule
from tasks.finetune.recipe import Recipe
from tasks.interventions.intervention import Arm
from tasks.pool.config import FilesSource, PoolSource

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every random generator involved takes."""


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HeldOut(_Block):
    """Examples kept out of training: one part for measuring, another for validating."""

    measure_per_category: int = Field(64, ge=2, description="Held-out examples per category that score interventions.")
    validate_per_category: int = Field(64, ge=2, description="Other examples per category, only for the validation.")
    files: FilesSource | None = Field(None, description="A separate data set to take both from; default: the pool.")


class BaselineSet(_Block):
    """The training set that interventions change."""

    total: int | None = Field(None, ge=1, description="Examples per epoch; default: the pool's own recommendation.")
    shares: Literal["pool", "uniform"] | dict[str, float] = Field(
        "pool", description="Share of each category: as in the pool, all equal, or a list that sums to 1."
    )


class Design(_Block):
    """Which interventions are made."""

    kind: Literal["leave-one-out"] = "leave-one-out"
    arm: Arm = Field(
        Arm.SIZE_MATCHED, description="size-matched refills the freed budget pro rata; size-reduced trains on less."
    )
    further_arms: tuple[Arm, ...] = Field(
        (), description="Arms that are measured and stored too; the proposal uses the first one only."
    )
    seeds: tuple[Seed, ...] = Field((1, 2, 3), min_length=2, description="At least two: without, no uncertainty.")

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arm that decides, then the further ones, without repetition."""
        return tuple(dict.fromkeys((self.arm, *self.further_arms)))


class Analysis(_Block):
    """How scores become effects, proportions and a taxonomy."""

    metric: Metric = Field(Metric.LOSS, description="The metric that effects and verdicts are computed from.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of every interval.")
    fdr: float = Field(0.05, gt=0, lt=1, description="False discovery rate of the taxonomy's edges.")
    minimum_effect: float = Field(
        0.0, ge=0, description="Smallest effect of interest for an edge, in the metric's unit; 0 = any significant one."
    )
    max_shift: float | None = Field(0.03, gt=0, le=1, description="Upper limit of half the sum of |new − old| shares.")
    box: float | None = Field(0.5, gt=0, le=1, description="Each share stays within (1 ± box) times its baseline.")
    schedule: Schedule = Field(Schedule.PAPER, description="Curriculum schedule.")


ValidationArm = Literal["random step", "sign-rule", "proposal", "curriculum", "reversed curriculum"]


class Validation(_Block):
    """The retraining that tests the proposal and the curriculum against their controls."""

    seeds: tuple[Seed, ...] = Field((101, 102, 103), min_length=2, description="Fresh: none of the design's seeds.")
    arms: tuple[ValidationArm, ...] = Field(
        ("random step", "sign-rule", "proposal", "curriculum"),
        description="Besides the baseline; a curriculum brings its shuffled control.",
    )
    random_steps: int = Field(2, ge=1, le=50, description="Random steps of the proposal's size.")


class Resources(_Block):
    """Where runs go; decides no number and is no part of a run's identity."""

    cpus_per_run: float = Field(1.0, gt=0, description="CPUs per fine-tune (per worker, if there are several).")
    gpus_per_run: float = Field(0.0, ge=0, description="GPUs per worker; a fraction shares one GPU between runs.")
    workers_per_run: int = Field(1, ge=1, description="Data-parallel workers per fine-tune (Ray Train above 1).")
    retries: int = Field(2, ge=0, le=20, description="How often a run is tried again after a failure.")
    max_parallel: int | None = Field(None, ge=1, description="Runs at once; default: as many as the cluster holds.")
    keep_checkpoints: bool = Field(False, description="Keep the weights of each run after it was scored.")
    benchmark_batch_size: int = Field(64, ge=1, description="Examples per forward pass while scoring.")


class ExperimentConfig(_Block):
    """An experiment: pool, interventions, recipe, analysis, validation."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Letters, digits, '.', '_', '-'.")
    pool: PoolSource = Field(discriminator="kind", description="Where instructions come from.")
    held_out: HeldOut = HeldOut()
    baseline: BaselineSet = BaselineSet()
    design: Design = Design()
    recipe: Recipe
    analysis: Analysis = Analysis()
    validation: Validation | None = Validation()
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _stages_are_epochs(self) -> Self:
        if self.analysis.schedule is Schedule.PAPER and self.recipe.epochs != PAPER_STAGES:
            raise ValueError(
                f"analysis.schedule 'paper' has {PAPER_STAGES} stages, one per epoch, but recipe.epochs is "
                f"{self.recipe.epochs}: set recipe.epochs to {PAPER_STAGES}, or analysis.schedule to 'tilted'"
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
