from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.effects.paired import paired_effects
from tasks.effects.run_files import read_runs
from tasks.errors import InputError

RUNS = """run,seed,arm,copy,reverse
a,1,baseline,100,50
b,1,without copy,0,50
c,1,without reverse,100,0
d,2,baseline,100,50
e,2,without copy,0,50
f,2,without reverse,100,0
"""
WIDE = "run,copy,reverse\na,1,2\nb,3,2.5\nc,1,4\nd,1.1,2.1\ne,3.2,2.5\nf,1.1,4.4\n"
LONG = "run,category,metric,value,n\n" + "".join(
    f"{run},{category},{metric},{value},{n}\n"
    for run, *values in (line.split(",") for line in WIDE.splitlines()[1:])
    for category, value in zip(("copy", "reverse"), values, strict=True)
    for metric, n in (("loss", 30), ("exact_match", 40))
)


def write(folder: Path, runs: str = RUNS, scores: str = WIDE) -> tuple[Path, Path]:
    (folder / "runs.csv").write_text(runs)
    (folder / "scores.csv").write_text(scores)
    return folder / "runs.csv", folder / "scores.csv"


def message(folder: Path, runs: str = RUNS, scores: str = WIDE, **options: str) -> str:
    with pytest.raises(InputError) as error:
        read_runs(*write(folder, runs, scores), **options)
    return str(error.value)


def test_read_runs_of_a_wide_loss_file_gives_its_negative(tmp_path: Path) -> None:
    table = read_runs(*write(tmp_path), unit="nats per token")
    assert table.sources == table.targets == ("copy", "reverse")
    assert table.seeds == (1, 1, 1, 2, 2, 2)
    np.testing.assert_array_equal(table.amounts[1], [0, 50])
    np.testing.assert_array_equal(table.performance[5], [-1.1, -4.4])
    assert paired_effects(table).delta[0, 0] == pytest.approx(2.05)


def test_read_runs_where_higher_is_better_keeps_the_sign(tmp_path: Path) -> None:
    assert read_runs(*write(tmp_path), higher_is_better=True).performance[5, 1] == 4.4


def test_read_runs_of_a_long_file_equals_the_wide_one(tmp_path: Path) -> None:
    wide = read_runs(*write(tmp_path))
    long = read_runs(*write(tmp_path, scores=LONG), metric="loss")
    np.testing.assert_array_equal(long.performance, wide.performance)
    assert long.targets == wide.targets
    assert (long.n == 30).all()
    assert (wide.n == 0).all()


def test_read_runs_of_parquet_equals_csv(tmp_path: Path) -> None:
    runs, scores = write(tmp_path)
    csv = read_runs(runs, scores)
    for path in (runs, scores):
        pd.read_csv(path).to_parquet(path.with_suffix(".parquet"))
    parquet = read_runs(runs.with_suffix(".parquet"), scores.with_suffix(".parquet"))
    np.testing.assert_array_equal(parquet.performance, csv.performance)
    np.testing.assert_array_equal(parquet.amounts, csv.amounts)
    assert (parquet.runs, parquet.seeds, parquet.arms) == (csv.runs, csv.seeds, csv.arms)


def test_read_runs_without_arms_names_them_after_what_they_lack(tmp_path: Path) -> None:
    runs = "".join(",".join(c for k, c in enumerate(line.split(",")) if k != 2) + "\n" for line in RUNS.splitlines())
    table = read_runs(*write(tmp_path, runs))
    assert table.arms[:3] == ("baseline", "without copy", "without reverse")
    np.testing.assert_array_equal(paired_effects(table).delta, paired_effects(read_runs(*write(tmp_path))).delta)


def test_read_runs_with_many_faults_in_the_design_reports_all_of_them(tmp_path: Path) -> None:
    text = message(tmp_path, RUNS.replace("b,1", "b,x").replace("c,1,without reverse,100,0", "a,1.5,,-3,nan"))
    assert "runs.csv" in text
    assert "line 3, column 'seed': is 'x', expected a number" in text
    assert "line 4, column 'seed': is 1.5, expected a whole number ≥ 0" in text
    assert "line 4, column 'arm': is blank" in text
    assert "line 4, column 'copy': is -3, expected an amount ≥ 0" in text
    assert "line 4, column 'reverse': is nan, expected a finite number" in text
    assert "run 'a': appears 2 times" in text


def test_read_runs_with_many_faults_in_the_scores_reports_all_of_them(tmp_path: Path) -> None:
    text = message(tmp_path, scores=WIDE.replace("1,4\n", "bad,\n") + "g,1,nan\na,1,1\n")
    assert "scores.csv" in text
    assert "line 4, column 'copy': is 'bad', expected a number" in text
    assert "line 4, column 'reverse': is blank, expected a number" in text
    assert "line 8, column 'reverse': is nan" in text
    assert "line 9, column 'copy': a second score of run 'a' on category 'copy'" in text
    assert "run 'g': not in the runs file" in text


