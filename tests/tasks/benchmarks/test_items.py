"""Files of items: what is understood, what is refused and where; prompts that training must not hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.benchmarks.items import Item, assert_unseen, held_out_items, read_items, write_items
from tasks.errors import InputError
from tasks.pool.instruction import Instruction

SYSTEM, USER = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}
ASSISTANT = {"role": "assistant", "content": "2"}


def written(path: Path, *rows: Any) -> Path:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["items.jsonl", "items.jsonl.gz"])
def test_read_items_understands_both_forms(name: str, tmp_path: Path) -> None:
    path = written(
        tmp_path / name,
        {"prompt": "1 + 1?", "answer": "2"},
        {"id": 7, "messages": [SYSTEM, USER], "tests": "assert f() == 2", "level": "easy"},
        "\n",
        {"id": "c", "messages": [SYSTEM, USER, ASSISTANT]},
    )
    user, system = ("user", "1 + 1?"), ("system", "Be brief.")
    assert read_items(path) == (
        Item("1", (user,), "2", "", f"{path}, line 1"),
        Item("7", (system, user), "", "assert f() == 2", f"{path}, line 2"),
        Item("c", (system, user), "2", "", f"{path}, line 4"),
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{broken\n", "broken JSON"),
        ({"answer": "2"}, "expected .*prompt.*found 'answer'"),
        ({"prompt": "a", "messages": [USER], "answer": "2"}, "found 'prompt', 'messages', 'answer'"),
        ({"prompt": "a"}, "neither answer nor tests"),
        ({"prompt": "a", "answer": " "}, "neither answer nor tests"),
        ({"prompt": " ", "answer": "2"}, "a prompt is empty"),
        ({"prompt": ["a"], "answer": "2"}, "a prompt is list"),
        ({"prompt": "a", "answer": 2}, "answer is no text but int"),
        ({"messages": [], "answer": "2"}, "messages is empty"),
        ({"messages": [{"role": "tool", "content": "x"}], "answer": "2"}, "a message without a role"),
        ({"messages": [SYSTEM], "answer": "2"}, "the last message before the answer is not the user's"),
        ({"messages": [USER, ASSISTANT], "answer": "2"}, "both answer and a last message"),
    ],
)
def test_read_items_unusable_line_is_named(row: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "items.jsonl", {"prompt": "fine", "answer": "1"}, row)
    with pytest.raises(InputError, match=rf"items\.jsonl, line 2: .*{words}"):
        read_items(path)


def test_read_items_same_id_twice_names_both_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "items.jsonl", {"prompt": "a", "answer": "1"}, {"id": 1, "prompt": "b", "answer": "1"})
    with pytest.raises(InputError, match=r"line 2: id '1' is also in .*line 1"):
        read_items(path)


@pytest.mark.parametrize(("name", "words"), [("empty.jsonl", "holds no items"), ("items.txt", "unknown kind of file")])
def test_read_items_unusable_file_is_named(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{name}.*{words}"):
        read_items(written(tmp_path / name))


def test_write_items_are_read_back(tmp_path: Path) -> None:
    items = (
        Item("a", (("system", "s"), ("user", "Ü?")), "2", "", ""),
        Item("b", (("user", "x"),), "", "assert True", ""),
        Item("c", (("user", "x"), ("assistant", "y"), ("user", "z")), "r", "t", ""),
    )
    path = tmp_path / "folder" / "items.jsonl"
    write_items(path, items)
    found = read_items(path)
    assert [(i.id, i.prompt, i.reference, i.tests) for i in found] == [
        (i.id, i.prompt, i.reference, i.tests) for i in items
    ]


def test_assert_unseen_finds_a_prompt_whatever_its_answer_and_category() -> None:
    train = [
        Instruction("t1", (("user", "a"), ("assistant", "1")), "x"),
        Instruction("t2", (("user", "b"), ("assistant", "1")), "y"),
    ]
    items = [
        Item("i", (("user", "b"),), "another answer", "", "f.jsonl, line 3"),
        Item("j", (("user", "c"),), "1", "", ""),
    ]
    with pytest.raises(InputError, match=r"1 benchmark items .*f\.jsonl, line 3 has the same prompt as .*'t2'"):
        assert_unseen(train, items)
    assert_unseen(train[:1], items)


def test_held_out_items_ask_all_but_the_last_answer() -> None:
    row = Instruction("r", (("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")), "x")
    (item,) = held_out_items([row])
    assert (item.id, item.prompt, item.reference, item.tests) == ("r", row.messages[:3], "d", "")
