"""Raw rows of JSON lines, Parquet and Hugging Face data sets, one at a time, each with its place."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from tasks.errors import InputError
from tasks.pool.config import FilesSource, HubSource
from tasks.pool.formats import fields_used, missing_fields

BATCH_ROWS = 1024
"""Rows of a Parquet file held in memory at a time."""

_GZIP_MAGIC = b"\x1f\x8b"
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_ARRAY_FIX = "A JSON array becomes that with: jq -c '.[]' FILE > FILE.jsonl"
_EXPECTED = "expected JSON lines (.jsonl, .ndjson or .json, also with .gz) or Parquet (.parquet)"


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it was read.

    Attributes:
        file: the file or data set it comes from.
        line: 1-based line (JSON lines) or row (Parquet, data sets) in it.
        value: the row's fields; None if the line is no JSON object.
        problem: why `value` is None, as "kind: detail"; else empty.
    """

    file: str
    line: int
    value: Mapping[str, Any] | None
    problem: str = ""


def iter_rows(source: FilesSource | HubSource, also: tuple[str, ...] = (), categories: bool = True) -> Iterator[RawRow]:
    """Stream the rows of every file of a source, in order.

    Empty lines of JSON lines are no rows. A broken line comes out as a `RawRow` with a problem.

    Args:
        source: what to read.
        also: further fields that the rows should bring, where they have them.
        categories: whether the field for the category has to be there.

    Raises:
        InputError: a file is missing, cannot be read, is not what its name says, or none of its rows has a field
            that the source needs. The last is known only after its last row.
    """
    if isinstance(source, HubSource):
        yield from _checked(_hub_rows(source), source.dataset, source, categories)
        return
    for path in expand_paths(source.paths):
        rows = _parquet_rows(path, source, also, categories) if path.suffix == ".parquet" else json_rows(path)
        yield from _checked(rows, str(path), source, categories)


def count_rows(path: Path) -> int:
    """Rows of a file without reading them as such; empty lines of JSON lines count too.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return int(pq.read_metadata(path).num_rows)
        with cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb") as stream:
            lines, last = 0, b"\n"
            while block := stream.read(1 << 20):
                lines, last = lines + block.count(b"\n"), block[-1:]
        return lines + (last != b"\n")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Write or copy the file again.") from error


def expand_paths(patterns: tuple[str, ...]) -> tuple[Path, ...]:
    """Resolve patterns with *, ? and ** to existing files: patterns in their order, matches sorted, each file once.

    Raises:
        InputError: a pattern matches nothing, or names a folder.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            raise InputError(
                f"{path} is a folder; expected files. Name them, e.g. {path}/*.jsonl; a Hugging Face data set saved "
                "to disk needs kind: huggingface with dataset: this folder."
            )
        matches = [path] if path.exists() else _matches(path)
        if not matches:
            raise InputError(f"{pattern}: no such file (looked from {Path.cwd()}); {_EXPECTED}. Correct the path.")
        for match in matches:
            found.setdefault(match.resolve(), match)
    return tuple(found.values())


def _matches(pattern: Path) -> list[Path]:
    try:
        return sorted(p for p in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))) if p.is_file())
    except ValueError as error:
        raise InputError(f"{pattern}: {error}. Correct the pattern.") from error


def _checked(rows: Iterator[RawRow], name: str, source: FilesSource | HubSource, categories: bool) -> Iterator[RawRow]:
    fields: set[str] = set()
    first_problem: RawRow | None = None
    objects = 0
    for row in rows:
        if row.value is None:
            first_problem = first_problem or row
        else:
            objects += 1
            fields.update(row.value)
        yield row
    if objects:
        lacking = missing_fields(fields, source, categories)
        if lacking:
            raise InputError(f"{name}: {lacking}")
    elif first_problem is not None:
        raise InputError(
            f"{name}: no line is a JSON object (line {first_problem.line}: {first_problem.problem}); "
            f"expected JSON lines, one object a line. {_ARRAY_FIX}"
        )


