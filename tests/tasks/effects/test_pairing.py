from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tasks.effects.matrix import RunTable
from tasks.effects.paired import paired_effects
from tasks.effects.pairing import Unused, pair_leave_one_out
from tasks.errors import InputError

NAMES = ("a", "b", "c", "d")
BASE = (100.0, 200.0, 300.0, 400.0)


def table(runs: list[tuple[str, int, tuple[float, ...]]], noise: float = 0.1, adaptive: bool = False) -> RunTable:
    """Runs given as (arm, seed, amounts); performances rise with the logarithm of each category's own amount."""
    rng = np.random.default_rng(0)
    amounts = np.array([amount for _, _, amount in runs])
    return RunTable(
        runs=tuple(f"{arm}, seed {seed}" for arm, seed, _ in runs),
        seeds=tuple(seed for _, seed, _ in runs),
        arms=tuple(arm for arm, _, _ in runs),
        sources=NAMES,
        amounts=amounts,
        targets=NAMES,
        performance=np.log1p(amounts) + rng.normal(0, noise, amounts.shape),
        n=np.zeros(amounts.shape, dtype=np.int64),
        unit="nats per token",
        adaptive=tuple(arm != "baseline" for arm, _, _ in runs) if adaptive else (),
    )


def with_amount(*changes: tuple[str, float]) -> tuple[float, ...]:
    amounts = dict(zip(NAMES, BASE, strict=True)) | dict(changes)
    return tuple(amounts[name] for name in NAMES)


def baselines(*seeds: int) -> list[tuple[str, int, tuple[float, ...]]]:
    return [("baseline", seed, BASE) for seed in seeds]


def removals(names: str, *seeds: int) -> list[tuple[str, int, tuple[float, ...]]]:
    return [(f"without {name}", seed, with_amount((name, 0))) for name in names for seed in seeds]


def test_missing_seeds_are_blank_and_each_source_is_estimated_from_its_own() -> None:
    runs = table(baselines(1, 2, 3, 4) + removals("ab", 1, 2, 3, 4) + removals("c", 2, 3, 4) + removals("d", 1, 2))
    with pytest.raises(InputError, match="source 'd': no run without it at seed 3"):
        paired_effects(runs)
    paired = pair_leave_one_out(runs, allow_missing=True)
    assert paired.counts.tolist() == [4, 4, 3, 2]
    np.testing.assert_array_equal(paired.present[:, 3], [True, True, False, False])
    assert np.isnan(paired.difference[0, :, 2]).all()
    effects = paired_effects(runs, variance="separate", allow_missing=True)
    row = {name: r for r, name in enumerate(runs.runs)}
    for j, seeds in enumerate([(1, 2, 3, 4), (1, 2, 3, 4), (2, 3, 4), (1, 2)]):
        for i in range(4):
            base = [runs.performance[row[f"baseline, seed {s}"], i] for s in seeds]
            without = [runs.performance[row[f"without {NAMES[j]}, seed {s}"], i] for s in seeds]
            test = stats.ttest_rel(base, without)
            assert effects.delta[i, j] == pytest.approx(np.mean(base) - np.mean(without))
            assert effects.p_value[i, j] == pytest.approx(test.pvalue)
            assert effects.high[i, j] == pytest.approx(test.confidence_interval().high)
    shared = effects.seed_delta[1:4, 0, 2] - effects.seed_delta[1:4, 2, 0]
    assert effects.asymmetry_p[0, 2] == pytest.approx(stats.ttest_1samp(shared, 0, alternative="greater").pvalue)
    assert np.isnan(effects.asymmetry_p[2, 3])
    assert effects.seeds == 4


def test_missing_seeds_of_adaptively_chosen_runs_are_expected() -> None:
    runs = table(baselines(1, 2, 3) + removals("abc", 1, 2, 3) + removals("d", 1, 2), adaptive=True)
    assert pair_leave_one_out(runs).counts.tolist() == [3, 3, 3, 2]


def test_a_source_with_one_seed_is_refused_though_missing_seeds_are_allowed() -> None:
    runs = table(baselines(1, 2) + removals("ab", 1, 2) + removals("c", 2))
    with pytest.raises(InputError, match="source 'c': runs at one seed only"):
        pair_leave_one_out(runs, allow_missing=True)


