"""Bad input ends with one clear message and exit code 2 (3 for contradictory limits), never a traceback."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.flows.command import small_experiment

BASELINE = [("a", 0.5), ("b", 0.3), ("c", 0.2)]
GAMMA = [["target", "a", "b", "c"], ["a", 1, 0.1, 0.0], ["b", 0.4, 1, 0.0], ["c", 0.2, 0.3, 1]]


def beyond_iid(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "beyond-iid"), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "BEYOND_IID_HOME": str(cwd / "home"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    for word in words:
        assert word in result.stderr, f"{word!r} is not in: {result.stderr}"


def write_csv(path: Path, rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def gamma(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "gamma.csv", [list(row) for row in GAMMA])


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "baseline.csv", [["category", "share"], *map(list, BASELINE)])


def test_proportions_of_good_files_print_the_contract(gamma: Path, baseline: Path, tmp_path: Path) -> None:
    arguments = ("--max-shift", "0.03", "--box", "0.5", "--total", "10000", "--json")
    result = beyond_iid("proportions", "--effects", gamma, "--baseline", baseline, *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert {"status", "objective", "baseline_objective", "shares", "counts", "shadow_prices", "binding"} <= set(found)
    assert sum(found["counts"].values()) == 10_000
    # By hand: Γᵀα = (0.66, 0.41, 0.2), so 3 points move from c to a, and the total shift binds.
    assert found["shares"] == pytest.approx({"a": 0.53, "b": 0.3, "c": 0.17}, abs=1e-9)
    assert found["objective"] - found["baseline_objective"] == pytest.approx(0.03 * (0.66 - 0.2), abs=1e-9)


def test_proportions_with_missing_column_names_it(gamma: Path, tmp_path: Path) -> None:
    baseline = write_csv(tmp_path / "baseline.csv", [["category", "part"], ["a", 0.5]])
    result = beyond_iid("proportions", "--effects", gamma, "--baseline", baseline, cwd=tmp_path)
    assert_refused(result, 2, "baseline.csv", "share")


def test_proportions_with_unknown_category_names_it_and_its_line(gamma: Path, tmp_path: Path) -> None:
    rows = [["category", "share"], ["a", 0.5], ["b", 0.3], ["d", 0.2]]
    result = beyond_iid(
        "proportions", "--effects", gamma, "--baseline", write_csv(tmp_path / "b.csv", rows), cwd=tmp_path
    )
    assert_refused(result, 2, "'d'", "line 4", "'c'")


def test_proportions_with_nan_in_effects_name_row_and_column(baseline: Path, tmp_path: Path) -> None:
    rows = [list(row) for row in GAMMA]
    rows[2][1] = "nan"
    effects = write_csv(tmp_path / "gamma.csv", rows)
    result = beyond_iid("proportions", "--effects", effects, "--baseline", baseline, cwd=tmp_path)
    assert_refused(result, 2, "gamma.csv", "'b'", "'a'")


def test_proportions_with_shares_not_summing_to_one_state_the_sum(gamma: Path, tmp_path: Path) -> None:
    rows = [["category", "share"], ["a", 0.5], ["b", 0.3], ["c", 0.3]]
    result = beyond_iid(
        "proportions", "--effects", gamma, "--baseline", write_csv(tmp_path / "b.csv", rows), cwd=tmp_path
    )
    assert_refused(result, 2, "1.1", "expected 1")


def test_proportions_with_contradictory_limits_exit_3_and_name_them(gamma: Path, tmp_path: Path) -> None:
    rows = [["category", "share", "minimum"], ["a", 0.5, 0], ["b", 0.3, 0], ["c", 0.2, 0.6]]
    result = beyond_iid(
        "proportions", "--effects", gamma, "--baseline", write_csv(tmp_path / "b.csv", rows), cwd=tmp_path
    )
    assert_refused(result, 3, "'c'")


def test_proportions_with_missing_file_name_it(baseline: Path, tmp_path: Path) -> None:
    result = beyond_iid("proportions", "--effects", "absent.csv", "--baseline", baseline, cwd=tmp_path)
    assert_refused(result, 2, "absent.csv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ("pool.jsonl",)),
        ('{"instruction": "x"\n', ("pool.jsonl", "line 1")),
        ('{"instruction": "x", "output": "y"}\n', ("pool.jsonl", "category")),
    ],
    ids=["empty pool", "broken JSON line", "missing column"],
)
def test_curriculum_with_unusable_pool_names_the_file(content: str, words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text(content)
    roles = write_csv(tmp_path / "roles.csv", [["category", "role"], ["a", "base"]])
    result = beyond_iid(
        "curriculum", "--data", "pool.jsonl", "--roles", roles, "--out", tmp_path / "manifest.jsonl", cwd=tmp_path
    )
    assert_refused(result, 2, *words)
    assert not (tmp_path / "manifest.jsonl").exists()


def test_curriculum_with_one_broken_line_keeps_the_rest_and_writes_the_reason(tmp_path: Path) -> None:
    rows = [json.dumps({"instruction": f"{c}{n}", "output": "y", "category": c}) for c in "ab" for n in range(10)]
    (tmp_path / "pool.jsonl").write_text("\n".join([*rows[:5], '{"instruction": ', *rows[5:]]) + "\n")
    roles = write_csv(tmp_path / "roles.csv", [["category", "role"], ["a", "base"], ["b", "dependent"]])
    arguments = ("--schedule", "paper", "--seed", "2024", "--out", tmp_path / "manifest.jsonl", "--json")
    result = beyond_iid("curriculum", "--data", "pool.jsonl", "--roles", roles, *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["length"] == 60
    rejected = [json.loads(line) for line in (tmp_path / "manifest.rejected.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rejected] == [6]


def test_run_with_unknown_key_names_it_and_the_nearest_known_one(tmp_path: Path) -> None:
    path = small_experiment(tmp_path)
    content = yaml.safe_load(path.read_text())
    content["recipe"]["learningrate"] = 0.1
    content["desing"] = {}
    path.write_text(yaml.safe_dump(content))
    result = beyond_iid("run", path, cwd=tmp_path)
    assert_refused(result, 2, "small.yaml", "learningrate", "learning_rate", "desing", "design")


def test_run_with_unreachable_database_names_the_address_and_not_the_password(
    tmp_path: Path, prefect_server: str
) -> None:
    path = small_experiment(tmp_path)
    url = "postgresql://me:hidden-word@127.0.0.1:1/results"
    result = beyond_iid("run", path, cwd=tmp_path, BEYOND_IID_DATABASE_URL=url, PREFECT_API_URL=prefect_server)
    assert_refused(result, 2, "127.0.0.1", "BEYOND_IID_DATABASE_URL")
    assert "hidden-word" not in result.stderr + result.stdout


def test_run_with_too_few_examples_names_the_category(tmp_path: Path, prefect_server: str) -> None:
    path = small_experiment(tmp_path, held_out={"measure_per_category": 50, "validate_per_category": 50})
    result = beyond_iid("run", path, cwd=tmp_path, PREFECT_API_URL=prefect_server)
    assert_refused(result, 2, "letters", "60")


def test_show_of_unknown_experiment_says_so(tmp_path: Path) -> None:
    result = beyond_iid("show", "absent", cwd=tmp_path)
    assert_refused(result, 2, "absent")


def test_run_with_a_file_as_state_folder_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    result = beyond_iid("run", small_experiment(tmp_path), cwd=tmp_path)
    assert_refused(result, 2, "BEYOND_IID_HOME", str(tmp_path / "home"))


def test_proportions_of_names_that_look_like_markup_print_them(tmp_path: Path) -> None:
    rows = [["target", "[/x]", "[bold]"], ["[/x]", 1, 0], ["[bold]", 0, 1]]
    baseline = write_csv(tmp_path / "b.csv", [["category", "share"], ["[/x]", 0.5], ["[bold]", 0.5]])
    effects = write_csv(tmp_path / "g.csv", rows)
    result = beyond_iid("proportions", "--effects", effects, "--baseline", baseline, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "[/x]" in result.stdout
    assert "[bold]" in result.stdout
