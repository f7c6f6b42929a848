from __future__ import annotations

import math

import pytest

from tasks.inference.questions import AnswerError, value_chance


def test_the_chance_is_that_of_the_value_and_not_of_the_braces() -> None:
    tokens = [('{"category":', math.log(0.1)), (' "coo', math.log(0.5)), ("king", math.log(0.8)), ('"}', math.log(0.1))]
    content = "".join(text for text, _ in tokens)
    assert value_chance(content, "cooking", tokens) == pytest.approx(0.4)


def test_tokens_of_another_text_give_no_chance() -> None:
    with pytest.raises(AnswerError, match="no confidence"):
        value_chance('{"category": "cooking"}', "cooking", [("sailing", 0.0)])


def test_an_end_token_after_the_answer_does_not_count() -> None:
    tokens = [('{"category":', 0.0), (' "cooking', math.log(0.5)), ('"}', 0.0), ("<|im_end|>", math.log(0.1))]
    assert value_chance('{"category": "cooking"}', "cooking", tokens) == pytest.approx(0.5)
