"""The backup file: a ZIP archive with one CSV file per table and a manifest that says what must be in them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar
from zlib import error as ZlibError

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tasks.errors import InputError

FORMAT = 1
"""Changes whenever an older version could not read the file."""
MANIFEST = "manifest.json"

_CHUNK = 1 << 20


@dataclass(frozen=True)
class TableContent:
    """One table as it was.

    Attributes:
        name: the table.
        columns: in the order of the CSV file, which has no header.
        rows: how many.
        sha256: of the CSV file.
        last_values: column → last number its sequence had given out; without those that gave out none.
    """

    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: str
    last_values: dict[str, int]


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        format: `FORMAT` of the version that wrote it.
        revision: the database's schema.
        created: time of the snapshot, ISO 8601.
        server: version of the PostgreSQL server.
        tables: all tables, those that others refer to first.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    format: int
    revision: str
    created: str
    server: str
    tables: tuple[TableContent, ...]

    @property
    def rows(self) -> int:
        """Rows of all tables together."""
        return sum(table.rows for table in self.tables)


@contextmanager
def new_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A new archive that appears at `path` only as a whole, and never over another file.

    Raises:
        InputError: the file exists, or cannot be written (folder missing, disk full); nothing is left then.
    """
    if path.exists() or path.is_symlink():
        raise InputError(_exists(path))
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise InputError(_unwritable(path, error)) from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            # Closed before the file is: a full disk must not be met again while an error is on its way.
            archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
            yield archive
            archive.close()
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a renaming, it never replaces
    except FileExistsError as error:
        raise InputError(_exists(path)) from error
    except OSError as error:
        raise InputError(_unwritable(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


class HashedMember:
    """Writes one member of an archive and knows its hash."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        """Open the member."""
        self._file = archive.open(_member(name), "w", force_zip64=True)
        self._hash = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        self._hash.update(data)
        self._file.write(data)

    def close(self) -> str:
        """Finish the member; its SHA-256."""
        self._file.close()
        return self._hash.hexdigest()


def write_manifest(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Write it, as the last member."""
    archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n")


@contextmanager
def verified_archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """A backup whose every byte was checked against its manifest.

    Raises:
        InputError: no backup, truncated, changed, or written by a newer version.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}). Give a file made by `beyond-iid backup`."
        ) from error
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                manifest = _manifest(archive, path)
                for table in manifest.tables:
                    _check(archive, table, path)
                yield archive, manifest
        except (zipfile.BadZipFile, ZlibError, EOFError, KeyError) as error:
            raise InputError(
                f"{path}: not a whole backup ({error}): truncated, changed, or another kind of file. "
                "Expected: a file made by `beyond-iid backup`. Nothing was restored."
            ) from error


def chunks(archive: zipfile.ZipFile, table: str) -> Iterable[bytes]:
    """A table's CSV file in pieces."""
    with archive.open(_member(table)) as member:
        while piece := member.read(_CHUNK):
            yield piece


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    text = archive.read(MANIFEST)
    try:
        version = json.loads(text)["format"]
        if version != FORMAT:
            raise InputError(
                f"{path}: backup format {version}, this version of beyond-iid reads {FORMAT}. Upgrade beyond-iid."
            )
        return TypeAdapter(Manifest).validate_json(text, strict=True)
    except (ValidationError, ValueError, TypeError) as error:
        raise InputError(f"{path}: its manifest is no backup's: {error}. Nothing was restored.") from error


def _check(archive: zipfile.ZipFile, table: TableContent, path: Path) -> None:
    digest = hashlib.sha256()
    for piece in chunks(archive, table.name):
        digest.update(piece)
    if digest.hexdigest() != table.sha256:
        raise InputError(f"{path}: the rows of table {table.name!r} were changed. Nothing was restored.")


def _member(table: str) -> str:
    return f"{table}.csv"


def _exists(path: Path) -> str:
    return f"{path} exists already; a backup replaces nothing. Give another name."


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path}: the backup cannot be written ({error.strerror or error}). Nothing was left behind."
