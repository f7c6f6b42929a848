"""The `design` block of an experiment file: one model per experimental design, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tasks.errors import InputError
from tasks.forms import Form
from tasks.interventions.designs import summary
from tasks.interventions.designs.additions import additions
from tasks.interventions.designs.changes import Counts
from tasks.interventions.designs.mixes import Levels, RandomMixtures, factorial, random_mixtures
from tasks.interventions.designs.removals import dose, leave_one_out, pair_out
from tasks.interventions.designs.summary import DesignSummary
from tasks.interventions.intervention import Arm, Intervention

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every random generator involved takes."""

Estimator = Literal["paired", "surface"]
"""How runs become effects: differences of paired seeds, or one response surface over all runs."""

_SEEDS = "Repetitions of every training set. At least two: without, no uncertainty."
_FURTHER = "Arms that are measured and stored too; the proposal uses the first one only."


class Block(Form):
    """A group of keys in an experiment file."""


class _Armed(Block):
    """What designs that change single categories share."""

    arm: Arm = Field(
        Arm.SIZE_MATCHED,
        title="Arm",
        description="size-matched refills the freed budget pro rata; size-reduced trains on less.",
    )
    further_arms: tuple[Arm, ...] = Field((), title="Further arms", description=_FURTHER)
    seeds: tuple[Seed, ...] = Field((1, 2, 3), min_length=2, title="Seeds", description=_SEEDS)
    addition: float | None = Field(
        None,
        gt=0,
        le=0.5,
        title="Addition",
        description="Try also each category that the pool has and the baseline leaves out, e.g. data that landed "
        "later: added to the baseline with this share of its total (or whole, where it has fewer examples). Default: "
        "no such interventions.",
    )

    def added(self, counts: Counts, available: Counts) -> tuple[Intervention, ...]:
        """Interventions that add a category; none where they are not asked for."""
        return () if self.addition is None else additions(counts, available, self.arms, self.addition)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arm that decides, then the further ones, without repetition."""
        return tuple(dict.fromkeys((self.arm, *self.further_arms)))

    @property
    def label(self) -> str:
        """What the deciding effects are stored under."""
        return self.arm.value


class LeaveOneOut(_Armed):
    """Each category removed once."""

    kind: Literal["leave-one-out"] = Field("leave-one-out", title="Kind", description="Each category removed once.")

    def interventions(self, counts: Counts, available: Counts) -> tuple[Intervention, ...]:
        """The baseline first; InputError where the pool is too small."""
        return (*leave_one_out(counts, available, self.arms), *self.added(counts, available))

    def summary(self, counts: Counts, available: Counts) -> DesignSummary:
        """Runs and what they can tell."""
        return summary.leave_one_out_summary(self.interventions(counts, available), len(self.seeds))


class Dose(_Armed):
    """Each category at each of several multiples of its count."""

    kind: Literal["dose"] = Field("dose", title="Kind", description="Each category at several multiples of its count.")
    doses: tuple[Annotated[float, Field(ge=0, le=100)], ...] = Field(
        (0.5, 1.5, 2.0),
        min_length=1,
        title="Doses",
        description="Factors on a category's count: 0 removes it, 0.5 halves it, 2 doubles it; not 1, the baseline.",
    )

    @model_validator(mode="after")
    def _doses_differ(self) -> Self:
        if 1 in self.doses or len(set(self.doses)) < len(self.doses):
            raise ValueError(f"doses {list(self.doses)}: expected different factors, none of them 1 (the baseline)")
        return self

    def interventions(self, counts: Counts, available: Counts) -> tuple[Intervention, ...]:
        """The baseline first; InputError where the pool is too small."""
        return (*dose(counts, available, self.arms, self.doses), *self.added(counts, available))

    def summary(self, counts: Counts, available: Counts) -> DesignSummary:
        """Runs and what they can tell."""
        return summary.dose_summary(self.interventions(counts, available), len(self.seeds), self.doses)


class PairOut(_Armed):
    """Each category removed, and pairs removed together."""

    kind: Literal["pair-out"] = Field("pair-out", title="Kind", description="Categories removed alone and in pairs.")
    pairs: tuple[tuple[str, str], ...] | None = Field(
        None,
        title="Pairs",
        description="Pairs of categories to remove together, e.g. those that may depend on each other; default: all.",
    )

    def interventions(self, counts: Counts, available: Counts) -> tuple[Intervention, ...]:
        """The baseline first; InputError where the pool is too small or a pair is none."""
        return (*pair_out(counts, available, self.arms, self.pairs), *self.added(counts, available))

    def summary(self, counts: Counts, available: Counts) -> DesignSummary:
        """Runs and what they can tell."""
        return summary.pair_out_summary(self.interventions(counts, available), len(self.seeds))


class Factorial(Block):
    """All categories changed at once, by a two-level orthogonal array."""

    kind: Literal["factorial"] = Field(
        "factorial", title="Kind", description="All categories changed at once, by an orthogonal array."
    )
    low: float = Field(0.5, gt=0, lt=1, title="Low level", description="Factor on a category's count in half the rows.")
    high: float = Field(
        1.5, gt=1, le=100, title="High level", description="Factor on a category's count in the other half."
    )
    matched: bool = Field(
        False,
        title="Same total",
        description="Bring every row's total to the baseline's, pro rata; else the size varies with the row.",
    )
    foldover: bool = Field(
        False,
        title="Foldover",
        description="Add the mirrored rows: twice the runs, and interactions of pairs no longer bias effects.",
    )
    runs: int | None = Field(
        None,
        ge=2,
        title="Rows",
        description="Training sets besides the baseline; default: the smallest array there is for the categories.",
    )
    draw: Seed = Field(0, title="Draw", description="Chooses among equally good arrays.")
    seeds: tuple[Seed, ...] = Field((1, 2), min_length=1, title="Seeds", description="Repetitions of every row.")

    @property
    def label(self) -> str:
        """What the deciding effects are stored under."""
        return self.kind

    @property
    def levels(self) -> Levels:
        """The same as the stage takes it."""
        return Levels(self.low, self.high, self.matched, self.foldover, self.runs, self.draw)

    def interventions(self, counts: Counts, available: Counts) -> tuple[Intervention, ...]:
        """The baseline first; InputError where the pool is too small or no such array exists."""
        return factorial(counts, available, self.levels)

    def summary(self, counts: Counts, available: Counts) -> DesignSummary:
        """Runs and what they can tell."""
        return summary.factorial_summary(self.interventions(counts, available), len(self.seeds), self.levels)


class Mixtures(Block):
    """Random mixtures around the baseline."""

    kind: Literal["mixtures"] = Field("mixtures", title="Kind", description="Random mixtures around the baseline.")
    number: int = Field(
        32, ge=1, le=10_000, title="Mixtures", description="Random mixtures besides the baseline, all of its size."
    )
    concentration: float = Field(
        4.0,
        gt=0,
        le=10_000,
        title="Concentration",
        description="How close they stay: a share of average size varies by about ±1/√concentration of itself.",
    )
    draw: Seed = Field(0, title="Draw", description="Seed of the random mixtures.")
    seeds: tuple[Seed, ...] = Field((1, 2), min_length=1, title="Seeds", description="Repetitions of every mixture.")

    @property
    def label(self) -> str:
        """What the deciding effects are stored under."""
        return self.kind

    def interventions(self, counts: Counts, available: Counts) -> tuple[Intervention, ...]:
        """The baseline first; InputError where the pool is too small."""
        return self._drawn(counts, available).interventions

    def summary(self, counts: Counts, available: Counts) -> DesignSummary:
        """Runs and what they can tell."""
        return summary.mixtures_summary(self._drawn(counts, available), len(self.seeds), self.concentration)

    def _drawn(self, counts: Counts, available: Counts) -> RandomMixtures:
        return random_mixtures(counts, available, self.number, self.concentration, self.draw)


class Sequential(Block):
    """Leave-one-out that spends further seeds where they can still change a decision."""

    kind: Literal["sequential"] = Field(
        "sequential",
        title="Kind",
        description="Leave-one-out that spends further seeds only where they can change a decision.",
    )
    arm: Arm = Field(
        Arm.SIZE_MATCHED,
        title="Arm",
        description="size-matched refills the freed budget pro rata; size-reduced trains on less.",
    )
    seeds: tuple[Seed, ...] = Field(
        (1, 2, 3, 4, 5), min_length=2, title="Seeds", description="All seeds that may be used, in this order."
    )
    first_seeds: int = Field(
        2, ge=2, title="First seeds", description="Of these, the seeds with which everything is run at the start."
    )
    max_runs: int | None = Field(
        None, ge=1, title="Budget", description="Runs in total, baseline included; default: everything with every seed."
    )
    chance: float = Field(
        0.05,
        gt=0,
        lt=1,
        title="Chance",
        description="A category gets no more runs once the chance that they change a decision about it is below this.",
    )

    @model_validator(mode="after")
    def _first_are_some(self) -> Self:
        if self.first_seeds > len(self.seeds):
            raise ValueError(
                f"first_seeds is {self.first_seeds}, but seeds {list(self.seeds)} are {len(self.seeds)}: "
                "list more seeds, or lower first_seeds"
            )
        return self

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The one arm."""
        return (self.arm,)

    @property
    def label(self) -> str:
        """What the deciding effects are stored under."""
        return self.arm.value

    def interventions(self, counts: Counts, available: Counts) -> tuple[Intervention, ...]:
        """The baseline first; InputError where the pool is too small."""
        found = leave_one_out(counts, available, self.arms)
        if self.max_runs is not None and self.max_runs < len(found) * self.first_seeds:
            raise InputError(
                f"design.max_runs is {self.max_runs}, but the first block takes {len(found) * self.first_seeds} runs: "
                f"{len(found)} training sets with {self.first_seeds} seeds. Raise max_runs, or lower first_seeds."
            )
        return found

    def summary(self, counts: Counts, available: Counts) -> DesignSummary:
        """Runs and what they can tell."""
        found = self.interventions(counts, available)
        return summary.sequential_summary(found, self.first_seeds, len(self.seeds), self.max_runs)


def _with_kind(value: Any) -> Any:
    """Leave-one-out where no kind is given."""
    return {"kind": "leave-one-out", **value} if isinstance(value, dict) else value


def adds_categories(design: Block) -> bool:
    """Whether the design also tries categories that the baseline leaves out."""
    return isinstance(design, _Armed) and design.addition is not None


Design = Annotated[
    Annotated[
        LeaveOneOut | Dose | PairOut | Factorial | Mixtures | Sequential,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_with_kind),
]
"""Which interventions are made."""
