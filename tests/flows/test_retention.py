"""Which weights stay after scoring: as the configurations say together, bounded on the way, safe to repeat."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from db import retention
from db.base import Phase
from db.session import Database
from flows.experiment_file import load_experiment
from flows.retention import settle, store_scores
from tasks.benchmarks.run import TRAINING_FOLDER, forget_weights, read_run_record
from tasks.errors import InputError
from tests.flows.command import small_experiment
from tests.flows.stored_runs import ARMS, COUNTS, SEEDS, Store, emptied, results_database

EVEN = {"add": 1.0, "copy": 1.0}


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    with results_database() as database:
        yield database


@pytest.fixture
def store(server: Database, tmp_path: Path) -> Store:
    return Store(emptied(server), tmp_path)


def best_by_hand(losses: dict[tuple[str, int], dict[str, float]]) -> tuple[str, int]:
    """Highest mean of −Σ n_c loss_c over seeds, then the highest seed."""
    value = {key: -sum(COUNTS[c] * loss for c, loss in of_run.items()) for key, of_run in losses.items()}
    arm = max(ARMS, key=lambda name: sum(value[name, seed] for seed in SEEDS))
    return max(((arm, seed) for seed in SEEDS), key=lambda key: value[key])


def test_keep_none_deletes_weights_before_the_row_names_them(store: Store) -> None:
    key = store.plan("e", "none")["proposal", 11]
    store.score(key, EVEN)
    assert (store.weights(), store.named()) == (set(), set())
    record = read_run_record(store.runs / key)
    assert record is not None
    assert record.training.checkpoint == ""
    assert len(record.scores) == 2
    assert not (store.runs / key / TRAINING_FOLDER).exists()


@pytest.mark.parametrize("phase", list(Phase))
def test_keep_all_keeps_every_scored_runs_weights(store: Store, phase: Phase) -> None:
    keys = set(store.plan("e", "all", phase=phase).values())
    for key in keys:
        store.score(key, EVEN)
    assert store.weights() == store.named() == keys


def test_keep_best_measured_interventions_leave_no_weights(store: Store) -> None:
    for key in store.plan("e", "best", phase=Phase.MEASURE).values():
        store.score(key, EVEN)
    assert (store.weights(), store.named()) == (set(), set())


@pytest.mark.parametrize("number", range(6))
def test_keep_best_ends_with_best_arms_best_seed_and_never_holds_more_than_one_per_arm(
    store: Store, number: int
) -> None:
    generator = random.Random(number)
    keys = store.plan("e", "best")
    losses = {key: {c: generator.uniform(0, 1) for c in COUNTS} for key in keys}
    order = list(keys)
    generator.shuffle(order)
    for done, key in enumerate(order, 1):
        store.score(keys[key], losses[key])
        arms = [next(arm for (arm, _), k in keys.items() if k == kept) for kept in store.weights()]
        assert len(arms) == len(set(arms)), "one per arm"
        if done < len(order):
            assert set(arms) == {arm for arm, _ in order[:done]}
    assert store.weights() == store.named() == {keys[best_by_hand(losses)]}


def test_keep_best_goes_by_the_arms_mean_and_the_baselines_shares(store: Store) -> None:
    keys = store.plan("e", "best")
    losses = {key: {"add": 0.50, "copy": 0.50} for key in keys}
    losses["proposal", 11] = {"add": 0.10, "copy": 0.50}  # the best single run, in an arm that is worse on average
    losses["proposal", 12] = {"add": 0.95, "copy": 0.50}
    losses["curriculum", 11] = {"add": 0.40, "copy": 0.70}  # better only because add weighs three times copy
    losses["curriculum", 12] = {"add": 0.41, "copy": 0.70}
    for key, of_run in losses.items():
        store.score(keys[key], of_run)
    assert store.weights() == {keys["curriculum", 11]} == {keys[best_by_hand(losses)]}


def test_keep_best_scored_at_once_from_many_threads_leaves_exactly_the_best(store: Store) -> None:
    generator = random.Random(3)
    keys = store.plan("e", "best")
    losses = {key: {c: generator.uniform(0, 1) for c in COUNTS} for key in keys}
    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(lambda key: store.score(keys[key], losses[key]), keys))
    assert store.weights() == store.named() == {keys[best_by_hand(losses)]}


def test_keep_best_of_an_earlier_validation_stays_until_the_next_is_complete(store: Store) -> None:
    first = store.plan("e", "best")
    for (_, seed), key in first.items():
        store.score(key, {"add": seed, "copy": seed})
    before = store.weights()
    second = store.plan("e", "best", salt="second", inputs="more scores")
    *early, last = second.values()
    for key in early:
        store.score(key, EVEN)
        assert before < store.weights()
    store.score(last, EVEN)
    assert len(store.weights()) == 1
    assert store.weights() < set(second.values())


@pytest.mark.parametrize(("mine", "others"), itertools.product(("none", "best"), ("all", "best")))
def test_weights_that_another_experiment_keeps_stay(store: Store, mine: str, others: str) -> None:
    keys = store.plan("mine", mine)
    store.plan("other", others, arms=("baseline",))  # the same trainings: runs are shared
    for (arm, seed), key in keys.items():
        store.score(key, {"add": 2.0 if arm == "baseline" else 1.0, "copy": seed})
    shared = {keys["baseline", seed] for seed in SEEDS}
    expected = shared if others == "all" else {keys["baseline", 11]}
    assert store.weights() & shared == expected
    assert store.named() == store.weights()


def test_store_scores_after_kill_between_record_and_row_takes_the_record_in(store: Store) -> None:
    key = store.plan("e", "none")["baseline", 11]
    folder = store.leave(key, EVEN)
    whole = shutil.copytree(folder / TRAINING_FOLDER, store.folder / "weights")
    forget_weights(folder)
    shutil.copytree(whole, folder / TRAINING_FOLDER)  # as if killed before the files went
    assert store_scores(store.database, key, folder) is not None
    assert (store.weights(), store.named()) == (set(), set())


def test_settle_after_kill_before_the_last_step_finishes_it_and_then_does_nothing(store: Store) -> None:
    keys = store.plan("e", "all")
    for (_, seed), key in keys.items():
        store.score(key, {"add": seed, "copy": 1.0})
    store.plan("e", "best")  # what a start finds whose forerunner scored everything and settled nothing
    lost = settle(store.database, keys["baseline", 11], store.runs)
    assert len(lost) == len(keys) - 1
    assert store.weights() == store.named() == {keys["baseline", 11]}
    assert settle(store.database, keys["baseline", 11], store.runs) == ()


def test_settle_for_an_experiment_that_keeps_none_touches_no_earlier_weights(store: Store) -> None:
    keys = store.plan("e", "all")
    for key in keys.values():
        store.score(key, EVEN)
    store.plan("e", "none")
    assert settle(store.database, keys["baseline", 11], store.runs) == ()
    assert store.weights() == set(keys.values())


def test_store_scores_without_record_does_nothing(store: Store) -> None:
    key = store.plan("e", "none")["baseline", 11]
    (store.runs / key).mkdir(parents=True)
    assert store_scores(store.database, key, store.runs / key) is None


def test_forget_weights_of_unscored_run_leaves_its_training(store: Store) -> None:
    folder = store.leave(store.plan("e", "none")["baseline", 11], EVEN)
    (folder / "record.json").unlink()
    assert forget_weights(folder) is None
    assert (folder / TRAINING_FOLDER / "model").is_dir()


def test_finished_run_may_lose_the_place_of_its_weights_and_nothing_else(store: Store) -> None:
    key = store.plan("e", "all")["baseline", 11]
    store.score(key, EVEN)
    for change in ("checkpoint = 'elsewhere'", "checkpoint = '', tokens = 1", "checkpoint = '', state = 'planned'"):
        with pytest.raises(IntegrityError, match="append-only"), store.database.session() as session:
            session.connection().exec_driver_sql(f"UPDATE run SET {change} WHERE fingerprint = '{key}'")
    with store.database.session() as session:
        retention.clear_checkpoint(session, key)
    assert store.named() == set()


@pytest.mark.parametrize("former", [True, False])
def test_experiment_file_with_the_former_key_names_the_new_one(tmp_path: Path, former: bool) -> None:
    path = small_experiment(tmp_path, resources={"keep_checkpoints": former})
    with pytest.raises(InputError, match=r"resources: the key keep_checkpoints is now called keep: write `keep: all`"):
        load_experiment(path)


@pytest.mark.parametrize(("changes", "message"), [
    ({"resources": {"keep": "best"}, "validation": None}, "resources.keep is 'best', which the validation decides"),
    ({"resources": {"keep": "some"}}, "'best', 'none' or 'all'; found 'some'"),
])  # fmt: skip
def test_experiment_file_with_keep_that_cannot_be_says_why(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_experiment(small_experiment(tmp_path, **changes))
