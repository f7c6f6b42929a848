"""What `tag`, `clean` and `select` would ignore or take wrongly is refused; what they skip is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.pool.storage import write_instructions
from tests.flows.in_process import invoke
from tests.tasks.hygiene.rows import read, row, write
from tests.tasks.inference.openai_server import Server, serve
from tests.tasks.tagging.rows import made_up, write_pool


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pool(Path("un.jsonl"), made_up(10, 1))
    write_instructions(Path("labelled.jsonl"), made_up(8, 0))
    write(Path("types.jsonl"), [{"id": "a"}, *[{"messages": 3}] * 4])
    rows = [row(f"question {k}", id=k // 2, n=k, complexity=1 + k % 6, quality=2) for k in range(12)]
    write(Path("pool.jsonl"), rows)
    return tmp_path


TAG = ("tag", "--engine", "classifier", "--processes", "1", "--labelled", "labelled.jsonl")
CLEAN = ("clean", "--near-duplicates", "0", "--out", "oc")
SELECT = ("select", "--size", "2", "--out", "oc")
RANDOM = (*SELECT, "--data", "pool.jsonl", "--method", "random")
DEITA = (*SELECT, "--data", "pool.jsonl")
FIRST = "First: types.jsonl, line 1: no conversation: the row has neither"


@pytest.mark.parametrize(
    ("command", "messages"),
    [
        ((*TAG, "--data", "types.jsonl", "--out", "t.jsonl"), ["types.jsonl: none of 5", FIRST]),
        ((*TAG, "--data", "empty.jsonl", "--out", "t.jsonl"), ["empty.jsonl: holds no rows"]),
        ((*TAG, "--data", "no.jsonl", "--out", "t.jsonl"), ["--data no.jsonl: no such file", "Correct the path."]),
        ((*CLEAN, "--data", "types.jsonl"), ["types.jsonl: none of 5 rows can be used: wrong type (4)", FIRST]),
        ((*CLEAN, "--data", "empty.jsonl"), ["empty.jsonl: holds no rows"]),
        ((*CLEAN, "--data", "pool.jsonl", "--language", "english"), ["Did you mean en?"]),
        ((*CLEAN, "--data", "pool.jsonl", "--category-field", "nope"), ['in the field "nope"', "--category-field"]),
        ((*CLEAN, "--data", "un.jsonl", "--reserve", "1"), ['no row has a category in the field "category"']),
        (
            (*CLEAN, "--data", "pool.jsonl", "--min-characters", "9", "--max-characters", "5"),
            ["--min-characters is 9, above --max-characters 5"],
        ),
        ((*SELECT, "--data", "types.jsonl", "--method", "random"), ["none of 5 rows can be used", FIRST]),
        ((*RANDOM, "--category-field", "nope"), ['in the field "nope"']),
        ((*SELECT, "--data", "un.jsonl", "--method", "length", "--max-per-category", "2"), ['in the field "category"']),
        ((*RANDOM, "--similarity", "0.9"), ["--similarity would be ignored"]),
        ((*RANDOM, "--concurrency", "2"), ["--concurrency would be ignored"]),
        ((*DEITA, "--retries", "2"), ["--retries would be ignored: there is no --scorer"]),
        ((*DEITA, "--scorer", "x", "--price-in", "2"), ["--price-in would be ignored"]),
        ((*DEITA, "--vectors", "v.npy", "--embedding-model", "m"), ["--vectors and --embedding-model"]),
        ((*SELECT, "--data", "minus.jsonl"), ['minus.jsonl, line 2: field "quality" is -3; expected']),
        ((*DEITA, "--vectors", "v.npy"), ["v.npy, row 12: the vector is zero or not finite"]),
    ],
)  # fmt: skip
def test_what_would_be_ignored_or_taken_wrongly_is_refused(
    here: Path, command: tuple[str, ...], messages: list[str]
) -> None:
    Path("empty.jsonl").write_text("")
    write(Path("minus.jsonl"), [row("a", complexity=1, quality=2), row("b", complexity=2, quality=-3)])
    vectors = np.eye(12)
    vectors[11] = np.nan
    np.save("v.npy", vectors)
    before = sorted(here.rglob("*"))
    ended = invoke(*command)
    assert (ended.code, sorted(here.rglob("*"))) == (2, before)
    for message in messages:
        assert message in ended.error


def test_rows_of_low_confidence_and_where_they_are_is_said_even_if_no_other_is_left() -> None:
    ended = invoke(*TAG, "--data", "un.jsonl", "--minimum-confidence", "1", "--out", "y.jsonl")
    assert ended.code == 0, ended.error
    assert Path("y.jsonl").read_bytes() == b""
    low = read(Path("y.low-confidence.jsonl"))
    assert len(low) == 30
    assert "30 rows in y.low-confidence.jsonl" in ended.out
    highest = max(one["confidence"] for one in low)
    assert f"y.jsonl is empty: the largest confidence of any row is {highest:.6g}" in ended.out


def test_labelled_rows_that_are_not_used_are_said_and_in_the_summary() -> None:
    with Path("labelled.jsonl").open("a") as lines:
        lines.write(json.dumps({**row("no label"), "category": ""}) + "\n")
    ended = invoke(*TAG, "--data", "un.jsonl", "--out", "t.jsonl")
    assert ended.code == 0, ended.error
    assert "1 of 25 labelled rows not used; first: labelled.jsonl, line 25: no category" in ended.out
    assert json.loads(Path("t.summary.json").read_text())["labelled"]["not_used"] == 1


def test_repeated_ids_are_counted_by_all_three() -> None:
    for command, summary in (
        ((*TAG, "--data", "pool.jsonl", "--out", "t.jsonl"), "t.summary.json"),
        ((*CLEAN, "--data", "pool.jsonl"), "oc/summary.json"),
        ((*RANDOM, "--overwrite"), "oc/summary.json"),
    ):
        ended = invoke(*command)
        assert ended.code == 0, ended.error
        assert "6 rows repeat the id of an earlier row" in ended.out
        assert json.loads(Path(summary).read_text())["repeated_ids"] == 6


def test_a_dead_server_is_named_with_its_address_and_cause() -> None:
    Path("list.yaml").write_text("banking: Money\ncooking: Food\n")
    write_pool(Path("few.jsonl"), made_up(5, 1))
    address = "http://127.0.0.1:9/v1"
    ended = invoke(
        *("tag", "--engine", "endpoint", "--endpoint", address, "--model", "m", "--data", "few.jsonl"),
        *("--categories", "list.yaml", "--retries", "0", "--out", "t.jsonl"),
    )
    assert ended.code == 2
    assert "few.jsonl: none of 15 rows got a category: no connection (15)" in ended.error
    assert f"First: few.jsonl, line 1: no connection: to {address} ([Errno 111]" in ended.error
    assert not Path("t.jsonl").exists()


def test_tokens_and_cost_of_the_scorers_server_are_in_the_summary() -> None:
    np.save("v.npy", np.eye(12))
    with serve(Server(lambda _: {str(k): -float(k) for k in range(1, 7)})) as server:
        ended = invoke(
            *(*DEITA, "--vectors", "v.npy", "--scorer", "m", "--scorer-engine", "endpoint", "--endpoint", server.url),
            *("--price-in", "10", "--price-out", "100", "--retries", "0", "--timeout", "30"),
        )
    assert ended.code == 0, ended.error
    used = json.loads(Path("oc/summary.json").read_text())["usage"]
    assert used["asked"] == 24
    assert used["cost"] == pytest.approx((used["tokens_in"] * 10 + used["tokens_out"] * 100) / 1e6)
    assert used["cost"] > 0
    assert "24 questions asked, 0 answered before" in ended.out
