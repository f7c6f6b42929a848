"""The pool's files as its steps take them: what an experiment names, what has landed, what a hub holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from db.events import landed_hashes
from flows.workspace import workspace
from tasks.fingerprint import file_sha256, fingerprint
from tasks.pool.config import FilesSource, HubSource, LandedSource, RowSource
from tasks.pool.landed import landed_files
from tasks.pool.lines_file import write_lines
from tasks.pool.rows import expand_paths, iter_rows

Steps = Callable[[str, int, int], None]
"""Progress: (what is being done, done, of how many)."""
Result = TypeVar("Result")


class Stage(Protocol):
    """Does a piece of work under a name, with progress to show."""

    def __call__(self, name: str, work: Callable[[Steps], Result]) -> Result:
        """The work's result."""
        ...


def directly(name: str, work: Callable[[Steps], Result]) -> Result:
    """The stage that shows nothing."""
    return work(lambda what, done, total: None)


@dataclass(frozen=True)
class Part:
    """Files that are tagged together.

    Attributes:
        mark: the snapshot's hash, for landed data; else empty.
        files: in reading order.
    """

    mark: str
    files: tuple[Path, ...]

    def sha256(self) -> list[str]:
        """What its files hold, file by file."""
        return [file_sha256(path) for path in self.files]


@dataclass(frozen=True)
class PoolFiles:
    """A pool on this machine's disk.

    Attributes:
        name: for people.
        parts: all files together for a data set that is read whole; one part for each data set that landed.
        rows: how rows become instructions.
    """

    name: str
    parts: tuple[Part, ...]
    rows: RowSource

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in reading order."""
        return tuple(path for part in self.parts for path in part.files)

    def source(self, files: Sequence[Path], **changes: Any) -> FilesSource:
        """Some of the files as a source."""
        return FilesSource(**{**self.rows_as_given(), "paths": tuple(map(str, files)), **changes})

    def rows_as_given(self) -> dict[str, Any]:
        """The keys that say how rows are read."""
        return {key: getattr(self.rows, key) for key in RowSource.model_fields}


def pool_files(source: FilesSource | HubSource | LandedSource, store: Path, also: Sequence[str] = ()) -> PoolFiles:
    """Where a pool's rows lie; a data set of the hub is copied into the store first.

    Args:
        source: what the experiment names.
        store: the artifact store.
        also: fields that are needed beside the conversation.

    Raises:
        InputError: files are missing, nothing has landed, or the data set cannot be read.
    """
    if isinstance(source, FilesSource):
        more = len(source.paths) - 1
        name = f"{source.paths[0]} and {more} more" if more else source.paths[0]
        return PoolFiles(name, (Part("", expand_paths(source.paths)),), source)
    if isinstance(source, LandedSource):
        landed = landed_marks(source)
        files = landed_files(store, source.dataset, landed)
        parts = tuple(Part(mark, (path,)) for mark, path in zip(landed, files, strict=True))
        return PoolFiles(source.dataset, parts, RowSource(format="chat"))
    name = "/".join(part for part in (source.dataset, source.config, source.split) if part)
    return PoolFiles(name, (Part("", (_copied(source, store, also),)),), source)


def landed_marks(source: LandedSource) -> list[str]:
    """The snapshots' hashes of a data set, in the order in which they landed."""
    with workspace() as opened, opened.database.session() as session:
        return landed_hashes(session, source.dataset)


def _copied(source: HubSource, store: Path, also: Sequence[str]) -> Path:
    # Without a commit hash the name may mean other rows than yesterday, so it is read anew each time.
    key = fingerprint([source.model_dump(mode="json"), sorted(also)])
    path = store / "hub" / f"{key}.jsonl"
    if source.revision is None or not path.exists():
        rows = (row.value for row in iter_rows(source, categories=False) if row.value is not None)
        write_lines(path, (json.dumps(dict(row), ensure_ascii=False, default=str) for row in rows))
    return path
