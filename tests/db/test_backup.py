"""Backup and restore: every value comes back, wrong files change nothing, and nothing half-written stays."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import resource
import threading
import zipfile

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

import db.backup
from db.backup import backup, restore
from db.backup_file import MANIFEST
from db.migrate import present_revision, revisions, upgrade_to
from tasks.errors import InputError
from tests.db.revision_rows import contents, fill, table_columns

HEAD = revisions()[-1]


def made(empty_database, revision):
    """URL of a database filled at a revision."""
    url = empty_database(None)
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade_to(connection, revision)
    with engine.begin() as connection:
        fill(connection, revision)
    engine.dispose()
    return url


def read(url, columns=None):
    engine = create_engine(url)
    with engine.connect() as connection:
        found = contents(connection, columns)
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def filled(empty_database):
    return made(empty_database, HEAD)


@pytest.fixture(scope="module")
def file(filled, tmp_path_factory):
    path = tmp_path_factory.mktemp("backup") / "results.backup"
    backup(filled, path)
    return path


@pytest.fixture
def empty(empty_database):
    return empty_database(None)


def changed(file, path, change):
    """A copy of a backup with other contents but fitting hashes: name → bytes is handed to `change`."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members[MANIFEST])
    change(members, manifest)
    for table in manifest["tables"]:
        table["sha256"] = hashlib.sha256(members[f"{table['name']}.csv"]).hexdigest()
    members[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_restore_into_empty_database_brings_back_every_value(filled, file, empty):
    manifest = restore(empty, file)
    assert read(empty) == read(filled)
    assert (manifest.revision, manifest.rows) == (HEAD, sum(len(rows) for rows in read(filled).values()))


def test_restored_database_goes_on_counting_and_guards_results(file, empty):
    restore(empty, file)
    engine = create_engine(empty)
    with engine.begin() as connection:
        last = connection.scalar(text("SELECT max(id) FROM run"))
        new = connection.scalar(text("INSERT INTO run (fingerprint, name) VALUES (repeat('0', 64), 'x') RETURNING id"))
        assert new == last + 1
    with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
        connection.execute(text("UPDATE score SET value = 0"))
    with pytest.raises(IntegrityError, match="incomplete"), engine.begin() as connection:
        connection.execute(text("INSERT INTO score SELECT run_id, category, 'exact_match', 0, 1 FROM score"))
    engine.dispose()


def test_restore_never_gives_a_number_out_again_that_a_deleted_row_had(empty_database, tmp_path, empty):
    url = made(empty_database, HEAD)
    engine = create_engine(url)
    with engine.begin() as connection:
        gone = connection.scalar(text("INSERT INTO run (fingerprint, name) VALUES (repeat('1', 64), 'x') RETURNING id"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM run WHERE name = 'x'"))
    engine.dispose()
    backup(url, tmp_path / "b")
    restore(empty, tmp_path / "b")
    engine = create_engine(empty)
    with engine.begin() as connection:
        new = connection.scalar(text("INSERT INTO run (fingerprint, name) VALUES (repeat('1', 64), 'x') RETURNING id"))
    engine.dispose()
    assert new == gone + 1


@pytest.mark.parametrize("revision", revisions()[:-1])
def test_restore_of_older_backup_ends_at_this_versions_schema(empty_database, empty, tmp_path, revision):
    url = made(empty_database, revision)
    assert backup(url, tmp_path / "b").revision == revision
    restore(empty, tmp_path / "b")
    engine = create_engine(url)
    with engine.connect() as connection:
        columns = table_columns(connection)
    engine.dispose()
    columns.pop("metric")
    columns["experiment"].remove("config")
    assert read(empty, columns) == read(url, columns)
    engine = create_engine(empty)
    with engine.connect() as connection:
        assert present_revision(connection) == HEAD
    engine.dispose()


def test_restore_of_newer_backup_refused(file, tmp_path, empty):
    newer = changed(file, tmp_path / "newer", lambda _, manifest: manifest.update(revision="9999"))
    with pytest.raises(InputError, match=r"'9999'.*newer"):
        restore(empty, newer)
    assert read(empty) == {}


def test_restore_into_filled_database_only_with_its_name(filled, file, empty_database):
    target = made(empty_database, HEAD)
    name = make_url(target).database
    engine = create_engine(target)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO category VALUES ('only here')"))
    engine.dispose()
    before = read(target)
    with pytest.raises(InputError, match=f"holds results already.*--replace {name}"):
        restore(target, file)
    with pytest.raises(InputError, match=f"is called '{name}', not 'other'"):
        restore(target, file, replace="other")
    assert read(target) == before
    restore(target, file, replace=name)
    assert read(target) == read(filled) != before


def test_restore_of_rows_that_break_a_rule_changes_nothing(filled, file, tmp_path, empty_database):
    target = made(empty_database, HEAD)
    before = read(target)

    def without_scores(members, manifest):
        members["score.csv"] = b""
        next(t for t in manifest["tables"] if t["name"] == "score")["rows"] = 0

    broken = changed(file, tmp_path / "broken", without_scores)
    with pytest.raises(InputError, match=r"nothing was changed: run 3 is incomplete"):
        restore(target, broken, replace=make_url(target).database)
    assert read(target) == before


def test_restore_of_other_tables_refused(file, tmp_path, empty):
    def renamed(members, manifest):
        manifest["tables"] = [t for t in manifest["tables"] if t["name"] != "watched_file"]

    with pytest.raises(InputError, match=f"not those of revision {HEAD}"):
        restore(empty, changed(file, tmp_path / "other", renamed))
    assert read(empty) == {}


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.98])
def test_restore_of_truncated_file_changes_nothing(file, tmp_path, empty, kept):
    content = file.read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(InputError, match="not a whole backup"):
        restore(empty, cut)
    assert read(empty) == {}


@pytest.mark.parametrize("place", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("member", ["run.csv", "score.csv", MANIFEST])
def test_restore_of_file_with_a_flipped_bit_refused(file, tmp_path, empty, member, place):
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        found = archive.getinfo(member)
    extra = int.from_bytes(content[found.header_offset + 28 : found.header_offset + 30], "little")
    start = found.header_offset + 30 + len(member) + extra
    content[start + int(place * found.compress_size)] ^= 0x10
    (tmp_path / "flipped").write_bytes(content)
    with pytest.raises(InputError, match=r"flipped: "):
        restore(empty, tmp_path / "flipped")
    assert read(empty) == {}


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "zip"])
def test_restore_of_another_kind_of_file_says_what_was_expected(tmp_path, empty, kind):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no backup")
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", "b")
    with pytest.raises(InputError, match=r"made by `beyond-iid backup`"):
        restore(empty, path)


