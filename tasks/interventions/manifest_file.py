"""Manifests as files: JSON lines with a header that a reader checks.

The first line is `{"manifest":1,"length":L,"sha256":"…"}`: the version of this form, the number of lines that follow,
and `Manifest.sha256`. Each further line is `{"stage":0,"id":"…"}`, in training order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.interventions.manifest import Manifest
from tasks.pool.lines_file import write_lines

VERSION = 1
"""Version of the file's form."""


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest atomically.

    Raises:
        OSError: see `tasks.pool.lines_file.write_lines`.
    """
    lines = [_line({"manifest": VERSION, "length": len(manifest.ids), "sha256": manifest.sha256})]
    lines += [_line({"stage": s, "id": i}) for s, i in zip(manifest.stages, manifest.ids, strict=True)]
    write_lines(path, lines)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check it against its header.

    Raises:
        InputError: the file is missing, a line is damaged, lines are missing or too many, or the hash differs.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); expected a manifest.") from error
    header = _header(path, lines[0])
    ids, stages = [], []
    for number, line in enumerate(lines[1:], start=2):
        if number == len(lines) and not line:
            break
        row = _object(path, number, line)
        identifier, stage = row.get("id"), row.get("stage")
        if not isinstance(identifier, str) or type(stage) is not int:
            raise InputError(f'{path}, line {number}: expected {{"stage": a whole number, "id": text}}, found {row}.')
        ids.append(identifier)
        stages.append(stage)
    if len(ids) != header["length"]:
        raise InputError(
            f"{path}: holds {len(ids)} examples, its first line promises {header['length']}. Write or copy it again."
        )
    manifest = Manifest(tuple(ids), tuple(stages))
    if manifest.sha256 != header["sha256"]:
        raise InputError(
            f"{path}: its lines hash to {manifest.sha256}, its first line says {header['sha256']}: "
            "it was changed after it was written. Write or copy it again."
        )
    return manifest


def _header(path: Path, line: bytes) -> dict[str, Any]:
    header = _object(path, 1, line)
    if header.get("manifest") != VERSION or type(header.get("length")) is not int or "sha256" not in header:
        raise InputError(
            f'{path}, line 1: expected the header {{"manifest": {VERSION}, "length": …, "sha256": "…"}} of a manifest '
            f"written by this product, found {header}."
        )
    return header


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {number}: broken JSON ({error}). Write or copy the file again.") from error
    if not isinstance(row, dict):
        raise InputError(f"{path}, line {number}: expected a JSON object, found a {type(row).__name__}.")
    return row


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))
