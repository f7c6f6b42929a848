"""Landing: a data set is checked, copied under its content's hash, and recorded; each step can be repeated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from db.events import find_event, landed_hashes, record_event
from db.pools import record_snapshot
from flows.data_files import DataFile, Place
from flows.workspace import Workspace
from tasks.errors import InputError
from tasks.pool.config import FilesSource, RowSource
from tasks.pool.instruction import Pool, RejectedRow
from tasks.pool.landed import snapshot_file
from tasks.pool.reader import read_pool, write_rejects
from tasks.pool.storage import read_instructions, write_instructions

_SHOWN = 20
_SNAPSHOT = re.compile(r"[0-9a-f]{64}\.jsonl")


class ChangedError(InputError):
    """A file that is still being written."""


@dataclass(frozen=True)
class Landing:
    """A data set that landed.

    Attributes:
        dataset: the name it landed under.
        content_hash: SHA-256 of its content, the snapshot's name.
        counts: instructions per category.
        rejected: rows that did not enter, with reasons.
        file: the snapshot.
        new: False where the same content had landed under this name before: nothing was changed then.
    """

    dataset: str
    content_hash: str
    counts: dict[str, int]
    rejected: tuple[RejectedRow, ...]
    file: Path
    new: bool

    def __str__(self) -> str:
        """One sentence for people."""
        if not self.new:
            return f"{self.dataset}: the same content ({self.content_hash[:12]}…) has landed before; nothing changes."
        categories = [f"{category} {n}" for category, n in sorted(self.counts.items())]
        more = f" and {len(categories) - _SHOWN} more" if len(categories) > _SHOWN else ""
        return (
            f"{self.dataset}: {sum(self.counts.values())} instructions landed "
            f"({', '.join(categories[:_SHOWN])}{more}), {len(self.rejected)} rows rejected. Snapshot: {self.file}"
        )


def land(
    opened: Workspace, place: Place, files: Sequence[DataFile], dataset: str, rows: RowSource, untagged: bool = False
) -> Landing:
    """Check, copy, record. What is copied but not recorded when the process dies is found by `adopt_unrecorded`.

    Args:
        opened: where to.
        place: where the files are.
        files: together they are the data set.
        dataset: the name to land under.
        rows: how rows become instructions.
        untagged: rows may lack a category: the experiments that use them tag them.

    Raises:
        InputError: nothing usable, or files that cannot be read.
        OSError: a file cannot be fetched.
        ChangedError: a file changed while it was fetched.
    """
    pool = _checked(place, files, rows, untagged)
    file = snapshot_file(opened.artifacts, dataset, pool.content_hash)
    with opened.database.session() as session:
        known = find_event(session, dataset, pool.content_hash) is not None
    if not (known and file.exists()):
        write_rejects(pool.rejected, _rejects(file))
        write_instructions(file, pool.instructions)
    if not known:
        _record(opened, dataset, file, pool, len(pool.rejected))
    return Landing(dataset, pool.content_hash, pool.counts(), pool.rejected, file, not known)


def adopt_unrecorded(opened: Workspace) -> tuple[list[str], list[str]]:
    """Record every snapshot in the artifact store that the database does not know: its landing was cut short.

    Returns:
        Data sets with such a snapshot, and a sentence for each file that is not what its name says.
    """
    adopted, damaged = [], []
    for folder in sorted((opened.artifacts / "datasets").glob("*/")):
        with opened.database.session() as session:
            known = set(landed_hashes(session, folder.name))
        for file in sorted(folder.iterdir()):
            if not _SNAPSHOT.fullmatch(file.name) or file.stem in known:
                continue
            try:
                pool = Pool(folder.name, read_instructions(file))
            except InputError as error:
                damaged.append(str(error))
                continue
            if pool.content_hash != file.stem:
                damaged.append(f"{file}: its content has another hash than its name. Land the data set again.")
                continue
            rejects = _rejects(file)
            _record(opened, folder.name, file, pool, len(rejects.read_bytes().splitlines()) if rejects.exists() else 0)
            adopted.append(folder.name)
    return adopted, damaged


def _checked(place: Place, files: Sequence[DataFile], rows: RowSource, untagged: bool) -> Pool:
    """The pool of these files, which keep their own names in what is said of them."""
    with ExitStack() as copies:
        shown = {str(copies.enter_context(place.fetched(file))): file.inside for file in files}
        changed = [file.inside for file in files if not place.unchanged(file)]
        if changed:
            raise ChangedError(f"{', '.join(changed)}: changed while it was copied. Land it when it is complete.")
        try:
            pool = read_pool(FilesSource(**rows.model_dump(), paths=tuple(shown)), untagged=untagged)
        except InputError as error:
            text = str(error)
            for copy, name in shown.items():
                text = text.replace(copy, name)
            raise InputError(text) from None
    return Pool(pool.name, pool.instructions, tuple(replace(row, file=shown[row.file]) for row in pool.rejected))


def _record(opened: Workspace, dataset: str, file: Path, pool: Pool, rejected: int) -> None:
    with opened.database.session() as session:
        # A pool of this data set bears its plain name: their rows must not be confused where the contents are equal.
        snapshot = record_snapshot(
            session, f"{dataset} (landed)", pool.content_hash, pool.counts(), str(file), rejected
        )
        record_event(session, dataset, snapshot.id, {"examples": len(pool.instructions), "rejected": rejected})


def _rejects(snapshot: Path) -> Path:
    return snapshot.with_suffix(".rejected.jsonl")
