from __future__ import annotations

import pytest

from tasks.inference.questions import AnswerError
from tasks.tagging.categories import Categories
from tasks.tagging.questions import LONGEST_TEXT, category_question, tags_question
from tests.tasks.tagging.rows import instruction

QUESTION = category_question(Categories(("cooking", "sailing"), ("About food", "")))


def test_the_model_sees_names_descriptions_and_the_whole_row() -> None:
    system, user = QUESTION.prompt(instruction("Fry an egg", "Heat oil"))
    assert "cooking: About food" in system["content"]
    assert "- sailing" in system["content"]
    assert "Fry an egg" in user["content"]
    assert "Heat oil" in user["content"]


def test_a_long_text_keeps_its_beginning_and_end() -> None:
    shown = QUESTION.prompt(instruction("begin " + "x" * 50_000 + " end"))[1]["content"]
    assert len(shown) < LONGEST_TEXT + 500
    assert "begin" in shown
    assert "end" in shown


def test_an_answer_outside_the_list_is_refused() -> None:
    with pytest.raises(AnswerError, match="unknown category: the model answered 'baking'"):
        QUESTION.value('{"category": "baking"}')


@pytest.mark.parametrize("content", ["cooking", "[]", "{}", '"cooking"', '{"category"'])
def test_an_answer_in_another_form_is_refused(content: str) -> None:
    with pytest.raises(AnswerError, match="unusable answer"):
        QUESTION.value(content)


def test_free_tags_must_be_texts() -> None:
    assert tags_question().value('{"tags": ["a", "b"]}') == ["a", "b"]
    with pytest.raises(AnswerError, match="no list of texts"):
        tags_question().value('{"tags": ["a", 1]}')
