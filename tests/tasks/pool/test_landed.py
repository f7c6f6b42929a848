"""Landed snapshots as one pool: a later landing only adds, and categories with too few rows wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, Pool
from tasks.pool.landed import read_landed, set_aside, snapshot_file, too_few
from tasks.pool.storage import write_instructions


def row(name: str, text: str, category: str = "copy") -> Instruction:
    return Instruction(name, (("user", text), ("assistant", text)), category)


def put(folder: Path, *rows: Instruction) -> str:
    digest = Pool("chats", rows).content_hash
    write_instructions(snapshot_file(folder, "chats", digest), rows)
    return digest


def test_later_landing_adds_and_changes_nothing_that_was_there(tmp_path: Path) -> None:
    first = put(tmp_path, row("1", "a"), row("2", "b"))
    second = put(tmp_path, row("1", "c"), row("9", "b", "other"), row("3", "d"))
    before = read_landed(tmp_path, "chats", [first])
    after = read_landed(tmp_path, "chats", [first, second])
    assert after.instructions[:2] == before.instructions
    assert [(i.id, i.answer) for i in after.instructions[2:]] == [(f"1@{second[:12]}", "c"), ("3", "d")]
    assert [(r.line, r.kind) for r in after.rejected] == [(2, "duplicate content")]
    assert 'as "2"' in after.rejected[0].reason


def test_snapshot_that_is_not_what_landed_is_refused(tmp_path: Path) -> None:
    digest = put(tmp_path, row("1", "a"))
    write_instructions(snapshot_file(tmp_path, "chats", digest), [row("1", "b")])
    with pytest.raises(InputError, match="not what landed"):
        read_landed(tmp_path, "chats", [digest])
    with pytest.raises(InputError, match="Nothing has landed"):
        read_landed(tmp_path, "chats", [])


def test_category_with_too_few_rows_waits_unless_it_is_listed() -> None:
    rows = [row(f"{c}{k}", f"{c}{k}", c) for c, n in (("big", 5), ("small", 4), ("listed", 1)) for k in range(n)]
    pool = Pool("chats", tuple(rows))
    reasons = too_few(pool, 4, None, ["listed"])
    assert set(reasons) == {"small"}, "4 held-out rows leave none to train on"
    assert set(too_few(pool, 4, {"big": 3, "small": 4}, ["listed"])) == {"big"}, "counted where they are held out"
    rest = set_aside(pool, reasons)
    assert rest.counts() == {"big": 5, "listed": 1}
    assert [r.line for r in rest.rejected] == [6, 7, 8, 9]
    assert {r.kind for r in rest.rejected} == {"too few rows yet"}
    with pytest.raises(InputError, match="no category has enough rows"):
        set_aside(pool, {"big": "x", "small": "y", "listed": "z"})
