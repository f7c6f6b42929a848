"""Rates over worlds: the counts behind them, and intervals that know that the cells of a world belong together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasks.worlds.score import Covered, Scores
from tasks.worlds.simulation import Trial
from tasks.worlds.summary import rate, summarize


def test_one_cell_per_world_gives_the_exact_binomial_interval() -> None:
    found = rate([Covered(1, 1)] * 3 + [Covered(0, 1)] * 97)
    exact = stats.binomtest(3, 100).proportion_ci(method="exact")
    assert (found.hits, found.cells, found.value) == (3, 100, 0.03)
    # The scatter between worlds is the sample's, 100/99 of the binomial one.
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=0.02)


def test_no_hits_at_all_count_each_world_once() -> None:
    found = rate([Covered(0, 50)] * 20)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 20))
    every = rate([Covered(50, 50)] * 20)
    assert (every.low, every.high) == pytest.approx((0.025 ** (1 / 20), 1))


def test_nothing_counted_gives_no_rate() -> None:
    assert np.isnan(rate([]).value)
    assert rate([Covered(), Covered()]).cells == 0


def test_worlds_that_hit_or_miss_as_a_whole_count_once_and_intervals_keep_their_level() -> None:
    generator = np.random.default_rng(1)
    together, held = [], 0
    for _ in range(400):
        # 40 worlds of 30 cells; a world's own rate varies a lot around 0.9.
        own = generator.beta(4.5, 0.5, 40)
        found = rate([Covered(int(hits), 30) for hits in generator.binomial(30, own)])
        held += found.low <= 0.9 <= found.high
        together.append(found.high - found.low)
    assert 0.91 < held / 400 < 0.99
    naive = stats.binomtest(1080, 1200).proportion_ci()
    assert np.median(together) > 2 * (naive.high - naive.low)


def scores(**changes: object) -> Scores:
    plain: dict[str, object] = {
        "delta_others": Covered(5, 6),
        "delta_own": Covered(3, 3),
        "gamma": Covered(2, 2),
        "gamma_local": Covered(1, 2),
        "gamma_distance": 0.2,
        "identified": 3,
        "prediction": Covered(),
        "error_others": 0.1,
        "error_own": 0.2,
        "error_all": 0.15,
        "edges_found": 2,
        "edges_right": 1,
        "edges_true": 4,
        "proposed": True,
        "gain": 0.03,
        "best_gain": 0.04,
        "predicted_gain": 0.05,
    }
    return Scores(**{**plain, **changes})  # type: ignore[arg-type]


def trial(world: int, found: Scores | str, null: bool = False, design: str = "leave-one-out") -> Trial:
    kept, refused = (None, found) if isinstance(found, str) else (found, "")
    return Trial(world, world, null, design, "paired", 36, 34 + world, kept, refused)


def test_summary_counts_what_each_trial_says() -> None:
    nothing = {"edges_found": 0, "edges_right": 0, "edges_true": 0, "best_gain": 0.0}
    trials = [
        trial(0, scores()),
        trial(1, scores(gain=-0.01, error_all=0.45, best_gain=0.06, gamma_distance=float("nan"))),
        trial(2, scores(proposed=False, gain=0.0, error_all=0.25, best_gain=0.1)),
        trial(3, scores(**nothing, gain=-0.02, error_all=9.0), null=True),
        trial(4, scores(**nothing, gain=0.0, proposed=False, error_all=9.0), null=True),
        trial(5, "too few seeds"),
        trial(0, scores(), design="dose"),
    ]
    found, other = summarize(trials)
    assert (found.design, other.design) == ("leave-one-out", "dose")
    assert (found.worlds, found.refused, found.refusals, found.runs) == (5, 1, ("too few seeds",), 36.5)
    assert (found.delta_others.hits, found.delta_others.cells) == (25, 30)
    assert (found.error_all, found.gamma_distance) == pytest.approx((0.25, 0.2))
    assert (found.precision.hits, found.precision.cells) == (3, 6)
    assert (found.recall.hits, found.recall.cells) == (3, 12)
    assert found.false_discoveries == pytest.approx((0.5 * 3 + 0 * 2) / 5)
    assert (found.false_changes.hits, found.false_changes.cells) == (1, 2)
    assert (found.changes.hits, found.changes.cells) == (2, 3)
    assert (found.harmful.hits, found.harmful.cells) == (2, 3)
    assert found.captured == pytest.approx(0.02 / 0.2)
    assert found.regret == pytest.approx(0.9)
