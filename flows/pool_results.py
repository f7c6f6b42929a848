"""Whether a command for pools may write its results where it is told to; looked at before anything is read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InputError
from tasks.hygiene import clean
from tasks.pool.rows import expand_paths
from tasks.selection import select
from tasks.tagging import tagged_files
from tasks.tagging.tagged_files import companion


@dataclass(frozen=True)
class Results:
    """What a command writes.

    Attributes:
        out: what --out says.
        files: what it replaces, or removes where it would hold nothing; the summary is the last.
        beside: files that it adds to, and folders that it fills or removes.
        keys: what the summary of an earlier result of the same command holds.
    """

    out: Path
    files: tuple[Path, ...]
    beside: tuple[Path, ...]
    keys: frozenset[str]


def tag_results(out: Path) -> Results:
    """What `tag` writes.

    Raises:
        InputError: `out` is not named as JSON lines.
    """
    files = (out, *(companion(out, name) for name in tagged_files.COMPANIONS))
    kept = (tagged_files.ANSWERS, tagged_files.VOCABULARY, tagged_files.QUESTIONS)
    return Results(out, files, tuple(companion(out, name) for name in kept), frozenset({"tagger", "rows"}))


def clean_results(out: Path) -> Results:
    """What `clean` writes."""
    return Results(out, tuple(out / name for name in clean.OUTPUTS), (), frozenset({"rows", "kept", "dropped"}))


def select_results(out: Path) -> Results:
    """What `select` writes."""
    files = tuple(out / name for name in select.OUTPUTS)
    return Results(out, files, (select_answers(out),), frozenset({"rows", "usable", "taken"}))


def select_answers(out: Path) -> Path:
    """Where `select` keeps the answers of a server."""
    return out.absolute().with_name(f"{out.name}.answers.jsonl")


def files_of(option: str, patterns: Sequence[str]) -> tuple[Path, ...]:
    """The files that an option names.

    Raises:
        InputError: a pattern matches nothing, or names a folder; names the option.
    """
    try:
        return expand_paths(tuple(patterns))
    except InputError as error:
        raise InputError(f"{option} {error}") from error


def check_results(results: Results, inputs: Mapping[str, Sequence[Path | None]], overwrite: bool) -> None:
    """Check that the results can be written, and that nothing is lost by it.

    Args:
        results: what will be written.
        inputs: the files that are read, by the option that names them; None stands for an option that is not given.
        overwrite: whether to replace files that no earlier run of the command wrote.

    Raises:
        InputError: a result would replace or remove a file that is read, a folder is in its place or cannot be written
            to, or it would replace files that the same command did not write.
    """
    _check_inputs(results, inputs)
    for path in (*results.files, *results.beside):
        _check_place(results.out, path)
    for folder in {path.parent for path in (*results.files, *results.beside)}:
        _check_writable(results.out, folder)
    there = [path for path in results.files if path.exists()]
    if there and not overwrite and not _earlier(results):
        raise InputError(
            f"{there[0]}: is there already, and no earlier result of this command (it would have "
            f"{results.files[-1].name} beside it). Give another --out, or --overwrite to replace it."
        )


def _check_inputs(results: Results, inputs: Mapping[str, Sequence[Path | None]]) -> None:
    written = {path.resolve(): path for path in (*results.files, *results.beside)}
    for option, paths in inputs.items():
        for path in filter(None, paths):
            real = path.resolve()
            lost = next((written[place] for place in (real, *real.parents) if place in written), None)
            if lost is not None:
                raise InputError(
                    f"{option} {path}: would be replaced or removed, which would lose it: --out {results.out} also "
                    f"writes {lost}. Give another --out."
                )


def _check_place(out: Path, path: Path) -> None:
    folder_wanted = path.name.endswith((f".{tagged_files.VOCABULARY}", f".{tagged_files.QUESTIONS}"))
    if path.exists() and path.is_dir() != folder_wanted:
        found, wanted = ("a file", "folder") if folder_wanted else ("a folder", "file")
        raise InputError(f"{path}: is {found}; expected room for a {wanted} of --out {out}. Give another --out.")


def _check_writable(out: Path, folder: Path) -> None:
    """Try a file in the folder, or in the nearest one above it that is there; nothing is left of it."""
    there = next(place for place in _upwards(folder.absolute()) if place.exists())
    if not there.is_dir():
        raise InputError(f"{there}: is a file; expected a folder for the results of --out {out}. Give another --out.")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"--out {out}: cannot be written: no file can be made in {there} ({reason}). Give another --out."
        ) from error


def _upwards(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.parents


def _earlier(results: Results) -> bool:
    """Whether the summary says that the same command wrote what is there."""
    try:
        found = json.loads(results.files[-1].read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.keys() >= results.keys
