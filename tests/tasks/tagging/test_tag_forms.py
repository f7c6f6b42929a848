from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tagging.tag_forms import tag_form


@pytest.mark.parametrize(
    ("tag", "form"),
    [
        ("SQL-Queries!", "sql query"),
        ("  Data   Structures ", "data structure"),
        ("word_problems", "word problem"),
        ("C++", "c++"),
        ("C#", "c#"),
        ("ＳＱＬ", "sql"),
        ("APIs", "api"),
        ("physics", "physics"),
        ("classes", "class"),
        ("analyses", "analysis"),
        ("boxes", "box"),
        ("ties", "tie"),
        ("CSS", "css"),
        ("…", ""),
    ],
)
def test_spellings_become_one_form(tag: str, form: str) -> None:
    assert tag_form(tag) == form


@given(st.text(max_size=40))
def test_the_form_of_a_form_is_itself(tag: str) -> None:
    assert tag_form(tag_form(tag)) == tag_form(tag)
