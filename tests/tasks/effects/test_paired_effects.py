from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.effects.matrix import RunTable
from tasks.effects.paired import effects_from_differences, paired_effects
from tasks.effects.pairing import PairedDifferences, pair_leave_one_out
from tasks.errors import InputError


def leave_one_out(
    seeds: tuple[int, ...] = (1, 2, 3), categories: int = 3, matched: bool = False, noise: float = 0.1
) -> RunTable:
    rng = np.random.default_rng(0)
    names = tuple(f"c{i}" for i in range(categories))
    base = np.arange(1, categories + 1) * 100.0
    runs, run_seeds, arms, amounts = [], [], [], []
    for seed in seeds:
        for removed in (None, *range(categories)):
            counts = base.copy()
            if removed is not None:
                counts[removed] = 0
                if matched:
                    counts *= base.sum() / counts.sum()
            arms.append("baseline" if removed is None else f"without {names[removed]}")
            runs.append(f"{arms[-1]}, seed {seed}")
            run_seeds.append(seed)
            amounts.append(counts)
    amount = np.array(amounts)
    performance = -np.exp(-amount / 100) + rng.normal(0, noise, amount.shape)
    return RunTable(
        runs=tuple(runs),
        seeds=tuple(run_seeds),
        arms=tuple(arms),
        sources=names,
        amounts=amount,
        targets=names,
        performance=performance,
        n=np.zeros(amount.shape, dtype=np.int64),
        unit="nats per token",
    )


def keep(table: RunTable, rows: list[int]) -> RunTable:
    return replace(
        table,
        runs=tuple(table.runs[r] for r in rows),
        seeds=tuple(table.seeds[r] for r in rows),
        arms=tuple(table.arms[r] for r in rows),
        amounts=table.amounts[rows],
        performance=table.performance[rows],
        n=table.n[rows],
    )


def test_paired_effects_with_separate_variances_equal_the_paired_t_test() -> None:
    table = leave_one_out()
    effects = paired_effects(table, confidence=0.9, variance="separate")
    for i in range(3):
        for j in range(3):
            baseline = [table.performance[s * 4, i] for s in range(3)]
            without = [table.performance[s * 4 + 1 + j, i] for s in range(3)]
            test = stats.ttest_rel(baseline, without)
            interval = test.confidence_interval(0.9)
            assert effects.delta[i, j] == pytest.approx(np.mean(baseline) - np.mean(without))
            assert effects.p_value[i, j] == pytest.approx(test.pvalue)
            assert (effects.low[i, j], effects.high[i, j]) == pytest.approx((interval.low, interval.high))
            if i != j:
                gap = effects.seed_delta[:, i, j] - effects.seed_delta[:, j, i]
                assert effects.asymmetry_p[i, j] == pytest.approx(
                    stats.ttest_1samp(gap, 0, alternative="greater").pvalue
                )
    assert np.isnan(np.diag(effects.asymmetry_p)).all()
    np.testing.assert_allclose(effects.q_value.ravel(), stats.false_discovery_control(effects.p_value.ravel()))
    np.testing.assert_allclose(effects.marginal, effects.delta / [100, 200, 300])


def test_paired_effects_of_runs_in_any_order_are_the_same() -> None:
    table = leave_one_out(matched=True)
    shuffled = keep(table, list(np.random.default_rng(1).permutation(12)))
    first, second = paired_effects(table), paired_effects(shuffled)
    np.testing.assert_array_equal(first.delta, second.delta)
    np.testing.assert_array_equal(first.q_value, second.q_value)


def test_paired_effects_of_size_matched_runs_find_the_removed_source_though_others_rise() -> None:
    effects = paired_effects(leave_one_out(matched=True))
    assert effects.sources == ("c0", "c1", "c2")
    np.testing.assert_allclose(effects.amounts, [100, 200, 300])
    assert effects.seeds == 3


def test_paired_effects_with_a_category_nobody_removed_leave_its_column_out() -> None:
    table = leave_one_out(seeds=(1, 2))
    effects = paired_effects(keep(table, [r for r in range(8) if table.arms[r] != "without c1"]))
    assert effects.sources == ("c0", "c2")
    assert effects.targets == ("c0", "c1", "c2")
    assert not effects.identified[1]
    assert np.isnan(effects.gamma[1]).all()
    assert np.isnan(effects.asymmetry_p[1]).all()


def test_paired_effects_of_half_doses_divide_by_what_was_taken_away() -> None:
    table = leave_one_out()
    amounts = np.where(table.amounts == 0, np.array([50.0, 100, 150]), table.amounts)
    np.testing.assert_allclose(paired_effects(replace(table, amounts=amounts)).amounts, [50, 100, 150])


def test_paired_effects_of_one_seed_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2 seeds"):
        paired_effects(leave_one_out(seeds=(1,)))


def test_paired_effects_of_copied_seeds_are_refused() -> None:
    table = leave_one_out(noise=0)
    with pytest.raises(InputError, match="copies"):
        paired_effects(table)


def test_paired_effects_at_an_impossible_confidence_are_refused() -> None:
    with pytest.raises(InputError, match="95"):
        paired_effects(leave_one_out(), confidence=95)


