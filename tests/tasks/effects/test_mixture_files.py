from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tasks.effects.matrix import RunTable
from tasks.effects.mixture_files import read_baseline_amounts, read_mixtures, write_predictions
from tasks.errors import InputError

SOURCES = ("web", "code", "books")


def runs(*amounts: tuple[float, float, float]) -> RunTable:
    count = len(amounts)
    names = tuple(f"r{k}" for k in range(count))
    performance = np.zeros((count, 1))
    return RunTable(
        runs=names,
        seeds=(0,) * count,
        arms=("mixture",) * count,
        sources=SOURCES,
        amounts=np.array(amounts),
        targets=("exam",),
        performance=performance,
        n=np.zeros((count, 1), dtype=np.int64),
        unit="nats",
    )


def write(folder: Path, text: str) -> Path:
    path = folder / "file.csv"
    path.write_text(text)
    return path


def test_new_mixtures_with_columns_in_another_order_come_back_in_the_sources_order(tmp_path: Path) -> None:
    path = write(tmp_path, "books,arm,run,web,code\n3,x,a,1,2\n6,y,b,4,5\n")
    names, amounts = read_mixtures(path, SOURCES)
    assert names == ("a", "b")
    np.testing.assert_array_equal(amounts, [[1, 2, 3], [4, 5, 6]])


def test_new_mixtures_in_regmix_layout_are_read_by_domain(tmp_path: Path) -> None:
    path = write(tmp_path, "index,train_books,train_the_pile_code,train_web\n1,0.2,0.301,0.5\n")
    names, amounts = read_mixtures(path, SOURCES, "regmix")
    assert names == ("1",)
    np.testing.assert_array_equal(amounts, [[0.5, 0.301, 0.2]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run,web,books\na,1,2\n", ["no column 'code', a source of the runs"]),
        ("run,web,code,books,wiki\na,1,2,3,4\n", ["column 'wiki': not a source of the runs"]),
        ("run,web,Code,books\na,1,2,3\n", ["no column 'code'", "column 'Code': not a source"]),
        ("web,code,books\n1,2,3\n", ["no column 'run'"]),
        ("run,web,code,books\n", ["no mixtures"]),
        (
            "run,web,code,books\na,1,-2,x\n,1,2,3\n",
            ["'code': is -2", "'books': is 'x'", "line 3, column 'run': is blank"],
        ),
        ("run,web,code,books\na,1,2,3\na,3,2,1\n", ["run 'a': appears 2 times"]),
    ],
)
def test_new_mixtures_that_do_not_fit_the_runs_say_how(text: str, expected: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_mixtures(write(tmp_path, text), SOURCES)
    assert all(words in str(error.value) for words in expected), str(error.value)


def test_baseline_in_amounts_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "category,amount,available\nbooks,30,99\nweb,10,99\ncode,20,99\n")
    table = runs((10, 20, 30), (100, 0, 0))
    np.testing.assert_array_equal(read_baseline_amounts(path, table), [10, 20, 30])


def test_baseline_in_shares_is_in_the_runs_own_total(tmp_path: Path) -> None:
    path = write(tmp_path, "category,share\nbooks,0.3\nweb,0.5\ncode,0.2\n")
    np.testing.assert_allclose(read_baseline_amounts(path, runs((600, 300, 100), (0, 500, 500))), [500, 200, 300])


def test_baseline_in_shares_among_rounded_weights_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "category,share\nbooks,0.3\nweb,0.5\ncode,0.2\n")
    np.testing.assert_array_equal(
        read_baseline_amounts(path, runs((0.5, 0.3, 0.197), (0, 0.5, 0.497))), [0.5, 0.2, 0.3]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("category,part\nweb,1\n", "expected one of the columns share and amount; found category, part"),
        ("category,share,amount\nweb,1,1\n", "expected one of the columns share and amount"),
        ("category,amount\nweb,1\ncode,2\n", "no row for 'books', a source of the runs"),
        ("category,amount\nweb,1\ncode,2\nbooks,1\nwiki,1\n", "line 5: category 'wiki' is not a source of the runs"),
        ("category,amount\nweb,1\ncode,2\nbooks,1\nbooks,1\n", "category 'books': appears 2 times"),
        ("category,amount\nweb,-1\ncode,2\nbooks,1\n", "line 2, column 'amount': is -1"),
        ("category,amount\nweb,0\ncode,0\nbooks,0\n", "every amount is 0"),
        ("category,share\nweb,0.5\ncode,0.5\nbooks,0.5\n", "shares sum to 1.5, expected 1 within 1%"),
        ("category,share\nweb,0.5\ncode,0.3\nbooks,0.2\n", "the runs' totals go from 60 to 100"),
    ],
)
def test_baselines_that_do_not_fit_the_runs_say_how(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_baseline_amounts(write(tmp_path, text), runs((10, 20, 30), (100, 0, 0)))
    assert expected in str(error.value)


def test_predictions_of_a_loss_are_written_as_a_loss_with_their_ends_in_order(tmp_path: Path) -> None:
    predicted = SimpleNamespace(
        mean=np.array([[-3.0, -2.0]]), low=np.array([[-3.5, -2.1]]), high=np.array([[-2.9, -1.0]])
    )
    write_predictions(tmp_path / "new" / "p.csv", ("a",), ("x", "y"), predicted, higher_is_better=False)
    rows = list(csv.reader((tmp_path / "new" / "p.csv").open()))
    assert rows[0] == ["run", "category", "mean", "low", "high"]
    assert [[*row[:2], *map(float, row[2:])] for row in rows[1:]] == [["a", "x", 3, 2.9, 3.5], ["a", "y", 2, 1, 2.1]]
    write_predictions(tmp_path / "p.csv", ("a",), ("x", "y"), predicted, higher_is_better=True)
    assert list(csv.reader((tmp_path / "p.csv").open()))[1] == ["a", "x", "-3.0", "-3.5", "-2.9"]
