"""Data files in a folder or bucket: what is there, told apart by its state, and fetched to this machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import fsspec

from tasks.errors import InputError

_SUFFIXES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz", ".parquet")
_TELLING = (
    "size", "mtime", "LastModified", "last_modified", "updated", "created", "ETag", "etag", "md5Hash", "content_md5",
)  # fmt: skip
"""What file systems say of a file that changes with its content; each has some of these."""


@dataclass(frozen=True)
class DataFile:
    """One file of a place.

    Attributes:
        path: in its file system.
        inside: relative to the place, with slashes.
        signature: equal as long as the file is.
    """

    path: str
    inside: str
    signature: str


class Place:
    """A folder or bucket, or one file, that fsspec can open."""

    def __init__(self, url: str) -> None:
        """Address it; a local path is one too.

        Raises:
            InputError: the address holds a password, or no such file system is known.
        """
        if urlsplit(url).password:
            raise InputError(
                "The address holds a password, which would end up in logs. Leave it out and give it to the file "
                "system's own configuration (environment variables or a credentials file)."
            )
        try:
            self._system, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise InputError(f"{url}: {error}. Give a folder, or an address such as s3://bucket/folder.") from error
        self.url = url

    def files(self) -> list[DataFile]:
        """Its data files (JSON lines, Parquet) by path; hidden ones and other kinds are left alone.

        Raises:
            InputError: there is no such place, or it cannot be listed.
        """
        try:
            self._system.invalidate_cache()
            if not self._system.exists(self._root):
                raise InputError(f"{self.url}: no such file or folder. Correct the address, or make the folder.")
            found = self._system.find(self._root, detail=True)
        except OSError as error:
            raise InputError(f"{self.url}: cannot be listed ({error}).") from error
        root = self._root.rstrip("/")
        files = []
        for path, info in sorted(found.items()):
            inside = path.removeprefix(root).lstrip("/") or PurePosixPath(path).name
            if _suffix(path) and not any(part.startswith((".", "_")) for part in inside.split("/")):
                files.append(DataFile(path, inside, _signature(info)))
        return files

    @contextmanager
    def fetched(self, file: DataFile) -> Iterator[Path]:
        """A copy of the file on this machine.

        Raises:
            OSError: it cannot be fetched.
        """
        with tempfile.TemporaryDirectory(prefix="beyond-iid-") as folder:
            # A name of our own: the file's may be anything.
            copy = Path(folder) / f"data{_suffix(file.path)}"
            self._system.get_file(file.path, str(copy))
            yield copy

    def unchanged(self, file: DataFile) -> bool:
        """Whether the file is still what it was when it was listed."""
        self._system.invalidate_cache()
        try:
            return _signature(self._system.info(file.path)) == file.signature
        except OSError:
            return False


def _suffix(path: str) -> str:
    return max((s for s in _SUFFIXES if path.endswith(s)), key=len, default="")


def _signature(info: dict[str, Any]) -> str:
    return json.dumps({key: _plain(info[key]) for key in _TELLING if info.get(key) is not None}, sort_keys=True)


def _plain(value: Any) -> str:
    """The same time as the same text: some file systems list a number and tell of the single file a date."""
    return str(value.timestamp() if isinstance(value, datetime) else value)
