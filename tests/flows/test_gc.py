"""gc removes what nothing refers to, exactly what its dry run lists, and nothing that is needed or in use."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.base import Phase
from db.session import Database
from flows.housekeeping import find_waste, remove_waste
from flows.housekeeping_files import remove
from flows.housekeeping_forget import forget, plan_forgetting
from tasks.benchmarks.run import LOCK_NAME, TRAINING_FOLDER
from tasks.errors import InputError
from tests.flows.stored_runs import ARMS, SEEDS, Store, digest, emptied, results_database

EVEN = {"add": 1.0, "copy": 1.0}
DAY = 86400


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    with results_database() as database:
        yield database


@pytest.fixture
def store(server: Database, tmp_path: Path) -> Store:
    return Store(emptied(server), tmp_path.resolve())


def write(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def age(folder: Path, days: float = 2) -> None:
    """Make everything there this old; links themselves too."""
    then = time.time() - days * DAY
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then), follow_symlinks=False)


def tree(folder: Path) -> set[str]:
    """Every file, folder and link below, without the folder for removals."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in found if not name.startswith("artifacts/.trash")}


def needed_and_waste(store: Store) -> tuple[dict[str, str], set[Path]]:
    """A store with an experiment, whose paths all stay, and one of each kind of waste; the reason of each by path."""
    artifacts, runs = store.folder / "artifacts", store.runs
    keys = store.plan("e", "all")
    for key in keys.values():
        store.score(key, EVEN)
    write(artifacts / "pools" / ("a" * 16) / "train.jsonl")
    write(artifacts / "bases" / digest("base") / "config.json")
    write(artifacts / "datasets" / "landed" / "x.jsonl")
    steps = {"hygiene": "1" * 64, "tagging": ["2" * 64], "selection": "3" * 64}
    write(artifacts / "pools" / ("a" * 16) / "steps.json", json.dumps({"identity": steps, "report": {}}))
    for name, step in (("cleaned", "1"), ("tagged", "2"), ("selections", "3")):
        write(artifacts / name / (step * 64) / "file")
    write(artifacts / "tagged" / f"{'4' * 64}.answers.jsonl")
    write(artifacts / "notes.txt")
    write(runs / "my experiment" / "own.txt")
    write(store.folder / "postgres.log")
    unfinished = store.plan("open", "none", salt="open", arms=("baseline",))
    for key in unfinished.values():
        write(runs / key / "training" / "checkpoints" / "checkpoint-5" / "weights")
    needed = {store.folder / name for name in tree(store.folder)}

    kept = runs / keys["baseline", 11]
    dropped = store.plan("none", "none", salt="none", arms=("baseline",))["baseline", 11]
    store.score(dropped, EVEN)
    needed |= {runs / dropped, runs / dropped / "record.json", runs / dropped / LOCK_NAME}
    once = store.plan("once", "all", salt="once", arms=("baseline",))["baseline", 12]
    store.score(once, EVEN)
    store.plan("once", "none", salt="once", arms=("baseline",))
    needed |= {runs / once, runs / once / "record.json", runs / once / LOCK_NAME}
    left = store.plan("left", "all", salt="left")["curriculum", 11]
    store.score(left, EVEN)
    store.plan("left", "all", salt="left", arms=("baseline",))
    store.leave("9" * 64, EVEN)
    write(runs / dropped / TRAINING_FOLDER / "model" / "half")
    write(kept / TRAINING_FOLDER / "checkpoints" / "checkpoint-9" / "weights")
    waste = {
        write(kept / ".record.json.abc"): "interrupted writing",
        write(kept / "progress.77.tmp"): "interrupted writing",
        kept / TRAINING_FOLDER / "checkpoints": "partial checkpoints of a finished run",
        runs / dropped / TRAINING_FOLDER: "rest of weights that were deleted",
        runs / once / TRAINING_FOLDER: "weights that no experiment keeps (resources.keep)",
        runs / left: "run of no experiment's plan",
        runs / ("9" * 64): "run without a row in the database",
        write(artifacts / "pools" / ("b" * 16) / "train.jsonl").parent: "pool of no experiment",
        write(artifacts / "pools" / ("a" * 16) / ".train.jsonl.x.tmp"): "interrupted writing",
        write(artifacts / "bases" / ("c" * 64) / "config.json").parent: "base checkpoint of no experiment",
        write(artifacts / "bases" / f".{'d' * 64}.x" / "base" / "w").parents[1]: "interrupted writing",
        write(artifacts / "curricula" / f"{'e' * 64}.jsonl"): "curriculum of no experiment",
        write(artifacts / "cleaned" / ("5" * 64) / "file").parent: "cleaned rows of no experiment",
        write(artifacts / "tagged" / ("5" * 64) / "file").parent: "tagged rows of no experiment",
        write(artifacts / "selections" / ("5" * 64) / "file").parent: "selection of no experiment",
        write(artifacts / "hub" / f"{'5' * 64}.jsonl"): "copy of a hub's rows of no experiment",
        write(artifacts / ".trash" / "half" / "w").parent: "rest of an interrupted removal",
        write(store.folder / "postgres.log.1"): "rotated log of the embedded PostgreSQL",
    }
    age(store.folder)
    return {str(path): reason for path, reason in waste.items()}, needed


