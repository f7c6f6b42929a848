from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.pairing import PairedDifferences

World = tuple[np.ndarray, PairedDifferences]


@pytest.fixture(scope="session")
def planted_world() -> Callable[..., World]:
    return _differences


@pytest.fixture(scope="session")
def thinned() -> Callable[..., PairedDifferences]:
    return _thinned


def _thinned(rng: np.random.Generator, paired: PairedDifferences) -> PairedDifferences:
    """Without the last seeds of most sources: each keeps its first 2 to all, and the first one all."""
    difference = paired.difference.copy()
    seeds, _, sources = difference.shape
    for j, kept in enumerate(rng.integers(2, seeds + 1, sources)):
        difference[kept if j else seeds :, :, j] = np.nan
    return replace(paired, difference=difference)


def _differences(
    rng: np.random.Generator, categories: int, seeds: int, noise: str, null: bool = False, correlation: float = 0.0
) -> World:
    """True [K, K] effects and paired differences that share the baseline run's noise within each row.

    noise: "equal"; "mixed" (inverse-gamma, 6 degrees of freedom); "target" (log-normal over targets, sigma 0.6);
    "proportional" (a fifth of the effect is added). Diagonal effects are large and always noisy in proportion.
    correlation: of a run's noise between any two targets.
    """
    k = categories
    effect = np.where(rng.random((k, k)) < 0.3, rng.gamma(2, 0.2, (k, k)), 0) * rng.choice([1, 1, 1, -1], (k, k))
    if null:
        effect[:] = 0
    own = rng.gamma(4, 0.5, k) + 0.3
    sd = np.full((k, k), 0.05)
    if noise == "mixed":
        sd = sd * np.sqrt(6 / rng.chisquare(6, (k, k)))
    elif noise == "target":
        sd = sd * np.exp(rng.normal(0, 0.6, (k, 1)))
    elif noise == "proportional":
        sd = np.hypot(sd, 0.2 * effect)
    shared = sd.min(axis=1) / np.sqrt(2)
    np.fill_diagonal(effect, own)
    np.fill_diagonal(sd, np.hypot(0.05, 0.2 * own))
    run_sd = np.sqrt(np.maximum(sd**2 - shared[:, None] ** 2, 0))
    root = np.linalg.cholesky((1 - correlation) * np.eye(k) + correlation)
    baseline = rng.normal(size=(seeds, k)) @ root.T * shared
    runs = np.einsum("tu,nus->nts", root, rng.normal(size=(seeds, k, k))) * run_sd
    observed = effect + baseline[:, :, None] - runs
    names = tuple(f"c{i}" for i in range(k))
    return effect, PairedDifferences(names, names, "nats per token", rng.uniform(50, 500, k), observed)