def json_rows(path: Path) -> Iterator[RawRow]:
    """Stream one file of JSON lines (also .gz), whatever fields its rows have; a broken line has its problem.

    Raises:
        InputError: the file is missing, cannot be read, or is not what its name says.
    """
    zipped = path.suffix == ".gz"
    if (path.with_suffix("").suffix if zipped else path.suffix) not in _JSON_SUFFIXES:
        raise InputError(f"{path}: unknown kind of file; {_EXPECTED}. Rename or convert it.")
    name, number = str(path), 0
    try:
        _check_head(path, zipped)
        with cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _json_row(name, number, line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: cannot be unpacked after line {number} ({error}); expected a whole gzip file. "
            "Copy or download it again."
        ) from error
    except OSError as error:
        where = f" after line {number}" if number else ""
        raise InputError(f"{path}: cannot be read{where} ({error.strerror or error}). Correct the path.") from error


def _check_head(path: Path, zipped: bool) -> None:
    """Raise InputError if the file's beginning (after unpacking) is not that of JSON lines."""
    with path.open("rb") as stream:
        packed = stream.read(2) == _GZIP_MAGIC
    if zipped and not packed and path.stat().st_size:
        raise InputError(f"{path}: is named .gz but is no gzip file. Rename it without .gz, or compress it.")
    if packed and not zipped:
        raise InputError(f"{path}: is a gzip file by content but not by name. Rename it to {path.name}.gz.")
    with cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb") as stream:
        head = stream.read(4096)
    if b"\0" in head:
        raise InputError(
            f"{path}: is a binary file (or UTF-16 text); expected JSON lines in UTF-8. "
            "A Parquet file must be named .parquet."
        )
    first_line = head.removeprefix(codecs.BOM_UTF8).lstrip().split(b"\n", 1)[0].rstrip()
    if first_line == b"[" or (first_line.startswith(b"[") and first_line.endswith(b",")):
        raise InputError(f"{path}: is a JSON array; expected JSON lines, one object a line. {_ARRAY_FIX}")


def _json_row(name: str, number: int, line: bytes) -> RawRow:
    try:
        # A byte order mark may open a UTF-8 file; it is no part of the first row.
        value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        return RawRow(name, number, None, f"broken text: not UTF-8 at byte {error.start + 1} of the line")
    except json.JSONDecodeError as error:
        return RawRow(name, number, None, f"broken JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return RawRow(name, number, None, f"broken JSON: {error}")
    if not isinstance(value, dict):
        return RawRow(name, number, None, f"wrong type: the line is a {type(value).__name__}, expected an object")
    return RawRow(name, number, value)


def _parquet_rows(path: Path, source: FilesSource, also: tuple[str, ...], categories: bool) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            lacking = missing_fields(set(file.schema_arrow.names), source, categories)
            if lacking:
                raise InputError(f"{path}: {lacking}")
            used = fields_used(source).union(also)
            columns = [column for column in file.schema_arrow.names if column in used]
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                for number, value in enumerate(batch.to_pylist(), start=number + 1):  # noqa: B020
                    yield RawRow(str(path), number, value)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as Parquet after row {number} ({error}). Write or download the file again."
        ) from error


def _hub_rows(source: HubSource) -> Iterator[RawRow]:
    from datasets.exceptions import DatasetsError

    number = 0
    try:
        for number, value in enumerate(_open_dataset(source), start=1):
            yield RawRow(source.dataset, number, value)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"data set {source.dataset} (config {source.config}, split {source.split}, revision {source.revision}): "
            f"cannot be read after row {number}: {error}. Check name, config, split, revision, and the network."
        ) from error


def _open_dataset(source: HubSource) -> Iterator[Mapping[str, Any]]:
    import datasets

    folder = Path(source.dataset).expanduser()
    is_dict, is_set = (folder / "dataset_dict.json").is_file(), (folder / "state.json").is_file()
    if not is_dict and not is_set:
        name = str(folder) if folder.is_dir() else source.dataset
        return iter(
            datasets.load_dataset(
                name, name=source.config, split=source.split, revision=source.revision, streaming=True
            )
        )
    loaded = datasets.load_from_disk(str(folder))
    if is_set:
        return iter(loaded)
    if source.split not in loaded:
        raise ValueError(f"the folder holds the splits {', '.join(loaded)}, not {source.split}")
    return iter(loaded[source.split])
