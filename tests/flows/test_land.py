"""Landing and the watched folder against a real Postgres: each step can be repeated, half-written files wait."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
import pytest

from db import events
from db.session import Database, open_database
from flows.data_files import Place
from flows.landing import Landing, adopt_unrecorded, land
from flows.watch_folder import look
from flows.workspace import Workspace
from infra.postgres import embedded_postgres
from tasks.errors import InputError
from tasks.pool.config import RowSource
from tests.flows.command import Command

ROWS = RowSource()


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with TemporaryDirectory(prefix="pg-") as home, embedded_postgres(Path(home), durable=False) as server:
        opened = open_database(server.url)
        yield opened
        opened.close()


@pytest.fixture
def opened(database: Database, tmp_path: Path) -> Workspace:
    def no_cluster() -> None:
        raise AssertionError("landing needs no cluster")

    return Workspace(database, tmp_path / "artifacts", tmp_path / "reports", no_cluster)  # type: ignore[arg-type]


def lines(*texts: str, category: str = "copy") -> str:
    return "".join(json.dumps({"instruction": t, "output": t, "category": category}) + "\n" for t in texts)


def land_file(opened: Workspace, path: Path, dataset: str) -> Landing:
    place = Place(str(path))
    return land(opened, place, place.files(), dataset, ROWS)


def processed(opened: Workspace, dataset: str) -> list[bool]:
    with opened.database.session() as session:
        return [event.processed is not None for event in events.unprocessed(session) if event.dataset == dataset]


def test_folder_lands_as_one_data_set_and_the_same_again_changes_nothing(opened: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.jsonl").write_text(lines("one", "two") + '{"instruction": "three"}\n')
    (folder / "b.ndjson").write_text(lines("four", category="reverse"))
    (folder / "README.txt").write_text("no data")
    (folder / ".c.jsonl").write_text(lines("hidden"))
    first = land_file(opened, folder, "folder")
    assert (first.new, first.counts) == (True, {"copy": 2, "reverse": 1})
    assert [(r.file, r.line, r.kind) for r in first.rejected] == [("a.jsonl", 3, "no answer")]
    assert len(first.file.read_text().splitlines()) == 3
    stamp = first.file.stat().st_mtime_ns
    again = land_file(opened, folder, "folder")
    assert not again.new
    assert first.file.stat().st_mtime_ns == stamp
    assert processed(opened, "folder") == [False]


def test_nothing_usable_lands_nothing_and_names_the_file(opened: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"instruction": "three"}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl: .*output"):
        land_file(opened, tmp_path / "bad.jsonl", "bad")
    assert not (opened.artifacts / "datasets" / "bad").exists()


def test_landing_cut_short_after_the_copy_is_found(opened: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines("one", "two"))
    landing = land_file(opened, tmp_path / "a.jsonl", "whole")
    # What a process that dies between copy and record leaves: the files alone.
    cut = opened.artifacts / "datasets" / "cut"
    cut.mkdir()
    (cut / landing.file.name).write_bytes(landing.file.read_bytes())
    (cut / f"{'0' * 64}.jsonl").write_bytes(landing.file.read_bytes())
    adopted, damaged = adopt_unrecorded(opened)
    assert adopted == ["cut"]
    assert len(damaged) == 1
    assert "000.jsonl" in damaged[0]
    with opened.database.session() as session:
        assert events.landed_hashes(session, "cut") == [landing.content_hash]
    assert adopt_unrecorded(opened)[0] == []


def test_watched_file_lands_when_two_looks_find_it_alike(opened: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "grown").mkdir(parents=True)
    file = inbox / "grown" / "a.jsonl"
    file.write_text(lines("one"))
    place = Place(str(inbox))
    assert look(opened, place, None, ROWS).landed == (), "first look"
    file.write_text(lines("one", "two"))
    assert look(opened, place, None, ROWS).landed == (), "still being written"
    (landed,) = look(opened, place, None, ROWS).landed
    assert (landed.dataset, landed.counts) == ("grown", {"copy": 2})
    assert look(opened, place, None, ROWS).landed == ()
    # Touched without a change of content: fetched once more, the same content.
    os.utime(file, ns=(1, 1))
    look(opened, place, None, ROWS)
    (same,) = look(opened, place, None, ROWS).landed
    assert (same.new, same.content_hash) == (False, landed.content_hash)


def test_bad_files_are_named_once_and_block_no_other(opened: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    for name in ("good", "..x", "bad"):
        (inbox / name).mkdir(parents=True)
    (inbox / "bad" / "a.jsonl").write_text("no json\n")
    (inbox / "good" / "a.jsonl").write_text(lines("one"))
    (inbox / "loose.jsonl").write_text(lines("two"))
    (inbox / "bad name").mkdir()
    (inbox / "bad name" / "a.jsonl").write_text(lines("three"))
    place = Place(str(inbox))
    look(opened, place, None, ROWS)
    second = look(opened, place, None, ROWS)
    assert [landing.dataset for landing in second.landed] == ["good"]
    assert len(second.rejected) == 3
    assert all(any(name in text for text in second.rejected) for name in ("bad/a.jsonl", "loose.jsonl", "bad name"))
    assert look(opened, place, None, ROWS).rejected == (), "named once"
    (inbox / "bad" / "a.jsonl").write_text(lines("four"))
    look(opened, place, None, ROWS)
    assert [landing.dataset for landing in look(opened, place, None, ROWS).landed] == ["bad"], "mended"


def test_bucket_is_watched_like_a_folder(opened: Workspace) -> None:
    bucket = fsspec.filesystem("memory")
    bucket.pipe("/bucket/cloud/a.jsonl", lines("one").encode())
    place = Place("memory://bucket")
    look(opened, place, None, ROWS)
    (landed,) = look(opened, place, None, ROWS).landed
    assert (landed.dataset, landed.counts) == ("cloud", {"copy": 1})


def test_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(InputError) as refused:
        Place("ftp://me:hunter2@host/folder")
    assert "hunter2" not in str(refused.value)


def test_land_command_refuses_wrong_options_with_one_message(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines("one"))
    done = command.run("land", str(tmp_path / "a.jsonl"), "--dataset", "../up", "--format", "csv")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--dataset" in done.stderr
