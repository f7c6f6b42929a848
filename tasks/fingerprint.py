"""Identity of a piece of work: the SHA-256 of the canonical JSON of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def canonical_json(value: Any) -> str:
    """Serialize plain data so that equal values always give equal text.

    Keys are sorted, no spaces, UTF-8 kept as it is; floats use Python's shortest exact form.

    Raises:
        TypeError: a value other than dict, list, tuple, str, int, float, bool, None, or a key that is no string.
        ValueError: NaN or an infinity, which have no stable JSON form.
    """
    _reject_unstable(value, "$")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """SHA-256 (64 hex digits) of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def _reject_unstable(value: Any, where: str) -> None:
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}: only finite numbers have a stable serialization")
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}: keys must be strings")
            _reject_unstable(item, f"{where}.{key}")
        return
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for index, item in enumerate(value):
            _reject_unstable(item, f"{where}[{index}]")
        return
    raise TypeError(f"{where} is a {type(value).__name__}, which has no stable serialization")
