"""`proportions` from the command line: files and folders in, gain, decision, ranges and warnings out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.flows.command import Command

CATEGORIES = ("a", "b", "c")
SHARES = (0.5, 0.3, 0.2)
MARGINAL = np.array([[2e-3, 0, 0], [1e-3, 1e-3, 0], [0, 0, 5e-4]])


def write_csv(path: Path, rows: list[list[object]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def write_matrix(path: Path, values: np.ndarray) -> str:
    rows = [[name, *row] for name, row in zip(CATEGORIES, values.tolist(), strict=True)]
    return write_csv(path, [["target", *CATEGORIES], *rows])


@pytest.fixture
def baseline(tmp_path: Path) -> str:
    return write_csv(
        tmp_path / "baseline.csv", [["category", "share"], *map(list, zip(CATEGORIES, SHARES, strict=True))]
    )


def solve(command: Command, *arguments: str) -> dict:
    result = command.run("proportions", *arguments, "--total", "1000", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def measured(command: Command, folder: Path, noise: float) -> str:
    """Leave-one-out runs of a linear world in five seeds, and their effects by the command line."""
    rng = np.random.default_rng(1)
    counts = np.array(SHARES) * 1000
    runs, scores = [["run", "seed", "arm", *CATEGORIES]], [["run", "category", "value"]]
    for seed in range(5):
        for removed in (None, *CATEGORIES):
            amounts = counts * [name != removed for name in CATEGORIES]
            name = f"{removed}-{seed}"
            runs.append([name, seed, f"without {removed}" if removed else "baseline", *amounts.tolist()])
            values = MARGINAL @ amounts + rng.normal(0, noise, 3)
            scores += [[name, target, value] for target, value in zip(CATEGORIES, values.tolist(), strict=True)]
    arguments = ("--runs", write_csv(folder / "runs.csv", runs), "--scores", write_csv(folder / "scores.csv", scores))
    result = command.run("effects", *arguments, "--higher-is-better", "--out", str(folder / "effects"))
    assert result.returncode == 0, result.stderr
    return str(folder / "effects")


def test_proportions_from_measured_runs_proposes_real_gains_in_the_scores_unit(
    command: Command, baseline: str, tmp_path: Path
) -> None:
    effects = measured(command, tmp_path, noise=0.005)
    found = solve(command, "--effects", effects, "--baseline", baseline, "--objective", "performance")
    moved = np.array([found["shares"][name] for name in CATEGORIES]) - SHARES
    assert moved == pytest.approx([0.03, 0, -0.03], abs=1e-6)
    true_gain = 1000 * np.array(SHARES) @ MARGINAL @ moved
    assert found["gain"]["low"] < true_gain < found["gain"]["high"]
    assert found["gain"]["low"] > 0
    assert found["decision"] == "change"
    assert found["recommended_counts"] == found["counts"] == {"a": 530, "b": 300, "c": 170}
    assert any("limits (max-shift) let it" in text for text in found["warnings"])
    assert found["sensitivity"]["a"]["optimal"] == pytest.approx([0.53, 0.53], abs=1e-6)


def test_proportions_from_noise_keeps_the_baseline_with_exit_code_0(
    command: Command, baseline: str, tmp_path: Path
) -> None:
    effects = measured(command, tmp_path, noise=50.0)
    out = tmp_path / "p.csv"
    arguments = ("--effects", effects, "--baseline", baseline, "--objective", "performance", "--total", "1000")
    result = command.run("proportions", *arguments, "--out", str(out))
    assert result.returncode == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "keep the baseline: the predicted gain of" in text
    assert "95 % interval -" in text
    assert "considered" in text
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["recommended_count"]) for row in rows] == [500, 300, 200]
    assert [int(row["count"]) for row in rows] != [500, 300, 200]
    assert all(float(row["near_low"]) <= float(row["share"]) <= float(row["near_high"]) for row in rows)


def test_proportions_file_with_standard_errors_robustness_and_no_harm(
    command: Command, baseline: str, tmp_path: Path
) -> None:
    gamma = write_matrix(tmp_path / "gamma.csv", np.array([[1, 0.1, 0], [0.4, 1, -0.2], [-0.3, 0.3, 1]]))
    small = write_matrix(tmp_path / "small.csv", np.full((3, 3), 1e-3))
    large = write_matrix(tmp_path / "large.csv", np.full((3, 3), 1.0))
    common = ("--effects", gamma, "--baseline", baseline)
    plain = solve(command, *common)
    assert (plain["gain"], plain["decision"]) == (None, "keep")
    assert "--standard-errors" in plain["reason"]
    sure = solve(command, *common, "--standard-errors", small, "--robustness", "1.5", "--no-harm", "0.001")
    assert sure["decision"] == "change"
    assert 0 < sure["protection"] < sure["gain"]["value"] < plain["objective"] - plain["baseline_objective"]
    assert sure["gain"]["unit"] == "equivalent share"
    equivalent = np.array([[1, 0.1, 0], [0.4, 1, -0.2], [-0.3, 0.3, 1]])
    before, after = (equivalent @ w for w in (SHARES, [sure["shares"][name] for name in CATEGORIES]))
    assert np.all(after >= before * (1 - 0.001) - 1e-7)
    unsure = solve(command, *common, "--standard-errors", large, "--no-sensitivity")
    assert unsure["decision"] == "keep"
    assert unsure["recommended_counts"] == {"a": 500, "b": 300, "c": 200}
    assert unsure["sensitivity"] == {}


def test_proportions_concave_moves_less_than_the_linear_program(
    command: Command, baseline: str, tmp_path: Path
) -> None:
    gamma = write_matrix(tmp_path / "gamma.csv", np.array([[1, 0.1, 0], [0.4, 1, 0.2], [0.3, 0.3, 1]]))
    common = ("--effects", gamma, "--baseline", baseline, "--box", "0.9", "--max-shift", "0.6")
    linear = solve(command, *common)
    concave = solve(command, *common, "--concave", "--exponent", "0.5")
    assert linear["baseline_objective"] == pytest.approx(concave["baseline_objective"])
    assert concave["objective"] < linear["objective"]
    assert concave["shift"] < linear["shift"]
    assert 0 <= concave["curve_gap"] < 1e-6


def test_proportions_contradictory_options_and_limits_end_with_their_codes(
    command: Command, baseline: str, tmp_path: Path
) -> None:
    gamma = write_matrix(tmp_path / "gamma.csv", np.eye(3))
    common = ("proportions", "--effects", gamma, "--baseline", baseline)
    without = command.run(*common, "--robustness", "2")
    assert (without.returncode, "robustness needs" in without.stderr) == (2, True)
    rows = [["category", "share", "minimum"], ["a", 0.5, ""], ["b", 0.3, 0.4], ["c", 0.2, ""]]
    conflict = write_csv(tmp_path / "conflict.csv", rows)
    infeasible = command.run("proportions", "--effects", gamma, "--baseline", conflict)
    assert (infeasible.returncode, "max-shift at least 0.1" in infeasible.stderr) == (3, True)
    folder = command.run("proportions", "--effects", str(tmp_path), "--baseline", baseline, "--standard-errors", gamma)
    assert (folder.returncode, "holds its own errors" in folder.stderr) == (2, True)


def test_proportions_of_many_categories_show_the_largest_prices_and_the_decision_last(
    command: Command, tmp_path: Path
) -> None:
    names = [f"c{k:02d}" for k in range(40)]
    worth = np.random.default_rng(0).permutation(40) / 40
    rows = [[name, *(worth if k == 0 else np.eye(40)[k])] for k, name in enumerate(names)]
    effects = write_csv(tmp_path / "gamma.csv", [["target", *names], *rows])
    shares = write_csv(tmp_path / "b.csv", [["category", "share"], *([name, 1 / 40] for name in names)])
    arguments = ("proportions", "--effects", effects, "--baseline", shares, "--max-shift", "0.2", "--box", "0.4")
    lines = command.run(*arguments).stdout.splitlines()
    prices = json.loads(command.run(*arguments, "--json").stdout)["shadow_prices"].values()
    assert len(prices) > 20
    largest = sorted(prices, key=lambda price: -price["value"])[:10]
    shown = [line.strip() for line in lines if line.startswith("  ") and "smaller prices" not in line]
    assert shown == [price["text"] for price in largest]
    assert f"  … and {len(prices) - 10} smaller prices (--json has all)" in lines
    assert lines[-1].startswith("keep the baseline: ")
