"""Identity of a piece of work: the SHA-256 of the canonical JSON of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import InputError


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


def file_sha256(path: Path) -> str:
    """SHA-256 (64 hex digits) of a file's bytes, whatever its name.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}). Correct the path.") from error


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files below a folder, wherever the folder lies.

    Raises:
        InputError: a file cannot be read, or there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    if not found:
        raise InputError(f"{folder}: holds no files. Correct the path.")
    return fingerprint([[str(path.relative_to(folder)), file_sha256(path)] for path in found])


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
