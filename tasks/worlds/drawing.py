"""Draw worlds: sizes, laws, planted dependencies and conflicts, noise; and worlds in which nothing is to be found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tasks.errors import InputError
from tasks.worlds.world import AnalyticWorld, Matrix, Vector

TYPICAL_COUNT = 400
"""Median examples per category."""

OWN_EFFECT = 0.5
"""Median of what removing all of a category costs that category, in nats per token."""

FLOOR_SHARE = 0.25
"""Floor of the equivalent amount as a share of what the base model knows before conflicts are allowed for."""


@dataclass(frozen=True)
class WorldSpec:
    """What kind of worlds to draw.

    Attributes:
        categories: K ≥ 2.
        noise: standard deviation of the run noise as a fraction of the typical removal effect, which is the median of
            |Δ_ij| over all cells with γ_ij ≠ 0, the diagonal included; ≥ 0.
        seed_noise: standard deviation of what all runs of a seed share, as a multiple of the run noise.
        correlation: ρ of the run noise between targets.
        edges: planted dependencies per category.
        conflicts: planted conflicts per category.
        universal: sources that are good for every category after them in the planted order.
        curvature_spread: how much the laws' curvatures differ, 0 to 1: it scales the spread of the exponents c and of
            what the base model knows. At 0 all laws have the same shape, and what removing all of a category tells
            about small steps is wrong by the same factor everywhere.
    """

    categories: int = 8
    noise: float = 0.2
    seed_noise: float = 1.0
    correlation: float = 0.3
    edges: float = 1.0
    conflicts: float = 0.25
    universal: int = 0
    curvature_spread: float = 1.0

    def check(self) -> None:
        """Raise InputError with every value that no world can have."""
        problems = [] if self.categories >= 2 else [f"categories is {self.categories}; expected at least 2"]
        problems += [
            f"{name} is {value}; expected 0 or more"
            for name, value in (
                ("noise", self.noise),
                ("seed noise", self.seed_noise),
                ("edges", self.edges),
                ("conflicts", self.conflicts),
            )
            if not 0 <= value < np.inf
        ]
        if not 0 <= self.correlation < 1:
            problems.append(f"correlation is {self.correlation}; expected from 0 up to, but not, 1")
        if not 0 <= self.curvature_spread <= 1:
            problems.append(f"curvature spread is {self.curvature_spread}; expected from 0 to 1")
        if not 0 <= self.universal < max(self.categories, 1):
            problems.append(f"universal is {self.universal}; expected 0 to {self.categories - 1} sources")
        pairs = self.categories * (self.categories - 1) / 2
        if not problems and (self.edges + self.conflicts) * self.categories > pairs:
            problems.append(
                f"{self.edges:g} edges and {self.conflicts:g} conflicts per category need more than the {pairs:.0f} "
                "pairs of categories there are"
            )
        if problems:
            raise InputError("Worlds: " + "; ".join(problems) + ".")


def draw_world(spec: WorldSpec, seed: int, null: bool = False) -> AnalyticWorld:
    """Draw one world; the same arguments give the same world.

    Sizes n are log-normal around 400. A random order of the categories, in which large ones tend to come first, makes
    the dependencies acyclic: sources come before their targets. γ of an edge is log-uniform in 0.15…1, of a conflict
    uniform in −0.3…−0.05 (no conflicting source takes away more than half of what a target's own data bring). What the
    base model knows, e, is 0.2…1.5 times n (log-uniform) plus twice the amount that all conflicts take away. Exponents
    c are uniform in 0.2…0.6 (both narrower where `curvature_spread` says so). The scale b follows from the own removal
    effect Δ_ii, log-normal around 0.5.

    A null world has γ = 0 off the diagonal, and its scales b are chosen such that the share-weighted slope
    s_j = α_j b_j c_j A_j^(−c_j−1) is the same for every category. As the law is concave, the baseline is then the exact
    optimum among all mixtures of the same size: any proposed change is a false positive.

    Raises:
        InputError: a value of `spec` that no world can have.
    """
    spec.check()
    generator = np.random.default_rng([seed, spec.categories, int(null)])
    size = spec.categories
    spread = np.exp(0.7 * generator.standard_normal(size))
    counts = np.maximum(np.round(TYPICAL_COUNT * spread), 30.0)
    gamma = np.eye(size) if null else _planted(spec, counts, generator)
    known = counts * np.exp(_uniform(generator, np.log(0.2), np.log(1.5), spec))
    world = AnalyticWorld(
        seed=seed,
        null=null,
        categories=tuple(f"c{k:0{len(str(size))}d}" for k in range(1, size + 1)),
        counts=counts,
        ceiling=-generator.uniform(0.3, 1.5, size),
        scale=np.ones(size),
        exponent=_uniform(generator, 0.2, 0.6, spec),
        prior=known + 2 * np.maximum(-gamma, 0) @ counts,
        floor=FLOOR_SHARE * known,
        gamma=gamma,
        run_noise=np.zeros(size),
        seed_noise=np.zeros(size),
        correlation=spec.correlation,
    )
    own = OWN_EFFECT * np.exp(0.4 * generator.standard_normal(size))
    world = replace(world, scale=_flat_scale(world) if null else own / np.diag(world.removal()))
    typical = float(np.median(np.abs(world.removal()[gamma != 0])))
    noise = spec.noise * typical * np.exp(0.3 * generator.standard_normal(size))
    return replace(world, run_noise=noise, seed_noise=spec.seed_noise * noise)


def _uniform(generator: np.random.Generator, low: float, high: float, spec: WorldSpec) -> Vector:
    """[K] uniform numbers, drawn together toward the middle where curvatures are to differ less."""
    middle, half = (low + high) / 2, (high - low) / 2 * spec.curvature_spread
    return generator.uniform(middle - half, middle + half, spec.categories)


def _flat_scale(world: AnalyticWorld) -> Vector:
    """Scales b that make every slope s_j alike, at the level where the median own removal effect is 0.5."""
    scale = 1 / world.slopes()
    level = np.median(np.diag(replace(world, scale=scale).removal()))
    return np.asarray(scale * OWN_EFFECT / level)


def _planted(spec: WorldSpec, counts: Vector, generator: np.random.Generator) -> Matrix:
    size = spec.categories
    # Large categories tend to support, small ones to depend: composed skills have few examples of their own.
    order = np.argsort(-np.log(counts) + 0.7 * generator.standard_normal(size), kind="stable")
    gamma = np.eye(size)
    for j in order[: spec.universal]:
        later = order[np.flatnonzero(order == j)[0] + 1 :]
        gamma[later, j] = _edge_strength(generator, len(later))
    free = [(i, j) for place, i in enumerate(order) for j in order[:place] if gamma[i, j] == 0]
    chosen = generator.permutation(len(free))
    edges = min(round(spec.edges * size), len(free))
    conflicts = min(round(spec.conflicts * size), len(free) - edges)
    for pair in chosen[:edges]:
        gamma[free[pair]] = _edge_strength(generator, 1)[0]
    for pair in chosen[edges : edges + conflicts]:
        i, j = free[pair] if generator.random() < 0.5 else free[pair][::-1]
        gamma[i, j] = -min(generator.uniform(0.05, 0.3), counts[i] / (2 * counts[j]))
    return gamma


def _edge_strength(generator: np.random.Generator, size: int) -> Vector:
    return np.exp(generator.uniform(np.log(0.15), 0.0, size))
