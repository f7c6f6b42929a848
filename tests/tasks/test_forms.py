"""What is wrong with a filled-in form, in words: every problem, by its key, with what was expected and found."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError, model_validator

from tasks.forms import Form, problems


class Inner(Form):
    depth: int = Field(ge=1)


class Outer(Form):
    name: str
    parts: tuple[Inner, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> Outer:
        if self.name == "nobody":
            raise ValueError("nobody is no name; give another")
        return self


def refused(content: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(content)
    return caught.value


def test_problems_has_a_line_for_each_with_its_place_and_what_was_found() -> None:
    error = refused({"parts": [{"depth": 1}, {"depth": 0}], "nmae": "x"})
    assert problems(error).splitlines() == [
        "  name: missing; it is required",
        "  parts.1.depth: Input should be greater than or equal to 1; found 0",
        "  nmae: unknown key; remove it",
    ]


def test_problems_of_the_whole_say_so_and_keep_the_forms_own_words() -> None:
    assert problems(refused({"name": "nobody"})) == "  (as a whole): nobody is no name; give another"


def test_problems_calls_places_and_unknown_keys_as_it_is_told() -> None:
    error = refused({"name": "x", "nmae": 1})
    shown = problems(error, key=lambda place: f"--{place[0]}", unknown=lambda place: f"no {place[0]} here")
    assert shown == "  --nmae: no nmae here"
