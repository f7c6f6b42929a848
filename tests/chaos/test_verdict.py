"""What the fault matrix records about processes left behind, it also judges."""

from __future__ import annotations

from tests.chaos.cases import AFTER_A_KILL, all_cases
from tests.chaos.trial import Trial, judge_leftovers


def judged(left: list[str], case: str) -> Trial:
    trial = Trial(case, left=left)
    judge_leftovers(trial, all_cases()[case].may_leave)
    return trial


def test_what_a_living_command_leaves_is_a_fault() -> None:
    assert judged(["Postgres", "Ray worker"], "head-measure").faults == [
        "left behind by the first start: Postgres, Ray worker"
    ]
    assert judged([], "head-measure").faults == []


def test_killed_command_may_leave_what_ends_by_itself_or_is_taken_over() -> None:
    trial = judged(["Postgres", "raylet"], "driver-optimize")
    assert trial.faults == []
    assert trial.allowed == "Postgres, raylet"
    assert judged(["Postgres", "Prefect server", "beyond-iid"], "driver-optimize").faults == [
        "left behind by the first start: Prefect server, beyond-iid"
    ]


def test_only_killed_commands_may_leave_anything() -> None:
    assert {name for name, case in all_cases().items() if case.may_leave} == {
        "driver-measure",
        "driver-optimize",
        "driver-validate",
    }
    assert "Prefect server" not in AFTER_A_KILL
