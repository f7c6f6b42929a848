"""`beyond-iid simulate`: tables with the counts behind every rate, a file, and clear refusals."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest


def simulate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "beyond-iid"), "simulate", *arguments],
        cwd=cwd,
        env={**os.environ, "BEYOND_IID_HOME": str(cwd / "home"), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_simulation_prints_a_row_per_combination_and_writes_a_row_per_world(tmp_path: Path) -> None:
    arguments = "--worlds 10 --categories 4 --edges 0.5 --runs 10 --runs 15 --null-share 0.2 --seed 3 --out sim.csv"
    result = simulate(*arguments.split(), "--design", "leave-one-out", "--design", "half-dose", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "sim.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 * 2 * 2
    assert sum(row["null"] == "True" for row in rows) == 2 * 2 * 2
    for title in ("Coverage of 95% intervals", "Marginal effects", "Decisions"):
        table = result.stdout.split(title)[1]
        combinations = [line for line in table.splitlines() if "leave-one-out" in line or "half-dose" in line]
        assert len(combinations) >= 4
    hits = sum(int(row["delta_own_hits"]) for row in rows if (row["design"], row["budget"]) == ("half-dose", "15"))
    assert f"{hits / 40:.1%}" in result.stdout
    again = simulate(*arguments.split(), "--design", "leave-one-out", "--workers", "1", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    with (tmp_path / "sim.csv").open() as file:
        assert list(csv.DictReader(file)) == [row for row in rows if row["design"] == "leave-one-out"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--design factorial --estimator paired", "paired cannot estimate from factorial"),
        ("--runs 12", "12 runs are too few for leave-one-out on 8 categories; expected at least 18"),
        ("--out .", "is a folder"),
    ],
)
def test_impossible_simulations_end_with_one_message(arguments: str, words: str, tmp_path: Path) -> None:
    result = simulate(*arguments.split(), cwd=tmp_path)
    assert result.returncode == 2, result.stdout + result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
