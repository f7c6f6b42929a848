import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction
from tasks.pool.lines_file import write_lines
from tasks.pool.reader import read_pool
from tasks.pool.storage import read_instructions, write_instructions

text = st.text(st.characters(exclude_categories=["Cs"]))
instructions = st.lists(
    st.builds(
        lambda identifier, prompt, answer, category, source: Instruction(
            identifier, (("system", prompt), ("user", prompt), ("assistant", answer)), category, source
        ),
        text,
        text,
        text,
        text,
        text,
    ),
    max_size=5,
    unique_by=lambda i: i.id,
)
ONE = Instruction("a", (("user", "2+2?"), ("assistant", "4")), "math", "gsm")


@settings(deadline=None)
@given(rows=instructions)
def test_instructions_any_text_survives_the_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    write_instructions(path, rows)
    assert read_instructions(path) == tuple(rows)


def test_write_instructions_gives_a_valid_pool_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.jsonl"
    write_instructions(path, [ONE])
    assert read_pool(FilesSource(paths=(str(path),))).instructions == (ONE,)
    assert json.loads(path.read_text()) == {
        "id": "a",
        "category": "math",
        "source": "gsm",
        "messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}],
    }


def test_write_lines_failure_in_the_middle_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, ["old"])

    def broken() -> Iterator[str]:
        yield "new"
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_lines(path, broken())
    assert path.read_text() == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def damaged(line: str) -> str:
    return json.dumps({"id": "b", "category": "c", "source": "", "messages": [{"role": "assistant", "content": line}]})


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('{"id": "b", "categ', "line 2: no instruction"),
        ("", "line 2: no instruction"),
        ("[]", "line 2: no instruction"),
        ('{"id": "b"}', "line 2: no instruction .KeyError: 'category'"),
        (damaged("x").replace('"b"', "7"), "must be text"),
        (damaged("x").replace('"x"', "null"), "must be text"),
        (damaged("x").replace("assistant", "user"), "roles must be"),
        (damaged("x").replace('"b"', '"a"'), 'line 2: id "a" is also in line 1'),
    ],
)
def test_read_instructions_damaged_line_is_named(tmp_path: Path, second: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    write_instructions(path, [ONE])
    path.write_text(path.read_text() + second + "\n")
    with pytest.raises(InputError, match=message):
        read_instructions(path)


def test_read_instructions_missing_or_cut_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(InputError, match=r"a.jsonl: cannot be read"):
        read_instructions(path)
    write_instructions(path, [ONE])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a.jsonl: the last line is cut off"):
        read_instructions(path)
