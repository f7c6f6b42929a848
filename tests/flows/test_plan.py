"""`plan` shows what an experiment would train, before and without training it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.command import CATEGORIES, small_experiment


def beyond_iid(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A database that nothing answers at: a command that needed it would fail.
    places = {"BEYOND_IID_HOME": str(home), "BEYOND_IID_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    return subprocess.run(
        [str(Path(sys.executable).parent / "beyond-iid"), *arguments],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def planned(folder: Path, design: dict[str, Any]) -> dict[str, Any]:
    result = beyond_iid(folder / "home", "plan", str(small_experiment(folder, design=design)), "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_plan_of_leave_one_out_lists_every_training_set_with_its_counts(tmp_path: Path) -> None:
    found = planned(tmp_path, {"arm": "size-reduced", "seeds": [4, 5]})
    baseline = dict(zip(CATEGORIES, (24, 18, 18), strict=True))
    assert found["runs"] == found["most_runs"] == 8
    assert (found["design"], found["estimator"], found["seeds"]) == ("leave-one-out", "paired", [4, 5])
    assert {one["name"]: one["counts"] for one in found["interventions"]} == {
        "baseline": baseline,
        **{f"without {c} (size-reduced)": baseline | {c: 0} for c in CATEGORIES},
    }
    assert found["estimates"]
    assert found["cannot"]


@pytest.mark.parametrize(
    ("design", "runs", "most_runs", "estimator"),
    [
        ({"kind": "dose", "doses": [0.5, 1.5], "seeds": [1, 2]}, 14, 14, "surface"),
        ({"kind": "pair-out", "arm": "size-reduced", "seeds": [1, 2]}, 14, 14, "paired"),
        ({"kind": "factorial", "seeds": [1, 2, 3]}, 15, 15, "surface"),
        ({"kind": "factorial", "foldover": True, "seeds": [1]}, 9, 9, "surface"),
        ({"kind": "mixtures", "number": 6, "seeds": [1]}, 7, 7, "surface"),
        ({"kind": "sequential", "arm": "size-reduced", "seeds": [1, 2, 3, 4], "max_runs": 12}, 8, 12, "paired"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_plan_of_every_design_counts_its_runs(
    design: dict[str, Any], runs: int, most_runs: int, estimator: str, tmp_path: Path
) -> None:
    found = planned(tmp_path, design)
    assert (found["runs"], found["most_runs"], found["estimator"]) == (runs, most_runs, estimator)
    first = found["seeds"][:2] if design["kind"] == "sequential" else found["seeds"]
    assert len(found["interventions"]) * len(first) == runs


def test_plan_for_people_shows_counts_runs_and_limits_of_the_design(tmp_path: Path) -> None:
    path = small_experiment(tmp_path)
    result = beyond_iid(tmp_path / "home", "plan", str(path), "--set", "design={kind: factorial, seeds: [1, 2]}")
    assert result.returncode == 0, result.stderr
    assert "10 runs: 5 training sets, seeds 1, 2" in result.stdout
    for words in ("(3) letters", "[/names]", "factorial 4", "It can estimate", "It cannot", "Interactions"):
        assert words in result.stdout
    assert (tmp_path / "home" / "artifacts").is_dir()
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["artifacts"]


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ({"kind": "dose", "doses": [4]}, ("dose 4", '"letters" needs 96', "Lower")),
        ({"kind": "pair-out", "pairs": [["letters", "verse"]]}, ('"verse"', '"digits"')),
        ({"kind": "factorial", "high": 3}, ("high = 3", '"letters"', "baseline's total")),
        ({"kind": "factorial", "runs": 5}, ("4 or 8",)),
        ({"kind": "sequential", "arm": "size-reduced", "max_runs": 7}, ("max_runs is 7", "8 runs")),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_plan_of_a_design_that_the_pool_does_not_allow_says_what_to_lower(
    design: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    path = small_experiment(tmp_path, design=design)
    result = beyond_iid(tmp_path / "home", "plan", str(path))
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
