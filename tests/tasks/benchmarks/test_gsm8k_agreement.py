"""Stored answers to word problems: lm-eval's verdicts, the numeric checker's, and those of a person who read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.benchmarks.checkers.numeric import same_number
from tasks.benchmarks.lm_eval_files import build_task
from tasks.benchmarks.measures import LmEvalMeasure
from tests.tasks.benchmarks.gsm8k_answers import DOCUMENTS, TASK, Answer, read_answers, verdicts

# (answer, reference, lm-eval strict-match, lm-eval flexible-extract, numeric checker, read by a person)
DIFFERING = [
    ("She spends $5.50 a day, so $110.00 in all.", "#### 110", False, False, True, True),
    ("The answer is 42 marbles: she had 72.", "#### 42", False, False, True, True),
    ("#### 42\n\n(She lost 5 red, 10 blue and 15 yellow ones.)", "#### 42", True, False, True, True),
    ("#### 42 marbles of 3 colors", "#### 42", True, False, True, True),
    ("That makes one half, 1/2.", "#### 0.5", False, False, True, True),
    ("#### 24 - 17 = 7", "#### 7", False, True, True, True),
    ("The answer is 4 levels in each of the 2 towers, so 8.", "#### 8", False, True, False, True),
]


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    return read_answers()


def test_lm_eval_the_checker_and_a_person_agree_on_twenty_answers(answers: list[Answer], tmp_path: Path) -> None:
    twenty = [answer for answer in answers if answer.table == "twenty"]
    flexible = verdicts(twenty, "exact_match,flexible-extract", tmp_path)
    checked = [same_number(answer.reply, answer.answer) for answer in twenty]
    read = [answer.person for answer in twenty]
    assert (len(twenty), sum(read)) == (20, 5)
    assert checked == read
    assert flexible == read


def test_the_answers_that_the_model_got_right_are_judged_as_documented(answers: list[Answer], tmp_path: Path) -> None:
    """One of them names two numbers in turn; both programs take the last, which is right by accident."""
    more = [answer for answer in answers if answer.table == "right"]
    assert verdicts(more, "exact_match,flexible-extract", tmp_path) == [True] * len(more)
    assert [same_number(answer.reply, answer.answer) for answer in more] == [True] * len(more)
    assert [answer.id for answer in more if not answer.person] == ["4200f50315f2df34"]


@pytest.mark.parametrize(("reply", "reference", "strict", "flexible", "numeric", "person"), DIFFERING)
def test_forms_on_which_they_differ_are_known(
    reply: str, reference: str, strict: bool, flexible: bool, numeric: bool, person: bool, tmp_path: Path
) -> None:
    answer = [Answer("0", "How many?", reference, reply, True, person, "", "")]
    assert verdicts(answer, "exact_match,strict-match", tmp_path) == [strict]
    assert verdicts(answer, "exact_match,flexible-extract", tmp_path) == [flexible]
    assert same_number(reply, reference) is numeric
    assert len({strict, flexible, numeric, person}) == 2


def test_the_documented_tables_hold_the_verdicts_of_today(answers: list[Answer], tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gsm8k-agreement.md").read_text(encoding="utf-8")
    strict = verdicts(answers, "exact_match,strict-match", tmp_path)
    flexible = verdicts(answers, "exact_match,flexible-extract", tmp_path)
    said = {True: "right", False: "wrong"}
    for answer, loose, tight in zip(answers, flexible, strict, strict=True):
        checked = same_number(answer.reply, answer.answer)
        verdict = " | ".join(said[each] for each in (answer.person, checked, loose, tight))
        row = next(line for line in page.splitlines() if line.startswith(f"| {answer.id} |"))
        assert verdict in row, row


def test_the_task_is_evaluated_as_it_stands(answers: list[Answer]) -> None:
    measure = LmEvalMeasure(task=TASK, task_folder=str(DOCUMENTS.parent), value="exact_match,flexible-extract")
    documents: list[dict[str, Any]] = list(build_task(measure).task.eval_docs)
    stored = [json.loads(line)["id"] for line in DOCUMENTS.read_text(encoding="utf-8").splitlines()]
    assert [document["id"] for document in documents] == [answer.id for answer in answers] == stored
