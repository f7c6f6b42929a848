from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.inference.answers import Failure
from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction, RejectedRow
from tasks.pool.reader import read_pool
from tasks.tagging.batches import batches
from tasks.tagging.outcome import Outcome, Tag
from tasks.tagging.pool_rows import UntaggedRow
from tasks.tagging.run import TaggingOutput, TaggingSummary, tag_pool
from tests.tasks.tagging.rows import instruction


class ByFirstWord:
    """Category: the first word; confidence: the second; fails on "fail"."""

    categories = ("a", "b")

    def tag(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Outcome]]:
        for batch in batches(rows, 3):
            for row in batch:
                name, confidence = row.messages[0][1].split()[:2]
                yield row, Failure("planned: for the test") if name == "fail" else Tag(name, float(confidence))


def rows(*prompts: str, native: str = "") -> list[UntaggedRow | RejectedRow]:
    return [
        RejectedRow("pool", line, "broken: for the test")
        if prompt == "broken"
        else UntaggedRow("pool", line, instruction(prompt, identifier=str(line)), native)
        for line, prompt in enumerate(prompts, start=1)
    ]


def tagged(path: Path, pool: Iterable[UntaggedRow | RejectedRow], minimum: float = 0.5) -> TaggingSummary:
    return tag_pool(pool, ByFirstWord(), TaggingOutput(path, minimum, "test"))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


PROMPTS = ("a .9", "broken", "b .2", "fail 0", "broken", "b .5", "a .7", "broken")


def test_rows_go_to_the_pool_apart_or_to_the_rejects_in_their_order(tmp_path: Path) -> None:
    summary = tagged(tmp_path / "out.jsonl", rows(*PROMPTS))
    assert [(row["id"], row["category"]) for row in lines(tmp_path / "out.jsonl")] == [
        ("1", "a"),
        ("6", "b"),
        ("7", "a"),
    ]
    assert [(row["id"], row["confidence"]) for row in lines(tmp_path / "out.low-confidence.jsonl")] == [("3", 0.2)]
    assert [(row["line"], row["reason"]) for row in lines(tmp_path / "out.rejected.jsonl")] == [
        (2, "broken: for the test"),
        (4, "planned: for the test"),
        (5, "broken: for the test"),
        (8, "broken: for the test"),
    ]
    assert (summary.kept, summary.low, summary.rejected) == ({"a": 2, "b": 1}, {"b": 1}, {"broken": 3, "planned": 1})


def test_the_tagged_pool_is_a_pool_with_categories(tmp_path: Path) -> None:
    tagged(tmp_path / "out.jsonl.gz", rows(*PROMPTS))
    pool = read_pool(FilesSource(paths=(str(tmp_path / "out.jsonl.gz"),)))
    assert pool.counts() == {"a": 2, "b": 1}
    assert pool.instructions[0].messages == (("user", "a .9"), ("assistant", "yes"))


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    tagged(tmp_path / "one.jsonl.gz", rows(*PROMPTS))
    tagged(tmp_path / "two.jsonl.gz", rows(*PROMPTS))
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.jsonl.gz").read_bytes()).count(b"\n") == 3


def test_the_confusion_table_counts_rows_with_native_labels(tmp_path: Path) -> None:
    summary = tagged(tmp_path / "out.jsonl", [*rows("a .9", "b .1", "b .8", native="a"), *rows("b .9")])
    with (tmp_path / "out.confusion.csv").open() as stream:
        assert list(csv.reader(stream)) == [
            ["native label", "a", "b", "rows", "agreement"],
            ["a", "1", "2", "3", "0.3333"],
        ]
    assert summary.confusion_kept.agreement == 0.5


def test_files_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    tagged(tmp_path / "out.jsonl", rows(*PROMPTS, native="a"))
    tagged(tmp_path / "out.jsonl", rows("a .9"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.summary.json"]


def test_an_interruption_leaves_the_earlier_files_as_they_were(tmp_path: Path) -> None:
    tagged(tmp_path / "out.jsonl", rows(*PROMPTS))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken_off() -> Iterator[UntaggedRow | RejectedRow]:
        yield from rows("a .9", "b .9", "b .8", "a .9")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tagged(tmp_path / "out.jsonl", broken_off())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_pool_in_which_nothing_is_tagged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"none of 2 rows .* broken \(1\), planned \(1\)\. First: pool, line 1: broken: for",
    ):
        tagged(tmp_path / "out.jsonl", rows("broken", "fail 0"))
    assert list(tmp_path.iterdir()) == []


def test_another_name_than_json_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JSON lines"):
        tagged(tmp_path / "out.parquet", rows("a .9"))


def test_memory_does_not_grow_with_the_pool(tmp_path: Path) -> None:
    text = "x" * 2_000
    stream = (UntaggedRow("pool", n, instruction(f"a .9 {n}", text + str(n))) for n in range(5_000))
    tracemalloc.start()
    tagged(tmp_path / "out.jsonl", stream)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The answers alone are 10 MB.
    assert (tmp_path / "out.jsonl").stat().st_size > 10_000_000
    assert highest < 1_000_000
