"""`tag`, `clean` and `select` lose no file that they read or did not write, and leave nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.pool.storage import write_instructions
from tests.flows.in_process import invoke
from tests.tasks.hygiene.rows import read, row, write
from tests.tasks.tagging.rows import made_up, write_pool


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pool(Path("un.jsonl"), made_up(10, 1))
    write_instructions(Path("labelled.jsonl"), made_up(8, 0))
    write(Path("pool.jsonl"), [row(f"question {k} of {k * k}", complexity=1 + k % 6, quality=2) for k in range(12)])
    Path("list.yaml").write_text("banking: Money\ncooking: Food\n")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TAG = ("tag", "--engine", "classifier", "--processes", "1")
LABELLED = ("--labelled", "labelled.jsonl")
CLEAN = ("clean", "--near-duplicates", "0")
SELECT = ("select", "--size", "2", "--method", "random")


@pytest.mark.parametrize(
    ("copied", "command", "option", "lost"),
    [
        ("un.jsonl", (*TAG, *LABELLED), "--data t.low-confidence.jsonl", "--out t.jsonl"),
        ("un.jsonl", (*TAG, *LABELLED), "--data t.rejected.jsonl", "--out t.jsonl"),
        ("un.jsonl", (*TAG, *LABELLED), "--data t.answers.jsonl", "--out t.jsonl"),
        ("un.jsonl", (*TAG, *LABELLED), "--data t.jsonl", "--out ./t.jsonl"),
        ("un.jsonl", (*TAG, *LABELLED, "--data", "pool.jsonl"), "--unlabelled t.rejected.jsonl", "--out t.jsonl"),
        ("labelled.jsonl", (*TAG, "--data", "un.jsonl"), "--labelled lab.jsonl", "--out lab.jsonl"),
        ("labelled.jsonl", (*TAG, "--data", "un.jsonl"), "--labelled x.low-confidence.jsonl", "--out x.jsonl"),
        ("list.yaml", (*TAG, *LABELLED, "--data", "un.jsonl"), "--categories x.confusion.csv", "--out x.jsonl"),
        ("pool.jsonl", (*CLEAN, "--data", "pool.jsonl"), "--benchmark oc/contamination.jsonl", "--out oc"),
        ("pool.jsonl", CLEAN, "--data oc/reserve.jsonl", "--out oc"),
        ("pool.jsonl", SELECT, "--data oc/pool.jsonl", "--out oc"),
        ("pool.jsonl", SELECT, "--data oc.answers.jsonl", "--out oc"),
    ],
)
def test_a_file_that_is_read_is_never_replaced_or_removed(
    here: Path, copied: str, command: tuple[str, ...], option: str, lost: str
) -> None:
    read_file = Path(option.split()[1])
    read_file.parent.mkdir(exist_ok=True)
    read_file.write_bytes(Path(copied).read_bytes())
    before = contents(here)
    # An older result of the command does not make it safe.
    ended = invoke(*command, *option.split(), *lost.split(), "--overwrite")
    assert (ended.code, contents(here)) == (2, before)
    assert f"{option}: would be replaced or removed" in ended.error
    assert lost.replace("./", "") in ended.error


@pytest.mark.parametrize("name", ["vectors", "quality-template"])
def test_select_keeps_vectors_and_templates_that_lie_where_it_writes(here: Path, name: str) -> None:
    Path("out").mkdir()
    np.save(Path("v.npy"), np.eye(12))
    Path("v.npy").rename("out/reserve.parquet")
    more = ("--scorer", "x") if name == "quality-template" else ()
    before = contents(here)
    ended = invoke(
        *("select", "--data", "pool.jsonl", "--size", "2", f"--{name}", "out/reserve.parquet", "--out", "out"), *more
    )
    assert (ended.code, contents(here)) == (2, before)
    assert f"--{name} out/reserve.parquet: would be replaced" in ended.error


def test_a_link_to_an_input_counts_as_the_input(here: Path) -> None:
    Path("t.rejected.jsonl").symlink_to("un.jsonl")
    before = contents(here)
    ended = invoke(*TAG, *LABELLED, "--data", "un.jsonl", "--out", "t.jsonl")
    assert (ended.code, contents(here)) == (2, before)


COMMANDS = [
    (*TAG, *LABELLED, "--data", "un.jsonl"),
    (*CLEAN, "--data", "pool.jsonl"),
    (*SELECT, "--data", "pool.jsonl"),
]
NAMES = [("q.jsonl", "q.summary.json"), ("oc", "oc/summary.json"), ("oc", "oc/summary.json")]


@pytest.mark.parametrize(("command", "names"), zip(COMMANDS, NAMES, strict=True))
def test_a_folder_in_the_place_of_a_result_is_refused_before_anything_is_written(
    here: Path, command: tuple[str, ...], names: tuple[str, str]
) -> None:
    Path(names[1]).mkdir(parents=True)
    before = contents(here)
    ended = invoke(*command, "--out", names[0])
    assert (ended.code, contents(here)) == (2, before)
    assert f"{names[1]}: is a folder" in ended.error


ENDPOINT = ("tag", "--engine", "endpoint", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m", "--data", "un.jsonl")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that not even root can write to")
@pytest.mark.parametrize(
    ("command", "out"),
    [
        *zip(COMMANDS, ("/proc/t.jsonl", "/proc/oc", "/proc/oc"), strict=True),
        ((*ENDPOINT, "--categories", "list.yaml"), "/proc/t.jsonl"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_bad_input(command: tuple[str, ...], out: str) -> None:
    ended = invoke(*command, "--out", out)
    assert ended.code == 2
    assert f"--out {out}: cannot be written" in ended.error


@pytest.mark.parametrize(("command", "names"), zip(COMMANDS, NAMES, strict=True))
def test_what_the_command_did_not_write_is_replaced_only_when_told_to(
    here: Path, command: tuple[str, ...], names: tuple[str, str]
) -> None:
    out = Path(names[0])
    precious = out if out.suffix else out / "reserve.jsonl"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("precious\n")
    before = contents(here)
    ended = invoke(*command, "--out", names[0])
    assert (ended.code, contents(here)) == (2, before)
    assert f"{precious}: is there already" in ended.error
    assert invoke(*command, "--out", names[0], "--overwrite").code == 0
    assert not precious.exists() or precious.read_text() != "precious\n"
    # Now it is the command's own.
    assert invoke(*command, "--out", names[0]).code == 0


def test_files_of_an_earlier_clean_do_not_stay_beside_the_new_ones(here: Path) -> None:
    write(Path("items.jsonl"), [{"question": "what is question 3 of 9 about"}])
    first = invoke(*CLEAN, "--data", "pool.jsonl", "--out", "oc", "--reserve", "2", "--benchmark", "items.jsonl")
    assert first.code == 0, first.error
    assert {"reserve.jsonl", "contamination.jsonl"} <= {path.name for path in Path("oc").iterdir()}
    assert invoke(*CLEAN, "--data", "pool.jsonl", "--out", "oc").code == 0
    assert sorted(path.name for path in Path("oc").iterdir()) == ["pool.jsonl", "rejected.jsonl", "summary.json"]
    assert len(read(Path("oc/pool.jsonl"))) == 12
    assert json.loads(Path("oc/summary.json").read_text())["reserve"] == {}
