"""A run whose driver was killed is failed with a reason by the next start, unless something is still at it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from db import runs
from db.base import Phase, RunState
from db.experiments import get_experiment, record_experiment
from db.interventions import set_plan
from db.models import Run
from db.monitoring import failure_reasons
from flows.abandoned_runs import fail_abandoned
from flows.experiment_lock import alone
from flows.workspace import Workspace
from tasks.benchmarks.run import LOCK_NAME
from tests.flows.planted_home import EXPERIMENT, PlantedHome, digest, plan, planted_home


@pytest.fixture(scope="module")
def home() -> Iterator[PlantedHome]:
    with planted_home() as planted:
        yield planted


def workspace_of(home: PlantedHome) -> Workspace:
    def no_cluster() -> None:
        raise AssertionError("needs no cluster")

    return Workspace(home.database, home.home / "artifacts", home.home / "reports", no_cluster)  # type: ignore[arg-type]


def states(home: PlantedHome) -> dict[str, str]:
    with home.database.session() as session:
        return {run.name: run.state for run in session.scalars(select(Run))}


def test_run_without_driver_and_worker_is_failed_with_a_reason(home: PlantedHome) -> None:
    opened, identity = workspace_of(home), next(one.fingerprint for one in plan() if one.name == home.running)
    lock = opened.artifacts / "runs" / identity / LOCK_NAME
    before = states(home)
    assert before[home.running] == RunState.RUNNING

    with alone(home.database, EXPERIMENT):
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert fail_abandoned(opened, EXPERIMENT) == (), "its worker is still at it"
        with home.database.session() as session:
            pool = get_experiment(session, EXPERIMENT).snapshot_id
            third = record_experiment(session, "third", {}, digest("third"), pool)
            set_plan(session, third.id, Phase.MEASURE, [one for one in plan() if one.name == home.running])
        with alone(home.database, "third"):
            assert fail_abandoned(opened, EXPERIMENT) == (), "another experiment's driver waits for it"
        assert states(home) == before

        assert fail_abandoned(opened, EXPERIMENT) == (identity,)

    assert states(home) == {**before, home.running: RunState.FAILED}
    with home.database.session() as session:
        assert failure_reasons(session)["DriverDiedError"] == 1
        assert runs.mark_running(session, identity), "and may be started again"