def test_gc_removes_exactly_what_its_dry_run_lists_and_leaves_everything_needed(store: Store) -> None:
    expected, needed = needed_and_waste(store)
    before = tree(store.folder)

    found = find_waste(store.workspace)

    assert {str(waste.path): waste.reason for waste in found} == expected
    assert tree(store.folder) == before, "the list removes nothing"
    done = remove_waste(store.workspace, found)
    assert done.left == ()
    assert done.removed == found
    gone = [Path(path).relative_to(store.folder) for path in expected]
    left = {name for name in before if not any(Path(name).is_relative_to(path) for path in gone)}
    assert tree(store.folder) == left
    assert {str(path.relative_to(store.folder)) for path in needed} <= left
    assert list((store.folder / "artifacts" / ".trash").iterdir()) == []
    assert store.named() == store.weights()
    age(store.folder)
    assert find_waste(store.workspace) == ()


def test_gc_leaves_what_changed_lately_whatever_is_asked(store: Store) -> None:
    needed_and_waste(store)
    for path in [store.folder, *store.folder.rglob("*")]:
        os.utime(path, follow_symlinks=False)
    assert find_waste(store.workspace, older_than_days=0) == ()
    age(store.folder, days=0.5)
    assert find_waste(store.workspace) == ()
    assert len(find_waste(store.workspace, older_than_days=0)) == len(find_waste(store.workspace, older_than_days=0.4))
    assert find_waste(store.workspace, older_than_days=0.4) != ()


def test_gc_leaves_a_run_that_a_process_holds_locked(store: Store) -> None:
    folder = store.leave("9" * 64, EVEN)
    age(store.folder)
    with (folder / LOCK_NAME).open("r+") as worker:
        fcntl.flock(worker, fcntl.LOCK_EX)
        age(store.folder)
        assert find_waste(store.workspace) == ()
    (waste,) = find_waste(store.workspace)
    with (folder / LOCK_NAME).open("r+") as worker:
        fcntl.flock(worker, fcntl.LOCK_EX)
        done = remove_waste(store.workspace, [waste])
    assert done.removed == ()
    assert folder.is_dir()


def test_gc_leaves_what_was_planned_since_the_list_was_made(store: Store) -> None:
    key = store.plan("e", "all")["baseline", 11]
    store.score(key, EVEN)
    store.plan("e", "all", arms=("proposal",))
    age(store.folder)
    found = find_waste(store.workspace)
    assert [waste.path for waste in found] == [store.runs / key]
    store.plan("e", "all")
    done = remove_waste(store.workspace, found)
    assert done.left == ((store.runs / key, "in use again"),)
    assert store.weights() == store.named() == {key}


