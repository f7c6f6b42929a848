from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix
from tasks.effects.paired import effects_from_differences
from tasks.effects.pairing import PairedDifferences
from tasks.effects.prediction import main_effects, predicted_gain
from tasks.errors import InputError


def matrix_of(delta: np.ndarray, noise: float = 0.0, amounts: np.ndarray | None = None) -> EffectMatrix:
    k = len(delta)
    jitter = np.random.default_rng(0).normal(0, 1, (4, k, k))
    difference = delta + (noise or 1e-9) * (jitter - jitter.mean(axis=0))
    names = tuple(f"c{i}" for i in range(k))
    return effects_from_differences(
        PairedDifferences(names, names, "nats", np.ones(k) if amounts is None else amounts, difference)
    )


def test_main_effects_of_pure_columns_explain_everything() -> None:
    main = main_effects(matrix_of(np.tile([1.0, 2, 3, -1], (4, 1)) + np.diag([9, 9, 9, 9.0])))
    np.testing.assert_allclose(main.values, [1, 2, 3, -1])
    assert main.share == pytest.approx(1)


def test_main_effects_of_pure_interaction_explain_nothing() -> None:
    main = main_effects(matrix_of(np.array([[0, 1, -1.0], [-1, 0, 1], [1, -1, 0]])))
    np.testing.assert_allclose(main.values, 0, atol=1e-6)
    assert main.share == pytest.approx(0, abs=1e-6)


def test_main_effects_of_a_mixture_explain_the_sum_of_squares_between_columns() -> None:
    delta = np.random.default_rng(1).normal(size=(5, 5))
    main = main_effects(matrix_of(delta))
    columns = [np.delete(delta[:, j], j) for j in range(5)]
    cells = np.concatenate(columns)
    within = sum(((c - c.mean()) ** 2).sum() for c in columns)
    assert main.share == pytest.approx(1 - within / ((cells - cells.mean()) ** 2).sum(), rel=1e-5)


def test_predicted_gain_of_a_linear_world_is_the_true_gain() -> None:
    rng = np.random.default_rng(2)
    slope, counts = rng.normal(size=(4, 4)) + 2 * np.eye(4), np.array([100.0, 200, 300, 400])
    names = ("c0", "c1", "c2", "c3")
    new = np.array([120.0, 170, 310, 400])
    alpha = counts / counts.sum()
    gain = predicted_gain(
        matrix_of(slope * counts, amounts=counts),
        dict(zip(names, alpha, strict=True)),
        dict(zip(names, counts, strict=True)),
        dict(zip(names, new, strict=True)),
    )
    assert gain.value == pytest.approx(alpha @ slope @ (new - counts), rel=1e-6)
    assert gain.low <= gain.value <= gain.high


def test_predicted_gain_in_planted_worlds_has_an_interval_that_covers(planted_world: Callable) -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        truth, paired = planted_world(rng, 8, 3, "target")
        weights = dict.fromkeys(paired.targets, 0.125)
        old = dict(zip(paired.sources, paired.amounts, strict=True))
        step = rng.normal(size=8) * 5
        new = {name: old[name] + change for name, change in zip(paired.sources, step, strict=True)}
        gain = predicted_gain(effects_from_differences(paired), weights, old, new)
        covered.append(gain.low <= 0.125 * (truth / paired.amounts @ step).sum() <= gain.high)
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize(
    ("weights", "new", "message"),
    [
        ({"c0": 0.5, "c1": 0.4}, {"c0": 1}, "sum to 0.9"),
        ({"c0": 1.0}, {"c0": 1}, "no weight for 'c1'"),
        ({"c0": 0.5, "c1": 0.5, "x": 0.0}, {"c0": 1}, "weight for 'x', which is not measured"),
        ({"c0": 1.5, "c1": -0.5}, {"c0": 1}, "is -0.5, expected a share"),
        ({"c0": 0.5, "c1": 0.5}, {"new": 1}, "No effects were measured for new"),
    ],
)
def test_predicted_gain_with_weights_or_counts_that_do_not_fit_is_refused(
    weights: dict[str, float], new: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predicted_gain(matrix_of(np.eye(2), noise=0.1), weights, {}, new)
