"""Baseline files: every problem with its line; proposals as JSON and CSV."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tasks.errors import InputError
from tasks.proportions.files import (
    proposal_to_json,
    read_baseline,
    read_standard_errors,
    read_weights,
    write_proposal_csv,
)
from tasks.proportions.program import solve
from tasks.proportions.proposal import Baseline, Coefficients, Gain, Limits


def write(tmp_path, text):
    path = tmp_path / "baseline.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_read_baseline_optional_columns_and_empty_cells(tmp_path):
    path = write(
        tmp_path, "\ufeffcategory, share,available,minimum,maximum\nalgebra,0.25,500,0.1,\n\npoetry,0.75,,,0.9\n"
    )
    assert read_baseline(path, ("poetry", "algebra")) == Baseline(
        ("algebra", "poetry"), (0.25, 0.75), (500.0, None), (0.1, 0.0), (1.0, 0.9)
    )


def test_read_baseline_parquet_equals_csv(tmp_path):
    path = tmp_path / "baseline.parquet"
    parquet.write_table(
        pyarrow.table({"category": ["algebra", "poetry"], "share": [0.25, 0.75], "available": [500.0, None]}), path
    )
    text = "category,share,available\nalgebra,0.25,500\npoetry,0.75,\n"
    assert read_baseline(path) == read_baseline(write(tmp_path, text))


def test_read_baseline_all_problems_together_with_lines(tmp_path):
    path = write(
        tmp_path,
        "category,share,minimum\nalgebra,0.2,\nalgebra,-0.1,\npoetry,nan,2\nghost,many,\n,0.1,0\nempty,,\n",
    )
    with pytest.raises(InputError) as caught:
        read_baseline(path, ("algebra", "poetry", "code"))
    text = str(caught.value)
    for part in (
        "line 3: category 'algebra' appears twice",
        "line 3: share of 'algebra' is -0.1, expected a share from 0 to 1",
        "line 4: share of 'poetry' is nan, expected a finite number",
        "line 4: minimum of 'poetry' is 2",
        "line 5: category 'ghost' is not a source column of the effects",
        "line 5: share of 'ghost' is 'many'",
        "line 6: blank category",
        "line 7: share of 'empty' is blank",
        "no row for 'code'",
        str(path),
    ):
        assert part in text
    assert caught.value.exit_code == 2


def test_read_baseline_shares_off_by_more_than_the_tolerance_are_refused_with_the_fix(tmp_path):
    with pytest.raises(InputError, match=r"sum to 0\.99, expected 1 .*divide each share by 0\.99"):
        read_baseline(write(tmp_path, "category,share\na,0.5\nb,0.49\n"))
    read_baseline(write(tmp_path, "category,share\na,0.5\nb,0.4999995\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "file is empty"),
        ("category,weight\na,1\n", "no column 'share'\\n- unknown column 'weight'"),
        ("category,share,share\na,1,1\n", "column 'share': appears 2 times"),
        ("category,share\n", "no categories"),
        ('category,share\n"a,1\n', "not a readable"),
        ("category,share\na\n", "line 2: 1 cells"),
    ],
)
def test_read_baseline_broken_file_says_what_is_expected(tmp_path, text, expected):
    with pytest.raises(InputError, match=expected):
        read_baseline(write(tmp_path, text))


def test_read_baseline_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_baseline(tmp_path / "none.csv")


@pytest.fixture
def proposal():
    names = ("algebra", "poetry")
    baseline = Baseline(names, (0.5, 0.5), (None, None), (0.0, 0.0), (1.0, 1.0))
    return solve(Coefficients(names, names, np.array([[1, -0.4], [0.2, 1]])), baseline, Limits(1000, 0.04))


def test_proposal_to_json_carries_the_contract(proposal):
    data = json.loads(json.dumps(proposal_to_json(proposal), allow_nan=False))
    assert data["status"] == "optimal"
    assert data["counts"] == {"algebra": 540, "poetry": 460}
    assert data["shares"]["algebra"] == pytest.approx(0.54)
    assert data["objective"] - data["baseline_objective"] == pytest.approx(0.012)
    assert data["shadow_prices"]["max-shift"]["value"] == pytest.approx(0.3)
    assert data["binding"] == ["max-shift"]


def test_write_proposal_csv_reads_back(proposal, tmp_path):
    write_proposal_csv(proposal, tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == ["algebra", "poetry"]
    assert [int(row["count"]) for row in rows] == [540, 460]
    assert [float(row["share"]) for row in rows] == list(proposal.shares)


SCRIPT = """
import sys, numpy as np
from pathlib import Path
from tasks.proportions.files import (
    proposal_to_json,
    read_baseline,
    read_standard_errors,
    read_weights,
    write_proposal_csv,
)
from tasks.proportions.program import solve
from tasks.proportions.proposal import Coefficients, Limits
baseline = read_baseline(Path(sys.argv[1]))
rng = np.random.default_rng(0)
gamma = Coefficients(baseline.categories, baseline.categories, rng.uniform(-1, 1, (28, 28)))
print(proposal_to_json(solve(gamma, baseline, Limits(10000, 0.03)))["status"])
print(sorted({"pandas", "scipy", "torch", "pyarrow"} & set(sys.modules)))
"""


def test_solve_28_categories_from_a_cold_start_takes_under_two_seconds_without_heavy_imports(tmp_path):
    rows = "".join(f"c{k},{1 / 28!r},600\n" for k in range(28))
    path = write(tmp_path, "category,share,available\n" + rows)
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["optimal", "[]"]
    assert time.perf_counter() - start < 2


def test_proposal_to_json_and_csv_say_what_to_train_on_when_the_baseline_is_kept(proposal, tmp_path):
    gain = Gain(0.012, -0.01, 0.03, 0.95, "equivalent share", 400)
    kept = replace(proposal, decision="keep", reason="not distinguishable from none", gain=gain)
    data = json.loads(json.dumps(proposal_to_json(kept), allow_nan=False))
    assert data["recommended_counts"] == {"algebra": 500, "poetry": 500}
    assert data["counts"] == {"algebra": 540, "poetry": 460}
    assert data["gain"] == {
        "value": 0.012,
        "low": -0.01,
        "high": 0.03,
        "confidence": 0.95,
        "unit": "equivalent share",
        "draws": 400,
    }
    assert (data["decision"], data["reason"]) == ("keep", "not distinguishable from none")
    write_proposal_csv(replace(kept, sensitivity=()), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["recommended_count"]) for row in rows] == [500, 500]
    assert {row["near_low"] for row in rows} == {""}


def test_read_weights_and_every_problem_with_its_line(tmp_path):
    assert read_weights(write(tmp_path, "category,weight\nexam,0.25\nchat,0.75\n")) == {"exam": 0.25, "chat": 0.75}
    with pytest.raises(InputError) as caught:
        read_weights(write(tmp_path, "category,weight\nexam,much\nexam,0.5\nexam,0.1\n,2\n"))
    for part in ("line 2: weight of 'exam' is 'much'", "line 4: category 'exam' appears twice", "line 5: blank"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match=r"weights sum to 0\.9, expected 1"):
        read_weights(write(tmp_path, "category,weight\nexam,0.9\n"))
    with pytest.raises(InputError, match="no column 'weight'"):
        read_weights(write(tmp_path, "category,share\nexam,1\n"))


def test_read_standard_errors_in_another_order_with_blank_rows(tmp_path):
    effects = Coefficients(("a", "b"), ("a", "b"), np.array([[1.0, 0.2], [np.nan, np.nan]]))
    found = read_standard_errors(write(tmp_path, "target,b,a\nb,,\na,0.2,0.1\n"), effects)
    assert found[0].tolist() == [0.1, 0.2]
    assert np.isnan(found[1]).all()
    with pytest.raises(InputError) as caught:
        read_standard_errors(write(tmp_path, "target,a,c\na,0.1,-1\n"), effects)
    for part in ("row 'b': missing", "column 'b': missing", "column 'c': not in the effects", "column 'c': -1"):
        assert part in str(caught.value)