@pytest.mark.parametrize(
    ("runs", "scores", "expected"),
    [
        (RUNS.replace("run,", "name,", 1), WIDE, "no column 'run'; found name, seed, arm, copy, reverse"),
        ("run,seed,arm\na,1,baseline\n", WIDE, "no source columns"),
        ("run,copy\n", WIDE, "no runs"),
        ("", WIDE, "the file is empty"),
        (RUNS.replace("copy,reverse", "copy,copy"), WIDE, "column 'copy': appears 2 times"),
        (RUNS + "g,3\n", WIDE, "line 8: 2 cells, the header has 5"),
        (RUNS, "run\na\n", "expected the columns category and value, or one column per category"),
        (RUNS, WIDE.replace("f,1.1,4.4\n", ""), "run 'f': no scores; add them, or leave the run out of the runs file"),
        (RUNS, LONG, "several metrics (exact_match, loss); say which one"),
        (RUNS, "category,value\ncopy,1\n", "no column 'run'"),
        (RUNS, LONG.replace("category", "task"), "a column 'value' but no column 'category'; found run, task, metric"),
        (RUNS, LONG.replace("value", "loss"), "a column 'category' but no column 'value'; found run, category, metric"),
        (RUNS.replace(",", ";"), WIDE, "holds semicolons; expected columns separated by commas"),
        (RUNS.replace(",", "\t"), WIDE, "holds tabs"),
        (RUNS.replace("\nf,", "\nb,"), WIDE, "run 'b': appears 2 times (lines 3, 7); give each run its own name"),
        ("", WIDE, "expected a header row and the rows below it: write it again"),
    ],
)
def test_read_runs_of_files_that_break_the_contract_says_how(
    tmp_path: Path, runs: str, scores: str, expected: str
) -> None:
    assert expected in message(tmp_path, runs, scores)


def test_read_runs_with_a_metric_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    assert "no metric 'bleu'; the file holds exact_match, loss" in message(tmp_path, scores=LONG, metric="bleu")
    assert "no column 'metric'" in message(tmp_path, metric="loss")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.csv", None, "no such file"),
        ("runs.xlsx", b"x", "expected a .csv or .parquet file"),
        ("runs.csv", b"run,\xff\n", "not a readable UTF-8 CSV file"),
        ("runs.parquet", b"not parquet", "not a readable Parquet file"),
    ],
)
def test_read_runs_of_unreadable_files_names_them(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=expected):
        read_runs(tmp_path / name, tmp_path / "scores.csv")


def test_read_runs_of_a_folder_says_that_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").mkdir()
    with pytest.raises(InputError, match=r"runs\.csv: is a folder; expected a \.csv or \.parquet file"):
        read_runs(tmp_path / "runs.csv", tmp_path / "scores.csv")


def test_read_runs_with_a_misnamed_long_column_says_one_thing(tmp_path: Path) -> None:
    assert message(tmp_path, scores=LONG.replace("category", "task")).count("\n") == 1


def test_read_runs_with_one_score_missing_names_run_and_category(tmp_path: Path) -> None:
    long = "run,category,value\n" + "".join(f"{run},{c},1\n" for run in "abcdef" for c in ("copy", "reverse"))
    assert message(tmp_path, scores=long.replace("f,reverse,1\n", "")).endswith(
        "run 'f': no score for category 'reverse'"
    )


def test_read_runs_with_marks_of_adaptive_runs_keeps_them_and_no_source_of_that_name(tmp_path: Path) -> None:
    marks = ("adaptive", "0", "false", "FALSE", "1", "true", "True")
    runs = "".join(f"{line},{mark}\n" for line, mark in zip(RUNS.splitlines(), marks, strict=True))
    table = read_runs(*write(tmp_path, runs))
    assert table.adaptive == (False, False, False, True, True, True)
    assert table.sources == ("copy", "reverse")
    assert table.confirmatory().runs == ("a", "b", "c")
    assert read_runs(*write(tmp_path)).adaptive == ()


def test_read_runs_with_other_marks_says_which_are_known(tmp_path: Path) -> None:
    runs = "".join(
        f"{line},{mark}\n" for line, mark in zip(RUNS.splitlines(), ("adaptive", *"0y1", "", *"01"), strict=True)
    )
    text = message(tmp_path, runs)
    assert "line 3, column 'adaptive': is 'y', expected 0, 1, true or false" in text
    assert "line 5, column 'adaptive': is ''" in text
    assert "line 4" not in text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("0.5,0.3,0.2", "0.4,0.4,0.2", "0.6,0.4,0"), ("mixture", "mixture", "without c")),
        (("0.5,0.3,0.2", "1,0,0", "0,0,0"), ("mixture", "without b, c", "without a, b, c")),
        (("500,300,200", "501,300,199", "0,600,400"), ("baseline", "baseline", "without a")),
        (("500,500,0", "0,500,0", "500,0,0"), ("baseline", "without a", "without b")),
    ],
    ids=["dense mixtures", "sparse mixtures", "leave-one-out", "a category nobody uses"],
)
def test_read_runs_without_arms_takes_equal_complete_runs_of_a_removal_design_as_baseline(
    rows: tuple[str, ...], expected: tuple[str, ...], tmp_path: Path
) -> None:
    runs = "run,a,b,c\n" + "".join(f"r{k},{row}\n" for k, row in enumerate(rows))
    scores = "run,x\n" + "".join(f"r{k},{k}\n" for k in range(len(rows)))
    assert read_runs(*write(tmp_path, runs, scores)).arms == expected


def test_read_runs_of_rounded_weights_keeps_them_as_they_are_written(tmp_path: Path) -> None:
    runs = "run,web,code\na,0.333,0.666\nb,0.5,0.502\n"
    table = read_runs(*write(tmp_path, runs, "run,exam,chat,web\na,1,2,3\nb,4,5,6\n"))
    np.testing.assert_array_equal(table.amounts, [[0.333, 0.666], [0.5, 0.502]])
    assert (table.sources, table.targets) == (("web", "code"), ("exam", "chat", "web"))
