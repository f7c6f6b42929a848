"""Flow `watch-folder`: new and changed files of a folder or bucket land, once they have stopped changing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field, TypeAdapter, ValidationError

from db.landings import FileState
from db.watched_files import record_look, watched_files
from flows.announcements import DATASET_LANDED, announce
from flows.cancellation import close_cancelled
from flows.data_files import DataFile, Place
from flows.landing import ChangedError, Landing, land
from flows.workspace import Workspace, workspace
from tasks.errors import InputError, RunError
from tasks.pool.config import DatasetName, RowSource

_AS_THEY_ARE = RowSource()


@flow(name="watch-folder", flow_run_name="look at {folder}", persist_result=False, on_cancellation=[close_cancelled])
def watch_folder(
    folder: Annotated[str, Field(min_length=1)], dataset: DatasetName | None = None, rows: RowSource = _AS_THEY_ARE
) -> State[None]:
    """Look once at a folder or bucket; run it on a schedule. Files that changed since the last look wait for the next.

    A file that cannot be used is named once, and stays where it is; the others land.

    Args:
        folder: A folder on the worker's machine, or an address that fsspec opens, such as s3://bucket/folder.
        dataset: The name to land under. Default: that of the first folder below the watched one.
        rows: How rows become instructions.

    Raises:
        InputError: the folder cannot be listed.
        RunError: files that could not be fetched; the next look tries again.
    """
    with workspace() as opened:
        looked = look(opened, Place(folder), dataset, rows)
    log = get_run_logger()
    for landing in looked.landed:
        log.info("%s", landing)
    for reason in looked.rejected:
        log.error("Does not land: %s", reason)
    for name in sorted({landing.dataset for landing in looked.landed if landing.new}):
        if not announce(DATASET_LANDED, name):
            log.warning("The server did not take the event that %s landed; the hourly sweep answers it.", name)
    if looked.unreachable:
        raise RunError("Files that could not be fetched; the next look tries again:\n" + "\n".join(looked.unreachable))
    return Completed(message=f"{len(looked.landed)} landed, {len(looked.rejected)} rejected")


@dataclass(frozen=True)
class Look:
    """What one look at a folder came to.

    Attributes:
        landed: of the files that had stopped changing.
        rejected: a sentence for each file that cannot be used; it is not looked at again until it changes.
        unreachable: file and reason, of those that could not be fetched.
    """

    landed: tuple[Landing, ...]
    rejected: tuple[str, ...]
    unreachable: tuple[str, ...]


def look(opened: Workspace, place: Place, dataset: str | None, rows: RowSource) -> Look:
    """Land what is as it was at the last look, and remember the rest.

    Raises:
        InputError: the folder cannot be listed.
    """
    landed: list[Landing] = []
    rejected: list[str] = []
    unreachable: list[str] = []
    for file in _settled(opened, place):
        try:
            landing = land(opened, place, [file], _dataset(file, dataset), rows)
        except ChangedError:
            continue
        except InputError as error:
            rejected.append(str(error))
            _note(opened, place, file, FileState.REJECTED, reason=str(error))
        except OSError as error:
            unreachable.append(f"{file.inside}: {error}")
        else:
            landed.append(landing)
            _note(opened, place, file, FileState.LANDED, landing.content_hash)
    return Look(tuple(landed), tuple(rejected), tuple(unreachable))


def _settled(opened: Workspace, place: Place) -> list[DataFile]:
    """Files that are as they were at the last look and have not been dealt with; the others are noted."""
    files = place.files()
    with opened.database.session() as session:
        known = watched_files(session, place.url)
        for file in files:
            before = known.get(file.inside)
            if before is None or before.signature != file.signature:
                record_look(session, (place.url, file.inside, file.signature), FileState.SEEN)
    return [
        file
        for file in files
        if (before := known.get(file.inside))
        and before.signature == file.signature
        and before.state == FileState.SEEN.value
    ]


def _dataset(file: DataFile, dataset: str | None) -> str:
    if dataset:
        return dataset
    folder, slash, _ = file.inside.partition("/")
    if not slash:
        raise InputError(
            f"{file.inside}: belongs to no data set. Move it into a folder that bears the data set's name."
        )
    try:
        return str(TypeAdapter(DatasetName).validate_python(folder))
    except ValidationError:
        raise InputError(
            f"{file.inside}: {folder!r} cannot be a data set's name; expected letters, digits, '.', '_', '-'. "
            "Rename the folder."
        ) from None


def _note(
    opened: Workspace, place: Place, file: DataFile, state: FileState, content_hash: str | None = None, reason: str = ""
) -> None:
    with opened.database.session() as session:
        record_look(session, (place.url, file.inside, file.signature), state, content_hash, reason or None)
