"""What the intervals and tests promise, counted in planted worlds.

Bounds are the promise itself (93 to 97% for 95% intervals; 5% for error rates) wherever the estimator keeps it; where
it does not, the bound says by how much. Seeds are fixed, and counts so large that standard errors are about a percent;
rates of whole worlds are tested against 5% with a binomial test, as their true rate may be close to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tasks.effects.paired import effects_from_differences

NOISES = ("equal", "mixed", "target", "proportional")


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("seeds", [3, 5])
def test_effect_intervals_in_planted_worlds_cover_as_often_as_promised(
    planted_world: Callable, noise: str, seeds: int
) -> None:
    rng = np.random.default_rng(20)
    off_cells, own_cells, ratios = [], [], []
    for _ in range(80):
        truth, paired = planted_world(rng, 8, seeds, noise)
        effects = effects_from_differences(paired, draws=0)
        own = np.eye(8, dtype=bool)
        covered = (effects.low <= truth) & (truth <= effects.high)
        gamma = (truth / paired.amounts) / (np.diag(truth) / paired.amounts)[:, None]
        within = (effects.gamma_low <= gamma) & (gamma <= effects.gamma_high)
        off_cells.append(covered[~own])
        own_cells.append(covered[own])
        ratios.append(within[~own & effects.identified[:, None]])
    assert 0.93 <= np.concatenate(off_cells).mean() <= 0.97
    assert 0.90 <= np.concatenate(own_cells).mean() <= 0.97
    assert 0.93 <= np.concatenate(ratios).mean() <= 0.98


def test_effect_intervals_of_the_noisiest_targets_cover_as_often_as_promised(planted_world: Callable) -> None:
    rng = np.random.default_rng(21)
    covered = []
    for _ in range(200):
        truth, paired = planted_world(rng, 8, 3, "target")
        effects = effects_from_differences(paired, draws=0)
        noisiest = np.argsort(paired.difference.var(axis=0, ddof=1).mean(axis=1) - np.diag(truth))[-1]
        cells = (effects.low <= truth) & (truth <= effects.high)
        covered.append(np.delete(cells[noisiest], noisiest))
    assert np.concatenate(covered).mean() >= 0.92


@pytest.mark.parametrize(("noise", "seeds"), [("equal", 3), ("target", 3), ("mixed", 2), ("mixed", 3), ("mixed", 5)])
def test_discoveries_in_worlds_without_interaction_are_false_at_most_as_often_as_promised(
    planted_world: Callable, noise: str, seeds: int
) -> None:
    rng = np.random.default_rng(22)
    any_false = []
    for _ in range(240):
        _, paired = planted_world(rng, 8, seeds, noise, null=True)
        p = effects_from_differences(paired, draws=0).p_value[~np.eye(8, dtype=bool)]
        any_false.append(bool((stats.false_discovery_control(p) <= 0.05).any()))
    assert stats.binomtest(sum(any_false), len(any_false), 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("noise", NOISES)
def test_discoveries_in_planted_worlds_keep_the_false_discovery_rate(planted_world: Callable, noise: str) -> None:
    rng = np.random.default_rng(23)
    rates = []
    for _ in range(150):
        truth, paired = planted_world(rng, 8, 3, noise)
        effects = effects_from_differences(paired, draws=0)
        found = effects.q_value <= 0.05
        rates.append((found & (truth == 0)).sum() / max(1, found.sum()))
    assert np.mean(rates) <= 0.05


@pytest.mark.parametrize("noise", NOISES)
def test_asymmetry_between_equal_effects_is_found_at_most_as_often_as_promised(
    planted_world: Callable, noise: str
) -> None:
    rng = np.random.default_rng(24)
    found = []
    for _ in range(120):
        truth, paired = planted_world(rng, 8, 3, noise)
        p = effects_from_differences(paired, draws=0).asymmetry_p
        found.append(p[(truth == truth.T) & ~np.eye(8, dtype=bool)] <= 0.05)
    assert np.concatenate(found).mean() <= 0.055


def test_moderation_in_planted_worlds_finds_a_third_more_true_effects_than_separate_variances(
    planted_world: Callable,
) -> None:
    rng = np.random.default_rng(25)
    power = {"moderated": [], "separate": []}
    for _ in range(60):
        truth, paired = planted_world(rng, 8, 3, "mixed")
        real = (truth != 0) & ~np.eye(8, dtype=bool)
        for variance, found in power.items():
            found.append((effects_from_differences(paired, variance=variance, draws=0).q_value <= 0.05)[real])
    assert np.concatenate(power["moderated"]).mean() > 4 / 3 * np.concatenate(power["separate"]).mean()


def test_a_category_without_own_gain_among_strong_ones_is_not_identified(planted_world: Callable) -> None:
    rng = np.random.default_rng(26)
    false, true = [], []
    for _ in range(100):
        _, paired = planted_world(rng, 8, 3, "proportional")
        paired.difference[:, 0, 0] = rng.normal(0, 0.05, 3)
        identified = effects_from_differences(paired, draws=0).identified
        false.append(identified[0])
        true.append(identified[1:])
    assert np.mean(false) <= 0.025
    assert np.mean(true) >= 0.97


@pytest.mark.parametrize("noise", NOISES)
def test_intervals_and_tests_with_unequal_seeds_keep_their_promises(
    planted_world: Callable, thinned: Callable, noise: str
) -> None:
    rng = np.random.default_rng(27)
    off = ~np.eye(8, dtype=bool)
    cells, scarce, ratios, rates, asymmetric = [], [], [], [], []
    for _ in range(90):
        truth, paired = planted_world(rng, 8, 5, noise)
        paired = thinned(rng, paired)
        effects = effects_from_differences(paired, draws=0)
        covered = (effects.low <= truth) & (truth <= effects.high)
        gamma = (truth / paired.amounts) / (np.diag(truth) / paired.amounts)[:, None]
        within = (effects.gamma_low <= gamma) & (gamma <= effects.gamma_high)
        found = effects.q_value <= 0.05
        cells.append(covered[off])
        scarce.append(covered[off & (paired.counts == 2)])
        ratios.append(within[off & effects.identified[:, None]])
        rates.append((found & (truth == 0)).sum() / max(1, found.sum()))
        asymmetric.append(effects.asymmetry_p[(truth == truth.T) & off] <= 0.05)
    assert 0.93 <= np.concatenate(cells).mean() <= 0.97
    assert 0.92 <= np.concatenate(scarce).mean() <= 0.98
    assert 0.93 <= np.concatenate(ratios).mean() <= 0.98
    assert np.mean(rates) <= 0.05
    assert np.concatenate(asymmetric).mean() <= 0.06


def test_effect_intervals_cover_as_often_as_promised_though_the_targets_of_a_run_move_together(
    planted_world: Callable,
) -> None:
    rng = np.random.default_rng(28)
    covered = []
    for _ in range(100):
        truth, paired = planted_world(rng, 28, 3, "equal", correlation=0.9)
        effects = effects_from_differences(paired, draws=0)
        covered.append(((effects.low <= truth) & (truth <= effects.high))[~np.eye(28, dtype=bool)])
    assert 0.93 <= np.concatenate(covered).mean() <= 0.97
