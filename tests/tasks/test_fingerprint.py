"""Fingerprints: equal values, equal text; what has no stable serialization raises."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tasks.fingerprint import canonical_json, fingerprint


def test_canonical_json_orders_keys_and_keeps_text() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": {"é": True}}) == '{"a":{"é":true},"b":[1,2.5,null]}'


def test_fingerprint_is_the_sha256_of_the_canonical_text() -> None:
    assert fingerprint({"b": 1, "a": (2,)}) == hashlib.sha256(b'{"a":[2],"b":1}').hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"x": [float("-inf")]}])
def test_fingerprint_of_non_finite_number_raises(value: object) -> None:
    with pytest.raises(ValueError, match="finite"):
        fingerprint(value)


@pytest.mark.parametrize("value", [{1: "a"}, {"x": {1, 2}}, Path("x"), b"x", object()])
def test_fingerprint_of_value_without_stable_form_raises(value: object) -> None:
    with pytest.raises(TypeError):
        fingerprint(value)