def test_restore_into_database_in_use_gives_up_and_says_so(file, empty_database, monkeypatch):
    monkeypatch.setattr(db.backup, "_LOCK_SECONDS", 1)
    target = made(empty_database, HEAD)
    before = read(target)
    engine = create_engine(target)
    with engine.connect() as connection:
        connection.execute(text("SELECT * FROM run"))
        with pytest.raises(InputError, match="in use"):
            restore(target, file, replace=make_url(target).database)
    engine.dispose()
    assert read(target) == before


def test_backup_of_database_without_tables_refused_and_leaves_no_file(empty, tmp_path):
    with pytest.raises(InputError, match="nothing to back up"):
        backup(empty, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_backup_over_existing_file_refused_and_file_untouched(filled, tmp_path):
    (tmp_path / "b").write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        backup(filled, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_backup_into_missing_folder_refused(filled, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        backup(filled, tmp_path / "missing" / "b")


def test_backup_on_full_disk_leaves_nothing_and_says_so(filled, file, tmp_path):
    queue = multiprocessing.get_context("spawn").Queue()
    room = file.stat().st_size // 2
    process = multiprocessing.get_context("spawn").Process(
        target=_backup_with, args=(room, filled, tmp_path / "b", queue)
    )
    process.start()
    message = queue.get(timeout=60)
    process.join()
    assert "cannot be written (File too large)" in message
    assert list(tmp_path.iterdir()) == []


def _backup_with(room, url, path, queue):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        backup(url, path)
    except InputError as error:
        queue.put(str(error))
    else:
        queue.put("it fitted")


def test_backup_while_others_write_is_one_moment(empty_database, empty, tmp_path):
    """Each transaction adds a run and its plan; a backup of two moments would hold one without the other."""
    url = made(empty_database, HEAD)
    engine = create_engine(url)
    stop, committed = threading.Event(), []

    def write():
        while not stop.is_set():
            number = len(committed)
            with engine.begin() as connection:
                run = connection.scalar(
                    text("INSERT INTO run (fingerprint, name) VALUES (:key, 'w') RETURNING id"),
                    {"key": hashlib.sha256(str(number).encode()).hexdigest()},
                )
                connection.execute(
                    text("INSERT INTO planned_run VALUES (1, :seed, :run)"), {"seed": 100 + run, "run": run}
                )
            committed.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    moments = []
    while len(moments) < 3:
        first = len(committed)
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        backup(url, path)
        if len(committed) > first > 0:
            moments.append(path)
    stop.set()
    writer.join()
    engine.dispose()
    for path in moments:
        with zipfile.ZipFile(path) as archive:
            runs = [line for line in archive.read("run.csv").decode().splitlines() if ",w," in line]
            plans = archive.read("planned_run.csv").decode().splitlines()
        assert len(runs) == len(plans) - 2 > 0
    restore(empty, moments[-1])


def test_backup_is_readable_by_its_owner_alone(file):
    assert file.stat().st_mode & 0o077 == 0