def test_paired_effects_identical_in_all_seeds_need_moderation() -> None:
    rng = np.random.default_rng(0)
    difference = rng.normal(0, 0.1, (3, 4, 4))
    difference[:, 1, 2] = 0.5
    difference[:, 2, 1] = 0.25
    difference[:, 3, 0] = 0
    names = ("a", "b", "c", "d")
    paired = PairedDifferences(names, names, "share", np.ones(4), difference)
    with pytest.raises(InputError, match="identical in all seeds"):
        effects_from_differences(paired, variance="separate")
    effects = effects_from_differences(paired)
    assert 0 < effects.p_value[1, 2] < 0.05
    assert effects.p_value[3, 0] == 1
    assert 0 < effects.asymmetry_p[1, 2] < effects.asymmetry_p[2, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: keep(t, [r for r in range(12) if r != 5]), "source 'c0': no run without it at seed 2"),
        (
            lambda t: keep(t, [r for r in range(12) if r != 4]),
            "run 'without c1, seed 2': no baseline run with its seed 2",
        ),
        (lambda t: keep(t, [*range(12), 6]), "run 'without c1, seed 2': appears 2 times"),
        (lambda t: replace(keep(t, [*range(12), 6]), runs=(*t.runs, "again")), "'again': both remove 'c1' at seed 2"),
        (
            lambda t: replace(keep(t, [*range(12), 4]), runs=(*t.runs, "again")),
            "'again': both are the baseline at seed 2",
        ),
        (lambda t: keep(t, [1, 2, 3]), "no run has the arm 'baseline'"),
        (lambda t: keep(t, [0, 4, 8]), "no run removes a source"),
        (
            lambda t: replace(t, arms=(*t.arms[:5], "half of c0", *t.arms[6:])),
            "removed by several arms (half of c0, without c0)",
        ),
    ],
)
def test_pairing_of_incomplete_or_repeated_runs_names_them(change, message: str) -> None:
    with pytest.raises(InputError) as error:
        pair_leave_one_out(change(leave_one_out()))
    assert message in str(error.value)


def test_pairing_reports_nan_and_ambiguous_runs_together() -> None:
    table = leave_one_out()
    table.performance[3, 1] = np.nan
    table.amounts[7, 0] = 0
    table.amounts[9] = table.amounts[8]
    with pytest.raises(InputError) as error:
        pair_leave_one_out(table)
    assert "run 'without c2, seed 1': performance on 'c1' is nan" in str(error.value)
    assert "run 'without c2, seed 2': removes c0, c2" in str(error.value)
    assert "run 'without c0, seed 3': removes no source" in str(error.value)


def test_gamma_with_separate_variances_has_the_interval_of_inverted_tests() -> None:
    table = leave_one_out(seeds=(1, 2, 3, 4, 5), noise=0.05)
    effects = paired_effects(table, variance="separate")
    assert effects.identified.all()
    np.testing.assert_array_equal(np.diag(effects.gamma), 1)
    for i in range(3):
        for j in set(range(3)) - {i}:
            scale = effects.amounts[i] / effects.amounts[j]
            assert effects.gamma[i, j] == pytest.approx(effects.delta[i, j] / effects.delta[i, i] * scale)
            for end in (effects.gamma_low[i, j], effects.gamma_high[i, j]):
                rest = effects.seed_delta[:, i, j] - end / scale * effects.seed_delta[:, i, i]
                assert stats.ttest_1samp(rest, 0).pvalue == pytest.approx(0.05, abs=1e-9)


def test_gamma_of_harmful_own_data_is_not_identified() -> None:
    rng = np.random.default_rng(2)
    difference = rng.normal(0, 0.01, (4, 5, 5)) + np.diag([1, 1, -1, 1, 1])
    names = tuple("abcde")
    effects = effects_from_differences(PairedDifferences(names, names, "nats", np.ones(5), difference))
    assert effects.identified.tolist() == [True, True, False, True, True]
    assert np.isnan(effects.gamma[2]).all()
    assert np.isfinite(np.delete(effects.gamma_high, 2, axis=0)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 7), st.floats(0.01, 10))
def test_gamma_of_any_world_is_finite_inside_its_interval_or_nan(
    seed: int, seeds: int, categories: int, signal: float
) -> None:
    rng = np.random.default_rng(seed)
    names = tuple(f"c{i}" for i in range(categories))
    difference = rng.normal(0, 1, (seeds, categories, categories)) + signal * np.eye(categories)
    effects = effects_from_differences(PairedDifferences(names, names, "nats", np.ones(categories), difference))
    known = effects.gamma[effects.identified]
    assert np.isfinite(known).all()
    assert (effects.gamma_low[effects.identified] <= known + 1e-9).all()
    assert (known <= effects.gamma_high[effects.identified] + 1e-9).all()
    assert np.isnan(effects.gamma[~effects.identified]).all()
    assert (effects.asymmetry_p + effects.asymmetry_p.T)[~np.eye(categories, dtype=bool)] == pytest.approx(1)
