"""Many worlds, each measured by several designs with several budgets and judged by several estimators."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from multiprocessing import get_context

import numpy as np

from tasks.errors import InputError
from tasks.proportions.goal import ObjectiveName
from tasks.proportions.proposal import Limits
from tasks.worlds.decision import Rule
from tasks.worlds.drawing import WorldSpec, draw_world
from tasks.worlds.estimators import find_estimator, misfit
from tasks.worlds.optimum import best_mixture
from tasks.worlds.score import Scores, score
from tasks.worlds.trials import check_budget, find_design, run_design
from tasks.worlds.world import AnalyticWorld

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Simulation:
    """What to simulate; every possible combination of designs, estimators and budgets sees the same worlds.

    Attributes:
        worlds: how many.
        spec: what they are like.
        designs: names, see `trials.DESIGNS`.
        estimators: names, see `estimators.ESTIMATORS`.
        budgets: fine-tunes that a design may spend.
        null_share: part of the worlds in which nothing is to be found, spread evenly.
        seed: of the worlds; world k of a seed is the same however many there are.
        confidence: level of intervals and decisions.
        max_shift: the proposal's largest total shift (share), None = no limit.
        box: the proposal's relative box, None = none.
        objective: what the proposal maximizes; its true gain is in weighted performance, whatever it is.
    """

    worlds: int
    spec: WorldSpec = field(default_factory=WorldSpec)
    designs: tuple[str, ...] = ("leave-one-out",)
    estimators: tuple[str, ...] = ("paired",)
    budgets: tuple[int, ...] = (36,)
    null_share: float = 0.2
    seed: int = 1
    confidence: float = 0.95
    max_shift: float | None = 0.03
    box: float | None = 0.5
    objective: ObjectiveName = "performance"

    def check(self) -> None:
        """Raise InputError, before any work is done, for impossible values and for names that nothing can be done with.

        Single impossible combinations are `left_out`; a design or estimator without any possible one is an error.
        """
        self.spec.check()
        if self.worlds < 1:
            raise InputError(f"worlds is {self.worlds}; expected at least 1")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; expected 0 or more")
        if not 0 <= self.null_share <= 1:
            raise InputError(f"null share is {self.null_share}; expected from 0 to 1")
        if not 0 < self.confidence < 1:
            raise InputError(f"confidence is {self.confidence}; expected a level between 0 and 1, e.g. 0.95")
        for name in self.designs:
            for budget in self.budgets:
                check_budget(find_design(name), self.spec.categories, budget)
        for names, chosen in ((self.designs, 0), (self.estimators, 1)):
            unused = [name for name in names if name not in [pair[chosen] for pair in self.pairs]]
            if unused:
                reasons = [reason for pair, reason in self.left_out.items() if pair[chosen] in unused]
                raise InputError(" ".join(reasons) or f"nothing to combine {', '.join(unused)} with")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(design, estimator) of every possible combination."""
        return tuple(pair for pair in product(self.designs, self.estimators) if pair not in self.left_out)

    @property
    def left_out(self) -> dict[tuple[str, str], str]:
        """Why the other (design, estimator) are impossible: the estimator can make nothing of the design's runs."""
        reasons = {
            (design, estimator): misfit(find_estimator(estimator), find_design(design))
            for design, estimator in product(self.designs, self.estimators)
        }
        return {pair: reason for pair, reason in reasons.items() if reason}

    def world(self, index: int) -> AnalyticWorld:
        """World `index` (from 0)."""
        seed = int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
        null = int((index + 1) * self.null_share + 1e-9) > int(index * self.null_share + 1e-9)
        return draw_world(self.spec, seed, null)


@dataclass(frozen=True)
class Trial:
    """One design, estimator and budget on one world.

    Attributes:
        world: its index in the simulation.
        world_seed: what it was drawn from.
        null: whether there was nothing to be found.
        design: name.
        estimator: name.
        budget: runs that the design was allowed.
        runs: runs that it did.
        scores: how it did; None where it was refused.
        refused: why; empty as a rule.
    """

    world: int
    world_seed: int
    null: bool
    design: str
    estimator: str
    budget: int
    runs: int
    scores: Scores | None
    refused: str


def simulate_world(simulation: Simulation, index: int) -> tuple[Trial, ...]:
    """Every combination of the simulation on one of its worlds."""
    world = simulation.world(index)
    limits = Limits(int(world.counts.sum()), simulation.max_shift, simulation.box)
    rule, best = Rule(limits, simulation.confidence, simulation.objective), best_mixture(world, limits)
    trials = []
    for design in simulation.designs:
        for budget in simulation.budgets:
            runs = run_design(design, world, budget, rule)
            for name in (estimator for chosen, estimator in simulation.pairs if chosen == design):
                found = score(world, runs, find_estimator(name), rule, best)
                scores, refused = (None, found) if isinstance(found, str) else (found, "")
                trials.append(
                    Trial(index, world.seed, world.null, design, name, budget, len(runs.runs), scores, refused)
                )
    return tuple(trials)


def simulate(simulation: Simulation, workers: int = 1) -> Iterator[tuple[Trial, ...]]:
    """The trials of one world after the other, as they are ready; processes in parallel, one BLAS thread each.

    Args:
        simulation: checked first.
        workers: processes.

    Raises:
        InputError: an impossible simulation.
    """
    simulation.check()
    if workers < 1:
        raise InputError(f"workers is {workers}; expected at least 1")
    with _one_thread_each(), ProcessPoolExecutor(min(workers, simulation.worlds), get_context("spawn")) as pool:
        waiting: set[Future[tuple[Trial, ...]]] = set()
        try:
            for index in range(simulation.worlds):
                waiting.add(pool.submit(simulate_world, simulation, index))
                while len(waiting) >= 4 * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile take these limits over; they are read when numpy is imported."""
    before = {name: os.environ.get(name) for name in _THREAD_LIMITS}
    os.environ.update(dict.fromkeys(_THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
