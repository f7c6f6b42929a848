from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.errors import EvidenceError, InputError
from tasks.proportions.goal import ObjectiveName, goal_from_effects, propose
from tasks.proportions.proposal import Limits, Options
from tasks.sequential.shares import MOVED, Program, share_chances, shares_now


def program(measured: object, objective: ObjectiveName = "performance") -> Program:
    return Program(measured.baseline, measured.limits, objective, 0.95)


@pytest.mark.parametrize("objective", ["performance", "equivalence"])
def test_shares_now_are_what_the_program_recommends(planted: Callable, objective: ObjectiveName) -> None:
    decisions = []
    for seed in range(15):
        measured = planted(seed, noise=0.05 if seed % 2 else 0.4)
        matrix = measured.effects(2)
        goal = goal_from_effects(matrix, measured.baseline, objective)
        proposal = propose(goal, measured.baseline, measured.limits, Options(sensitivity=False))
        expected = proposal.shares if proposal.decision == "change" else proposal.baseline_shares
        decisions.append(proposal.decision)
        np.testing.assert_allclose(shares_now(matrix, program(measured, objective)), expected, atol=1e-6)
    assert set(decisions) == {"change", "keep"}


def test_shares_now_leave_a_baseline_that_breaks_its_limits(planted: Callable) -> None:
    measured = planted(0, noise=5.0)
    low = (0.9 * min(measured.baseline.shares),) * 8
    baseline = replace(measured.baseline, maximum=(low[0], *(1.0,) * 7))
    shares = shares_now(measured.effects(2), Program(baseline, Limits(1000, 0.2, None), "performance", 0.95))
    assert shares[0] <= low[0] + 1e-9
    assert abs(shares.sum() - 1) < 1e-9


def test_share_chances_of_a_finished_design_are_zero(planted: Callable) -> None:
    measured = planted(2, noise=0.3)
    assert np.all(share_chances(measured.effects(8), 8, program(measured)) == 0)


def test_share_chances_without_noise_to_speak_of_are_near_zero(planted: Callable) -> None:
    measured = planted(2, noise=0.001)
    assert share_chances(measured.effects(2), 8, program(measured)).max() < 0.02


def test_share_chances_tell_which_shares_will_move(planted: Callable) -> None:
    chances, moves = [], []
    for seed in range(25):
        measured = planted(seed, noise=0.05)
        settings = program(measured)
        before = measured.effects(2)
        chances += share_chances(before, 8, settings).tolist()
        now, later = shares_now(before, settings), shares_now(measured.effects(8), settings)
        place = dict(zip(measured.baseline.categories, np.abs(later - now) > MOVED, strict=True))
        moves += [place[source] for source in before.sources]
    chance, moved = np.array(chances), np.array(moves)
    assert moved[chance < 0.05].mean() < 0.08
    assert moved[chance > 0.5].mean() > 0.5
    assert abs(chance.mean() - moved.mean()) < 0.05


def test_share_chances_where_no_mixture_is_better_are_small(planted: Callable) -> None:
    chances = []
    for seed in range(10):
        measured = planted(seed, null=True)
        chances.append(share_chances(measured.effects(2), 8, program(measured)))
    assert np.mean(chances) < 0.12


def test_limits_that_leave_no_room_are_refused(planted: Callable) -> None:
    measured = planted(0)
    baseline = replace(measured.baseline, minimum=(0.2,) * 8)
    with pytest.raises(EvidenceError, match="leave no room"):
        share_chances(measured.effects(2), 8, Program(baseline, measured.limits, "performance", 0.95))


def test_sources_that_are_not_the_baselines_are_refused(planted: Callable) -> None:
    measured = planted(0)
    names = ("poetry", *measured.baseline.categories[1:])
    with pytest.raises(InputError, match="poetry"):
        shares_now(
            measured.effects(2), program(replace(measured, baseline=replace(measured.baseline, categories=names)))
        )
