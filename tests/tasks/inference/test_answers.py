from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.inference.answers import Answer, AnswerFile


def test_one_process_at_a_time_writes_answers(tmp_path: Path) -> None:
    with (
        AnswerFile(tmp_path / "answers.jsonl"),
        pytest.raises(InputError, match="another process"),
        AnswerFile(tmp_path / "answers.jsonl"),
    ):
        pass


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    answer = Answer(("ä\u2028 \n",), None, 3, 4)
    with AnswerFile(tmp_path / "answers.jsonl") as answers:
        answers.put("k", answer)
    with AnswerFile(tmp_path / "answers.jsonl") as answers:
        assert answers.get("k") == answer


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="line 1: no answer"), AnswerFile(tmp_path / "answers.jsonl"):
        pass


def test_answers_of_an_earlier_run_and_of_this_one_are_found_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    made = {f"key {n}": Answer((f"text {n}" * (n % 7),), n / 100, n, 1) for n in range(100)}
    for part in (0, 1):
        with AnswerFile(path) as answers:
            for n, (key, answer) in enumerate(made.items()):
                if n % 2 == part:
                    answers.put(key, answer)
                    assert answers.get(key) == answer
            assert [answers.get(key) for key in list(made)[: part + 1]] == list(made.values())[: part + 1]
    with AnswerFile(path) as answers:
        assert {key: answers.get(key) for key in made} == made
        assert answers.get("another key") is None


def test_a_line_cut_off_by_a_crash_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with AnswerFile(path) as answers:
        answers.put("whole", Answer(("a",), None, 1, 1))
    before = path.read_bytes()
    path.write_bytes(before + b'{"key":"cut","contents":["b"')
    with AnswerFile(path) as answers:
        assert (answers.get("whole"), answers.get("cut")) == (Answer(("a",), None, 1, 1), None)
        answers.put("next", Answer(("c",), None, 1, 1))
        assert answers.get("next") == Answer(("c",), None, 1, 1)
    assert path.read_bytes().startswith(before + b'{"key":"next"')


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "answers.jsonl"
    with pytest.raises(InputError, match=r"file/answers\.jsonl: cannot be written"), AnswerFile(path):
        pass
