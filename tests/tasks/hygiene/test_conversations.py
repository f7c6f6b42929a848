"""Column-wise reading against the pool's own reader, row by row."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.hygiene.conversations import ROLES, conversations
from tasks.hygiene.lines import BATCH_ROWS, pool_files, raw_blocks
from tasks.pool.config import FilesSource
from tasks.pool.formats import RowError, to_instruction
from tests.tasks.hygiene.rows import row, write

SOURCE = FilesSource(paths=("-",))

ODD = [
    row("plain"),
    row("ünï 漢字", "答え 🙂"),
    row("   ", "blank prompt"),
    row("blank answer", "\n"),
    row("odd space", "\u2003\u2003"),
    row("control", "\x1c\x1f"),
    row("wide start", "\u3000text"),
    row("", ""),
    {"messages": [], "category": "a"},
    {"messages": None, "category": "a"},
    {"messages": [{"role": "system", "content": ""}, *row("with system")["messages"]], "category": "b"},
    {"messages": [{"role": "system", "content": "s"}], "category": "b"},
    {"messages": row("a")["messages"] * 2, "category": "b"},
    {"messages": row("a")["messages"][::-1], "category": "b"},
    {"messages": row("a")["messages"][:1], "category": "b"},
    {"messages": [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "y"}], "category": "b"},
    {"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": "y"}], "category": "b"},
    {"messages": [None, {"role": "assistant", "content": "y"}], "category": "b"},
    {"messages": row("no category")["messages"]},
    {"messages": row("x")["messages"], "category": " padded "},
    {"messages": row("x")["messages"], "category": ""},
    row("two formats", instruction="i", output="o"),
    row("half of another format", instruction="i"),
]
STRANGE = [
    row("number as category", category=3),
    {"messages": "text", "category": "a"},
    {"messages": [{"role": "user", "content": 5}], "category": "a"},
    {"instruction": "add", "input": "1 2", "output": "3", "category": "math"},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}], "category": "c"},
    '{"broken',
    "[1]",
    '{"messages": [{"role": "user", "content": "\\ud800"}], "category": "a"}',
]


def expected(line: str) -> tuple[object, str]:
    """(messages or the reason's kind, category), from the pool's reader; a missing category is allowed."""
    try:
        value = json.loads(line)
        if not isinstance(value, dict):
            return "wrong type", ""
        untagged = value.get("category") in (None, "")
        found = to_instruction({**value, "category": "-"} if untagged else value, SOURCE)
    except json.JSONDecodeError:
        return "broken JSON", ""
    except RowError as error:
        return str(error).partition(":")[0], ""
    return found.messages, "" if untagged else found.category


def found(path: Path) -> list[tuple[object, str]]:
    (file,), kind = pool_files((str(path),))
    seen: list[tuple[object, str]] = []
    for block in raw_blocks(file, kind):
        rows = conversations(block, SOURCE)
        for k in range(len(block.numbers)):
            if k in rows.reasons:
                assert rows.row_bounds[k] == rows.row_bounds[k + 1]
                seen.append((rows.reasons[k].partition(":")[0], ""))
                continue
            first, last = rows.row_bounds[k : k + 2]
            bounds = rows.message_bounds
            texts = [bytes(rows.text[bounds[m] : bounds[m + 1]]).decode() for m in range(first, last)]
            messages = tuple(zip([ROLES[r] for r in rows.roles[first:last]], texts, strict=True))
            seen.append((messages, rows.names[rows.category[k]]))
    return seen


@pytest.mark.parametrize("rows", [ODD, STRANGE, ODD + STRANGE, [row("only")], ODD[5:9]])
def test_json_lines_are_read_as_the_pool_reads_them(tmp_path: Path, rows: list) -> None:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    # Sound first, so that the file passes for JSON lines.
    lines = [json.dumps(row("first")), *lines]
    assert found(Path(write(tmp_path / "a.jsonl", lines))) == [expected(line) for line in lines]


def test_broken_text_is_found_though_arrow_would_take_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        json.dumps(row("x")).encode() + b"\n" + json.dumps(row("y")).encode().replace(b"y", b"\xff", 1) + b"\n"
    )
    assert [first for first, _ in found(path)][1] == "broken text"


def test_parquet_is_read_as_json_lines_are_across_batches(tmp_path: Path) -> None:
    generator = random.Random(1)
    rows = [row(f"q{n}", generator.choice(["fine", " ", "ünï"]), extra=n) for n in range(BATCH_ROWS + 50)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert found(tmp_path / "a.parquet") == [expected(json.dumps(r)) for r in rows]


def test_line_numbers_count_empty_lines(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.jsonl", ["", json.dumps(row("a")), "  ", "", json.dumps(row("b"))]))
    (block,) = raw_blocks(path, "jsonl")
    assert np.array_equal(block.numbers, [2, 5])


def test_two_kinds_of_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [row("a")])
    pq.write_table(pa.Table.from_pylist([row("b")]), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="together"):
        pool_files((str(tmp_path / "a.jsonl"), str(tmp_path / "b.parquet")))
