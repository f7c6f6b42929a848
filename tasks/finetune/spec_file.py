"""Run specifications and training records as JSON files: read strictly, written atomically."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tasks.errors import InputError
from tasks.finetune.spec import RunSpec, TrainingRecord

RECORD_NAME = "record.json"
"""File name of the record in a run's folder; where it exists, the run is finished."""

_PATH_KEYS = ("base_model", "train_data", "manifest", "held_out")
_T = TypeVar("_T")


def write_spec(path: Path, spec: RunSpec) -> None:
    """Write a specification as JSON; readers see the old file or the whole new one, never a part."""
    write_json(path, TypeAdapter(RunSpec).dump_python(spec, mode="json"))


def read_spec(path: Path) -> RunSpec:
    """Read a specification; its relative paths are taken from the file's own folder and returned absolute.

    Raises:
        InputError: the file is missing or no JSON, or keys are missing, unknown or of the wrong type (all are named).
    """
    spec = read_typed(path, RunSpec)
    folder = path.resolve().parent
    paths: dict[str, Any] = {key: str((folder / getattr(spec, key)).resolve()) for key in _PATH_KEYS}
    return replace(spec, **paths)


def write_record(path: Path, record: TrainingRecord) -> None:
    """Write a training record as JSON, atomically: its existence means that the training is complete."""
    write_json(path, TypeAdapter(TrainingRecord).dump_python(record, mode="json"))


def read_record(path: Path) -> TrainingRecord:
    """Read a training record.

    Raises:
        InputError: the file is missing or no JSON, or keys are missing, unknown or of the wrong type.
    """
    return read_typed(path, TrainingRecord)


def read_typed(path: Path, kind: type[_T]) -> _T:
    """Read a JSON file as a dataclass of this kind, without converting types.

    Raises:
        InputError: the file cannot be read or is no JSON, or keys are missing, unknown or of the wrong type.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the path of an existing JSON file"
        ) from error
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        details = "\n".join(f"  {_where(item['loc'])}: {item['msg']}" for item in error.errors())
        raise InputError(f"{path} is not a valid {kind.__name__}:\n{details}") from error


def write_json(path: Path, value: Any) -> None:
    """Write plain data as indented JSON through a temporary file in the same folder, flushed to disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"
