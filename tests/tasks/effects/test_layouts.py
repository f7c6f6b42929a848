from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from tasks.effects.layouts import Layout
from tasks.effects.run_files import read_runs
from tasks.errors import InputError

REGMIX = (
    "index,train_the_pile_arxiv,train_the_pile_pile_cc,train_books\n7,0.004,0.787,0.205\n8,0.5,0.25,0.253\n",
    "index,metric/the_pile_pile_cc_val_loss,metric/code_val_loss\n8,5.5,3\n7,5.25,4\n",
)
OLMIX = (
    ",run,name,index,science,web\n0,19g3,swarm-0,0,0.25,0.75\n1,d4nb,swarm-1,1,0.6,0.4\n",
    ",run,name,index,arc:rc::olmes,mbpp:3shot\n0,19g3,swarm-0,0,1.5,3.5\n1,d4nb,swarm-1,1,1.25,2.5\n",
)


def write(folder: Path, runs: str, scores: str) -> tuple[Path, Path]:
    (folder / "runs.csv").write_text(runs)
    (folder / "scores.csv").write_text(scores)
    return folder / "runs.csv", folder / "scores.csv"


def message(folder: Path, layout: Layout, runs: str, scores: str) -> str:
    with pytest.raises(InputError) as error:
        read_runs(*write(folder, runs, scores), layout=layout)
    return str(error.value)


def test_regmix_files_become_domains_with_their_weights_as_written(tmp_path: Path) -> None:
    table = read_runs(*write(tmp_path, *REGMIX), layout="regmix")
    assert table.runs == ("7", "8")
    assert table.sources == ("arxiv", "pile_cc", "books")
    assert table.targets == ("pile_cc", "code")
    np.testing.assert_array_equal(table.amounts, [[0.004, 0.787, 0.205], [0.5, 0.25, 0.253]])
    np.testing.assert_array_equal(table.performance, [[-5.25, -4], [-5.5, -3]])


def test_olmix_files_become_domains_and_metrics_without_their_labels(tmp_path: Path) -> None:
    table = read_runs(*write(tmp_path, *OLMIX), layout="olmix")
    assert table.runs == ("19g3", "d4nb")
    assert table.sources == ("science", "web")
    assert table.targets == ("arc:rc::olmes", "mbpp:3shot")
    np.testing.assert_array_equal(table.amounts, [[0.25, 0.75], [0.6, 0.4]])
    np.testing.assert_array_equal(table.performance, [[-1.5, -3.5], [-1.25, -2.5]])


def test_olmix_files_by_run_id_equal_those_by_run(tmp_path: Path) -> None:
    first = read_runs(*write(tmp_path, *OLMIX), layout="olmix")
    plain = [text.replace(",run,", "run_id,").replace("\n0,", "\n").replace("\n1,", "\n") for text in OLMIX]
    second = read_runs(*write(tmp_path, *plain), layout="olmix")
    assert (second.runs, second.sources, second.targets) == (first.runs, first.sources, first.targets)
    np.testing.assert_array_equal(second.amounts, first.amounts)


@pytest.mark.parametrize(("layout", "files"), [("regmix", REGMIX), ("olmix", OLMIX)])
def test_marks_added_to_other_layouts_keep_their_meaning(
    layout: Layout, files: tuple[str, str], tmp_path: Path
) -> None:
    extra = ("seed,arm,adaptive", "3,baseline,0", "4,chosen,1")
    runs = "".join(f"{line},{more}\n" for line, more in zip(files[0].splitlines(), extra, strict=True))
    table = read_runs(*write(tmp_path, runs, files[1]), layout=layout)
    assert (table.seeds, table.arms, table.adaptive) == ((3, 4), ("baseline", "chosen"), (False, True))
    assert not {"seed", "arm", "adaptive"} & set(table.sources)


@pytest.mark.parametrize(("layout", "files"), [("regmix", REGMIX), ("olmix", OLMIX)])
def test_weights_that_do_not_sum_to_one_name_line_and_sum(
    layout: Layout, files: tuple[str, str], tmp_path: Path
) -> None:
    runs = files[0].replace("0.787", "0.8").replace("0.75", "0.763")
    line = "line 2: the weights sum to 1.0"
    assert line in message(tmp_path, layout, runs.replace("0.205", "0.22"), files[1])
    assert "line 3" not in message(tmp_path, layout, runs.replace("0.205", "0.22"), files[1])


@pytest.mark.parametrize(
    ("layout", "runs", "scores", "expected"),
    [
        ("regmix", REGMIX[0].replace("index", "run"), REGMIX[1], "no column 'index'; found run, train_the_pile_arxiv"),
        ("regmix", REGMIX[0].replace("train_books", "books"), REGMIX[1], "column 'books': not in RegMix's layout"),
        ("regmix", REGMIX[0].replace("train_books", "train_"), REGMIX[1], "column 'train_': not in RegMix's layout"),
        ("regmix", REGMIX[0].replace("train_books", "train_arxiv"), REGMIX[1], "2 columns become 'arxiv'"),
        ("regmix", REGMIX[0].replace("train_books", "train_seed"), REGMIX[1], "'seed' has a meaning of its own"),
        (
            "regmix",
            REGMIX[0],
            REGMIX[1].replace("code_val_loss", "train_loss"),
            "expected index and metric/<domain>_val",
        ),
        ("regmix", REGMIX[0], REGMIX[1].replace("8,5.5", "9,5.5"), "run '9': not in the runs file"),
        ("olmix", OLMIX[0].replace(",run,", ",id,"), OLMIX[1], "no column 'run' or 'run_id'; found , id, name"),
        ("olmix", OLMIX[0], OLMIX[1].replace("1.25", "nan"), "line 3, column 'arc:rc::olmes': is nan"),
        ("olmix", OLMIX[0], OLMIX[1].replace("1,d4nb,swarm-1,1,1.25,2.5\n", ""), "run 'd4nb': no scores"),
    ],
)
def test_files_that_break_a_layout_say_how(
    layout: Layout, runs: str, scores: str, expected: str, tmp_path: Path
) -> None:
    assert expected in message(tmp_path, layout, runs, scores)


@pytest.mark.skipif("BEYOND_IID_REGMIX" not in os.environ, reason="BEYOND_IID_REGMIX names no folder of RegMix's data")
def test_published_regmix_files_read_as_plain_csv_gives_them() -> None:
    paths = [Path(os.environ["BEYOND_IID_REGMIX"]) / f"train_{kind}_1m.csv" for kind in ("mixture", "pile_loss")]
    table = read_runs(*paths, layout="regmix")
    weights, losses = ([[float(cell) for cell in row] for row in list(csv.reader(path.open()))[1:]] for path in paths)
    np.testing.assert_array_equal(table.amounts, np.array(weights)[:, 1:])
    np.testing.assert_array_equal(table.performance, -np.array(losses)[:, 1:])
    assert table.amounts.shape == (512, 17)
    assert set(table.targets) < set(table.sources)
    assert "baseline" not in table.arms
