"""From effects to the program: units, weights, errors and which coefficients stand behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.effects.matrix import EffectMatrix, ErrorDraws
from tasks.errors import InputError
from tasks.proportions.goal import DRAWS, goal_from_effects, goal_from_file, propose
from tasks.proportions.program import solve
from tasks.proportions.proposal import Coefficients, Limits, Options
from tests.tasks.proportions.instances import make_baseline, random_instance, square

QUICK = Options(sensitivity=False)


def effect_matrix(marginal, targets=None, sources=None, draws=200, spread=0.01, amounts=100.0):
    """A matrix with these marginal effects; errors are normal draws."""
    marginal = np.asarray(marginal, dtype=float)
    t, s = marginal.shape
    targets = targets or tuple(f"c{i}" for i in range(t))
    sources = sources or tuple(f"c{j}" for j in range(s))
    own = np.array([marginal[i, sources.index(name)] if name in sources else np.nan for i, name in enumerate(targets)])
    identified = own > 0
    gamma = np.where(identified[:, None], marginal / np.where(identified, own, 1.0)[:, None], np.nan)
    errors = np.random.default_rng(0).normal(0, spread, (draws, t, s)) * np.abs(marginal).max()
    blank = np.zeros((t, s))
    return EffectMatrix(
        "paired",
        targets,
        sources,
        "nats per token",
        3,
        0.95,
        marginal * amounts,
        *[blank] * 5,
        np.full(s, amounts),
        marginal,
        errors.std(axis=0),
        gamma,
        blank,
        blank,
        identified,
        blank,
        np.zeros((3, t, s)),
        ErrorDraws(errors * amounts, errors),
    )


def test_propose_performance_predicts_the_weighted_change_of_performance_in_its_unit():
    marginal = np.array([[2e-3, 1e-3, 0], [0, 1e-3, 0], [5e-4, 0, 1e-4]])
    baseline = make_baseline([0.5, 0.3, 0.2])
    goal = goal_from_effects(effect_matrix(marginal), baseline, "performance")
    proposal = propose(goal, baseline, Limits(1000), QUICK)
    moved = np.array(proposal.shares) * 1000 - np.array([500, 300, 200])
    assert proposal.gain.value == pytest.approx(np.array([0.5, 0.3, 0.2]) @ marginal @ moved)
    assert proposal.unit == proposal.gain.unit == "nats per token"
    assert proposal.decision == "change"
    in_tokens = propose(goal, baseline, Limits(1000), replace(QUICK, amount=50_000.0))
    assert in_tokens.gain.value == pytest.approx(50 * proposal.gain.value)
    assert in_tokens.gain.low == pytest.approx(50 * proposal.gain.low)


def test_propose_equivalence_from_effects_equals_the_program_of_its_coefficients():
    gamma, baseline, limits = random_instance(4)
    marginal = gamma.values * np.random.default_rng(0).uniform(1e-3, 2e-3, len(gamma.values))[:, None]
    found = propose(goal_from_effects(effect_matrix(marginal), baseline, "equivalence"), baseline, limits, QUICK)
    expected = solve(gamma, baseline, limits, options=QUICK)
    assert found.shares == pytest.approx(expected.shares, abs=1e-7)
    assert found.objective == pytest.approx(expected.objective)
    assert found.unit == "equivalent share"
    assert found.gain.draws == 200


def test_propose_target_without_yardstick_counts_in_performance_but_not_in_equivalent_amounts():
    # c1's own data harm it; c0's data help it. Performance sees that, the equivalent amount cannot.
    marginal = np.array([[1e-3, 0, 0], [3e-3, -1e-3, 0], [0, 0, 1e-3]])
    baseline, matrix = make_baseline([0.3, 0.4, 0.3]), effect_matrix(marginal)
    assert list(matrix.identified) == [True, False, True]
    equivalence = propose(goal_from_effects(matrix, baseline, "equivalence"), baseline, Limits(1000), QUICK)
    performance = propose(goal_from_effects(matrix, baseline, "performance"), baseline, Limits(1000), QUICK)
    assert equivalence.unidentified == ("c1",)
    # Γᵀα = (0.3, 0.4, 0.3) with the identity row, against αᵀm ∝ (1.5, −0.4, 0.3).
    assert equivalence.shares[1] == pytest.approx(0.43)
    assert performance.shares == pytest.approx((0.33, 0.37, 0.3))


def test_goal_from_file_performance_equals_the_goal_from_effects():
    rng = np.random.default_rng(1)
    marginal = rng.uniform(-0.2, 1, (4, 4)) * 1e-3 + 1e-3 * np.eye(4)
    baseline = make_baseline([0.1, 0.2, 0.3, 0.4])
    from_file = goal_from_file(square(marginal), baseline, "performance")
    from_effects = goal_from_effects(effect_matrix(marginal), baseline, "performance")
    assert from_file.slopes.value == pytest.approx(from_effects.slopes.value)
    assert from_file.equivalence.gamma.values == pytest.approx(from_effects.equivalence.gamma.values)
    assert from_file.equivalence.worth == pytest.approx(from_effects.equivalence.worth)
    assert from_file.equivalence.gains == pytest.approx(from_file.slopes.value)
    assert from_file.slopes.errors is None
    concave = Options(exponent=0.5, sensitivity=False)
    a, b = (propose(g, baseline, Limits(1000, 0.3, 0.9), concave) for g in (from_file, from_effects))
    assert a.shares == pytest.approx(b.shares, abs=1e-6)


@pytest.mark.parametrize("objective", ["equivalence", "performance"])
def test_goal_from_file_standard_errors_become_independent_errors_of_the_column_sums(objective):
    rng = np.random.default_rng(2)
    errors = rng.uniform(0.1, 1, (3, 3))
    effects = Coefficients(("c0", "c1", "c2"), ("c2", "c0", "c1"), rng.uniform(0.5, 1, (3, 3)))
    baseline = make_baseline([0.5, 0.3, 0.2])
    slopes = goal_from_file(effects, baseline, objective, None, errors).slopes
    assert slopes.errors.shape == (DRAWS, 3)
    spread = dict(zip(slopes.sources, slopes.errors.std(axis=0), strict=True))
    for j, name in enumerate(effects.sources):
        # Standard error of a standard deviation from 2000 draws: 1.6 %.
        assert spread[name] == pytest.approx(np.sqrt((np.array([0.5, 0.3, 0.2]) ** 2) @ errors[:, j] ** 2), rel=0.08)
    assert np.abs(np.corrcoef(slopes.errors.T) - np.eye(3)).max() < 0.11


def test_goal_from_file_blank_rows_need_no_standard_errors_and_others_do():
    nan = float("nan")
    effects = square([[nan, nan], [0.5, 1.0]])
    baseline = make_baseline([0.5, 0.5])
    goal = goal_from_file(effects, baseline, "equivalence", None, np.array([[nan, nan], [0.1, 0.0]]))
    assert goal.equivalence.unidentified == ("c0",)
    assert goal.slopes.errors[:, 1] == pytest.approx(0)
    with pytest.raises(InputError, match="row 'c1', column 'c0'"):
        goal_from_file(effects, baseline, "equivalence", None, np.array([[nan, nan], [nan, 0.0]]))
    with pytest.raises(InputError, match="marginal effects: row 'c0', column 'c0'"):
        goal_from_file(effects, baseline, "performance")


def test_goal_other_targets_need_weights_and_have_no_equivalent_amounts():
    matrix = effect_matrix([[1e-3, 2e-3], [0, 1e-3], [1e-3, 0]], ("exam", "chat", "c0"), ("c0", "c1"))
    baseline = make_baseline([0.5, 0.5])
    with pytest.raises(InputError, match=r"give the targets' weights \(--weights\)"):
        goal_from_effects(matrix, baseline, "performance")
    weights = {"exam": 0.5, "chat": 0.5, "c0": 0.0}
    goal = goal_from_effects(matrix, baseline, "performance", weights)
    assert goal.equivalence is None
    assert goal.slopes.value == pytest.approx([0.5e-3, 1.5e-3])
    assert propose(goal, baseline, Limits(1000), QUICK).shares == pytest.approx((0.47, 0.53))
    with pytest.raises(InputError, match="no-harm limits need"):
        propose(goal, baseline, Limits(1000, no_harm=0.1), QUICK)


@pytest.mark.parametrize("estimator", ["paired", "surface"])
def test_propose_gain_of_averaged_slopes_is_promised_only_if_they_hold_at_the_baseline(estimator):
    baseline = make_baseline([0.5, 0.3, 0.2])
    matrix = replace(effect_matrix(np.diag([2e-3, 1e-3, 1e-4]), spread=1e-3), estimator=estimator)
    proposal = propose(goal_from_effects(matrix, baseline, "performance"), baseline, Limits(1000), QUICK)
    assert proposal.decision == "change"
    low = f"{proposal.gain.low:.4g} nats per token"
    if estimator == "surface":
        assert proposal.reason == f"with 95 % confidence the gain is above {low}"
        return
    assert proposal.reason.startswith("if slopes averaged over all that the runs changed")
    assert proposal.reason.endswith(f"held at the baseline, with 95 % confidence the gain would be above {low}")
    assert any("overstated" in text for text in proposal.warnings)


@pytest.mark.parametrize("amounts", [0.5, 0.499])
def test_propose_effects_measured_on_shares_gain_what_they_gain_per_share(amounts):
    baseline = make_baseline([0.5, 0.5])
    goal = goal_from_effects(effect_matrix([[1.0, 0], [0, 2.0]], amounts=amounts), baseline, "performance")
    proposal = propose(goal, baseline, Limits(10_000, max_shift=0.04), QUICK)
    # By hand: 4 points move from a source worth 0.5 · 1 to one worth 0.5 · 2 per share; the whole set is 2 · amounts.
    assert proposal.gain.value == pytest.approx(0.04 * 0.5 * 2 * amounts)
    assert not any("sums to" in text for text in proposal.warnings)


def test_propose_training_set_of_another_magnitude_than_the_runs_asks_for_its_amount_and_warns_of_a_far_one():
    baseline = make_baseline([0.5, 0.5])
    percent = goal_from_effects(effect_matrix([[1e-3, 0], [0, 2e-3]], amounts=50.0), baseline, "performance")
    with pytest.raises(InputError, match=r"sums to 100 in their unit.*10000 examples.*--amount.*100 for percent"):
        propose(percent, baseline, Limits(10_000), QUICK)
    near = propose(percent, baseline, Limits(10_000), replace(QUICK, amount=100.0))
    assert not any("sums to" in text for text in near.warnings)
    far = propose(percent, baseline, Limits(10_000), replace(QUICK, amount=10_000.0))
    assert any("sums to 100 in their unit" in text for text in far.warnings)
