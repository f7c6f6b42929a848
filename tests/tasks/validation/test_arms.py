from __future__ import annotations

from tasks.validation.arms import default_comparisons


def test_default_comparisons_pit_each_arm_against_its_controls() -> None:
    arms = [
        *("baseline", "random step 1", "random step 2", "uniform", "sign-rule", "proposal", "curriculum"),
        *("tilted curriculum", "strict curriculum", "reversed curriculum", "shuffled curriculum"),
        *("proposal + curriculum", "shuffled proposal", "baseline"),
    ]
    assert default_comparisons(arms) == (
        ("uniform", "baseline"),
        ("sign-rule", "baseline"),
        ("proposal", "baseline"),
        ("curriculum", "baseline"),
        ("tilted curriculum", "baseline"),
        ("strict curriculum", "baseline"),
        ("reversed curriculum", "baseline"),
        ("proposal + curriculum", "baseline"),
        ("proposal", "random step"),
        ("sign-rule", "random step"),
        ("curriculum", "shuffled curriculum"),
        ("tilted curriculum", "shuffled curriculum"),
        ("strict curriculum", "shuffled curriculum"),
        ("reversed curriculum", "shuffled curriculum"),
        ("proposal + curriculum", "proposal"),
        ("proposal + curriculum", "shuffled proposal"),
    )


def test_default_comparisons_leave_out_what_did_not_run() -> None:
    assert default_comparisons(["baseline", "proposal", "strict curriculum"]) == (
        ("proposal", "baseline"),
        ("strict curriculum", "baseline"),
    )
    assert default_comparisons(["proposal", "random step"]) == (("proposal", "random step"),)
    assert default_comparisons(["baseline"]) == ()
