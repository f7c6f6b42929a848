"""A real PostgreSQL for the whole session, a migrated database without rows for each test, and planted material."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from db import runs
from db.base import AnalysisKind, Base, Phase
from db.experiments import record_analysis, record_experiment
from db.interventions import Planned, set_plan
from db.pools import record_snapshot
from db.session import Database, open_database
from infra.postgres import embedded_postgres
from tasks.benchmarks.scores import EXACT_MATCH, LOSS, Score
from tasks.finetune.spec import TrainingRecord
from tasks.fingerprint import fingerprint
from tasks.interventions.intervention import BASELINE, Arm, Intervention

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    # Not pytest's folder: as root the server runs as another user, and each start of pytest closes that folder to it.
    with TemporaryDirectory(prefix="pg-") as home, embedded_postgres(Path(home), durable=False) as server:
        yield server.url


@pytest.fixture(scope="session")
def empty_database(server_url: str) -> Callable[[str | None], str]:
    """Make a database, empty or from a template; its URL."""

    def create(template: str | None = None) -> str:
        name = f"test_{next(_numbers)}"
        admin = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return make_url(server_url).set(database=name).render_as_string(hide_password=False)

    return create


@pytest.fixture(scope="session")
def migrated_template(empty_database: Callable[[str | None], str]) -> str:
    url = empty_database(None)
    open_database(url).close()
    return str(make_url(url).database)


@pytest.fixture
def database_url(empty_database: Callable[[str | None], str], migrated_template: str) -> str:
    return empty_database(migrated_template)


@pytest.fixture(scope="session")
def shared_database(empty_database: Callable[[str | None], str], migrated_template: str) -> Iterator[Database]:
    opened = open_database(empty_database(migrated_template))
    yield opened
    opened.close()


@pytest.fixture
def database(shared_database: Database) -> Database:
    """A migrated database without rows; emptied as only a superuser can, past the append-only triggers."""
    tables = ", ".join(f'"{name}"' for name in Base.metadata.tables if name != "metric")
    with shared_database.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
    return shared_database


class Material:
    """Three categories and everything that can be recorded about them."""

    categories = ("add", "copy", "reverse")
    counts: ClassVar = {"add": 30, "copy": 20, "reverse": 10}

    @staticmethod
    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def record(self, key: str, seconds: float = 1.5) -> TrainingRecord:
        return TrainingRecord(
            fingerprint=key,
            checkpoint=f"runs/{key[:8]}",
            steps=20,
            examples=60,
            tokens=4321,
            losses=((1, 2.3025850929940455), (10, 1e16), (20, 0.1 + 0.2), (21, -0.0), (22, 5e-324)),
            seen_sha256=self.digest("seen"),
            seconds=seconds,
            device="cpu",
            engine="torch",
            host="here",
            resumed_from_step=0,
            versions=(("torch", "2.13.0"), ("trl", "1.16.0")),
        )

    def scores(self, value: float = 1.0) -> tuple[Score, ...]:
        exact = [Score(c, EXACT_MATCH, 0.25 * i, 40) for i, c in enumerate(self.categories)]
        return (*exact, *[Score(c, LOSS, value + i, 50) for i, c in enumerate(self.categories)])

    def interventions(self) -> tuple[Intervention, ...]:
        full = tuple(sorted(self.counts.items()))
        without = [
            Intervention(f"without {c}", tuple((k, 0 if k == c else n) for k, n in full), (c,), Arm.SIZE_REDUCED)
            for c in self.categories
        ]
        return (Intervention(BASELINE, full), *without)

    def plan(self, seeds: tuple[int, ...] = (0, 1), salt: str = "") -> list[Planned]:
        return [
            Planned(i, seed, fingerprint([salt, i.name, seed]), f"{i.name}, seed {seed}", {"seed": seed})
            for i in self.interventions()
            for seed in seeds
        ]


@pytest.fixture(scope="session")
def material() -> Material:
    return Material()


@dataclass(frozen=True)
class Planted:
    """A planned experiment with 4 interventions × 2 seeds."""

    database: Database
    experiment_id: int
    snapshot_id: int
    plan: list[Planned]
    material: Material

    @property
    def fingerprints(self) -> list[str]:
        return [one.fingerprint for one in self.plan]

    def finish_all(self) -> None:
        with self.database.session() as session:
            for index, key in enumerate(self.fingerprints):
                runs.mark_running(session, key)
                runs.record_finished(session, key, self.material.record(key), self.material.scores(1 + 0.1 * index))


def _plant(database: Database, material: Material) -> Planted:
    with database.session() as session:
        snapshot = record_snapshot(session, "pool", material.digest("pool"), material.counts, "pools/pool.jsonl", 2)
        experiment = record_experiment(session, "first", {"lr": 1e-3}, material.digest("config"), snapshot.id)
        set_plan(session, experiment.id, Phase.MEASURE, material.plan())
        return Planted(database, experiment.id, snapshot.id, material.plan(), material)


@pytest.fixture
def planted(database: Database, material: Material) -> Planted:
    return _plant(database, material)


@pytest.fixture(scope="session")
def plant(
    empty_database: Callable[[str | None], str], migrated_template: str, material: Material
) -> Callable[[], AbstractContextManager[Planted]]:
    """Open a planned experiment in a database of its own."""

    @contextmanager
    def open_planted() -> Iterator[Planted]:
        opened = open_database(empty_database(migrated_template))
        yield _plant(opened, material)
        opened.close()

    return open_planted


@pytest.fixture(scope="module")
def standing(plant: Callable[[], AbstractContextManager[Planted]]) -> Iterator[Planted]:
    """A planned experiment that a module's tests share because they change nothing."""
    with plant() as planted:
        yield planted


@pytest.fixture
def analysis_id(planted: Planted) -> int:
    with planted.database.session() as session:
        made = record_analysis(
            session, planted.experiment_id, AnalysisKind.OPTIMIZE, {"fdr": 0.05}, planted.material.digest("inputs")
        )
        return made.id


@pytest.fixture(scope="module")
def standing_analysis(standing: Planted) -> int:
    with standing.database.session() as session:
        made = record_analysis(
            session, standing.experiment_id, AnalysisKind.OPTIMIZE, {"fdr": 0.05}, standing.material.digest("inputs")
        )
        return made.id