def test_gc_never_follows_or_removes_links(store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside").resolve()
    write(outside / "run" / "record.json")
    write(outside / "pools" / ("b" * 16) / "train.jsonl")
    write(outside / "postgres.log.1")
    age(outside)
    store.runs.mkdir(parents=True)
    (store.runs / ("9" * 64)).symlink_to(outside / "run")
    (store.folder / "artifacts" / "pools").symlink_to(outside / "pools")
    (store.folder / "postgres.log.1").symlink_to(outside / "postgres.log.1")
    folder = store.leave("8" * 64, EVEN)
    (folder / "link").symlink_to(outside / "run")
    age(store.folder)
    found = find_waste(store.workspace)
    assert [waste.path for waste in found] == [folder]
    assert remove_waste(store.workspace, found).left == ()
    assert not folder.exists()
    assert tree(outside) == {"run", "run/record.json", "pools", f"pools/{'b' * 16}", f"pools/{'b' * 16}/train.jsonl",
                             "postgres.log.1"}  # fmt: skip
    assert (store.runs / ("9" * 64)).is_symlink()


@pytest.mark.parametrize("path", ["..", ".", "runs/../../elsewhere", "link/inside"])
def test_remove_outside_the_store_or_through_a_link_refused(tmp_path: Path, path: str) -> None:
    store = tmp_path.resolve() / "store"
    write(tmp_path / "elsewhere" / "inside")
    store.mkdir()
    (store / "runs").mkdir()
    (store / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="no real path inside"):
        remove(store / path, store)
    assert (tmp_path / "elsewhere" / "inside").exists()


def rows(store: Store) -> dict[str, int]:
    with store.database.session() as session:
        return {
            table: session.scalar(text(f"SELECT count(*) FROM {table}")) or 0
            for table in ("experiment", "intervention", "planned_run", "run", "score", "analysis", "pool_snapshot")
        }


def test_forget_removes_the_experiments_rows_and_files_but_not_what_others_share(store: Store) -> None:
    other = store.plan("other", "all", arms=("baseline",))
    for key in other.values():
        store.score(key, EVEN)
    alone, files = rows(store), tree(store.folder)
    keys = store.plan("e", "all")
    for (arm, _), key in keys.items():
        if arm != "baseline":
            store.score(key, EVEN)
    write(store.folder / "reports" / "e.html")

    listed = plan_forgetting(store.workspace, "e")

    assert len(rows(store)) == len(alone)
    assert rows(store)["experiment"] == 2, "the list removes nothing"
    done, removal = forget(store.workspace, "e")
    assert [waste.path for waste in done.files] == [waste.path for waste in listed.files]
    assert (done.rows, removal.left) == (listed.rows, ())
    assert done.rows.shared == len(SEEDS)
    assert done.rows.rows["run"] == (len(ARMS) - 1) * len(SEEDS)
    assert rows(store) == alone
    assert tree(store.folder) - {"reports"} == files
    with pytest.raises(InputError, match="no experiment named 'e'"):
        forget(store.workspace, "e")


def test_forget_leaves_results_append_only_for_everybody_else(store: Store) -> None:
    for key in store.plan("e", "none").values():
        store.score(key, EVEN)
    other = store.plan("other", "none", salt="other", phase=Phase.MEASURE)
    for key in other.values():
        store.score(key, EVEN)
    forget(store.workspace, "e")
    assert rows(store)["run"] == len(other)
    with pytest.raises(IntegrityError, match="append-only"), store.database.session() as session:
        session.execute(text("DELETE FROM score"))


def test_forget_of_an_experiment_under_way_refused_and_nothing_removed(store: Store) -> None:
    key = store.plan("e", "none")["baseline", 11]
    folder = store.leave(key, EVEN)
    before = rows(store), tree(store.folder)
    with (folder / LOCK_NAME).open("r+") as worker:
        fcntl.flock(worker, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="under way"):
            forget(store.workspace, "e")
    with store.database.session() as session:
        session.execute(
            text("UPDATE run SET state = 'running', started = now() WHERE fingerprint = :key"), {"key": key}
        )
    with pytest.raises(InputError, match="under way"):
        forget(store.workspace, "e")
    assert (rows(store), tree(store.folder)) == before
    age(store.folder)
    forget(store.workspace, "e")
    assert rows(store)["experiment"] == 0