def test_a_baseline_without_other_runs_at_its_seed_is_returned_as_unused() -> None:
    runs = table(baselines(1, 2, 3) + removals("ab", 1, 2))
    paired = pair_leave_one_out(runs, allow_missing=True)
    assert paired.difference.shape == (2, 4, 2)
    assert paired.unused == (Unused("baseline, seed 3", "no other run has its seed 3"),)


def test_runs_that_change_several_sources_are_returned_as_unused_beside_single_ones() -> None:
    single = baselines(1, 2) + removals("abc", 1, 2)
    pairs = [("without a, b", seed, with_amount(("a", 0), ("b", 0))) for seed in (1, 2)]
    mixture = [("mixture 1", seed, (50.0, 250.0, 250.0, 450.0)) for seed in (1, 2)]
    paired, alone = pair_leave_one_out(table(single + pairs + mixture)), pair_leave_one_out(table(single))
    np.testing.assert_array_equal(paired.amounts, alone.amounts)
    assert paired.sources == alone.sources
    assert paired.unused == (
        Unused("without a, b, seed 1", "changes a, b together"),
        Unused("without a, b, seed 2", "changes a, b together"),
        Unused("mixture 1, seed 1", "changes a, b, c, d together"),
        Unused("mixture 1, seed 2", "changes a, b, c, d together"),
    )


def test_runs_that_all_change_several_sources_are_refused() -> None:
    pairs = [("without a, b", seed, with_amount(("a", 0), ("b", 0))) for seed in (1, 2)]
    with pytest.raises(InputError, match="need --estimator surface"):
        pair_leave_one_out(table(baselines(1, 2) + pairs))


def test_several_doses_of_a_source_point_to_the_surface() -> None:
    half = [("half of a", seed, with_amount(("a", 50))) for seed in (1, 2)]
    with pytest.raises(InputError, match=r"several arms \(half of a, without a\).*--estimator surface"):
        pair_leave_one_out(table(baselines(1, 2) + removals("ab", 1, 2) + half))


@pytest.mark.parametrize(
    "raised",
    [
        with_amount(("a", 300)),
        (300.0, 156.0, 233.0, 311.0),  # size-matched: the others give 200 in proportion, rounded to whole numbers
    ],
)
def test_a_raised_source_that_helps_has_a_positive_effect(raised: tuple[float, ...]) -> None:
    runs = table(baselines(1, 2, 3) + [("more a", s, raised) for s in (1, 2, 3)] + removals("bcd", 1, 2, 3), noise=0.01)
    paired = pair_leave_one_out(runs)
    np.testing.assert_allclose(paired.amounts, [-200, 200, 300, 400])
    effects = paired_effects(runs)
    assert effects.amounts[0] == 200
    assert effects.delta[0, 0] == pytest.approx(np.log(301 / 101), abs=0.03)
    assert effects.marginal[0, 0] == pytest.approx(effects.delta[0, 0] / 200)
    assert effects.delta[1, 1] == pytest.approx(np.log(201), abs=0.03)
    for seed in range(3):
        gained = runs.performance[3 + seed] - runs.performance[seed]
        np.testing.assert_allclose(effects.seed_delta[seed, :, 0], gained)


def test_a_category_absent_from_the_baseline_can_be_the_raised_one() -> None:
    base = with_amount(("a", 0))
    runs = table([("baseline", s, base) for s in (1, 2)] + [("with a", s, BASE) for s in (1, 2)])
    paired = pair_leave_one_out(runs)
    assert paired.sources == ("a",)
    assert paired.amounts.tolist() == [-100]


def test_a_source_lowered_at_one_seed_and_raised_at_another_is_refused() -> None:
    changed = [("other a", 1, with_amount(("a", 50))), ("other a", 2, with_amount(("a", 150)))]
    with pytest.raises(InputError, match="source 'a': lowered at some seeds and raised at others"):
        pair_leave_one_out(table(baselines(1, 2) + removals("b", 1, 2) + changed))
