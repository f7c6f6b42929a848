"""A workspace with a real database and run folders as workers leave them: scored runs without any training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter
from sqlalchemy import text

from db.base import AnalysisKind, Base, Phase
from db.experiments import record_analysis, record_experiment
from db.interventions import Planned, set_plan
from db.pools import record_snapshot
from db.session import Database, open_database
from flows.retention import store_scores
from flows.workspace import Workspace
from infra.postgres import embedded_postgres
from infra.ray_cluster import ClusterCapacity
from tasks.benchmarks.run import LOCK_NAME, TRAINING_FOLDER, RunRecord
from tasks.benchmarks.scores import LOSS, Score
from tasks.finetune.spec import TrainingRecord
from tasks.finetune.spec_file import RECORD_NAME, write_json
from tasks.fingerprint import fingerprint
from tasks.interventions.intervention import Intervention

COUNTS = {"add": 30, "copy": 10}
ARMS = ("baseline", "proposal", "curriculum")
SEEDS = (11, 12)


def digest(text_: str) -> str:
    return hashlib.sha256(text_.encode()).hexdigest()


@contextmanager
def results_database() -> Iterator[Database]:
    """One real server for a test module."""
    # Not pytest's folder: as root the server runs as another user, who must be able to enter.
    with TemporaryDirectory(prefix="pg-") as home, embedded_postgres(Path(home), durable=False) as server:
        opened = open_database(server.url)
        yield opened
        opened.close()


def emptied(database: Database) -> Database:
    """Without rows, as only a superuser can empty it."""
    tables = ", ".join(f'"{name}"' for name in Base.metadata.tables if name != "metric")
    with database.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
    return database


@dataclass(frozen=True)
class Store:
    """Experiments in the database and their runs on disk."""

    database: Database
    folder: Path

    @property
    def workspace(self) -> Workspace:
        def no_cluster() -> ClusterCapacity:
            raise AssertionError("housekeeping needs no cluster")

        return Workspace(self.database, self.folder / "artifacts", self.folder / "reports", no_cluster)

    @property
    def runs(self) -> Path:
        return self.folder / "artifacts" / "runs"

    def plan(
        self,
        name: str,
        keep: str,
        arms: Sequence[str] = ARMS,
        phase: Phase = Phase.VALIDATE,
        salt: str = "",
        inputs: str = "scores",
    ) -> dict[tuple[str, int], str]:
        """Plan arms × seeds of an experiment; (arm, seed) → fingerprint."""
        store = self.folder / "artifacts"
        keys = {(arm, seed): fingerprint([salt, arm, seed]) for arm in arms for seed in SEEDS}
        with self.database.session() as session:
            snapshot = record_snapshot(session, "pool", digest("pool"), COUNTS, str(store / "pools" / ("a" * 16)), 0)
            config = {"resources": {"keep": keep}, "analysis": {"metric": "loss"}}
            experiment = record_experiment(session, name, config, digest(name), snapshot.id)
            analysis = None
            if phase is Phase.VALIDATE:
                analysis = record_analysis(session, experiment.id, AnalysisKind.OPTIMIZE, {}, digest(inputs)).id
            planned = [
                Planned(
                    Intervention(arm, tuple(sorted(COUNTS.items()))),
                    seed,
                    key,
                    f"{arm}, seed {seed}",
                    {
                        "train_data": str(store / "pools" / ("a" * 16) / "train.jsonl"),
                        "held_out": str(store / "pools" / ("a" * 16) / "validate.jsonl"),
                        "base_model": str(store / "bases" / digest("base")),
                    },
                )
                for (arm, seed), key in keys.items()
            ]
            set_plan(session, experiment.id, phase, planned, analysis)
        return keys

    def leave(self, key: str, losses: Mapping[str, float]) -> Path:
        """What a worker leaves of a scored run: weights, record, lock."""
        folder = self.runs / key
        model = folder / TRAINING_FOLDER / "model"
        model.mkdir(parents=True)
        (model / "model.safetensors").write_bytes(b"w" * 5000)
        training = TrainingRecord(
            key, str(model), 3, 12, 60, ((3, 1.0),), digest("seen"), 1.0, "cpu", "torch", "here", 0, ()
        )
        write_json(
            folder / TRAINING_FOLDER / RECORD_NAME, TypeAdapter(TrainingRecord).dump_python(training, mode="json")
        )
        scores = tuple(Score(category, LOSS, value, 8) for category, value in losses.items())
        record = RunRecord(training, scores, 0.5)
        write_json(folder / RECORD_NAME, TypeAdapter(RunRecord).dump_python(record, mode="json"))
        (folder / LOCK_NAME).touch()
        return folder

    def score(self, key: str, losses: Mapping[str, float]) -> None:
        """A run from its worker into the database."""
        folder = self.leave(key, losses)
        assert store_scores(self.database, key, folder) is not None

    def weights(self) -> set[str]:
        """Fingerprints whose weights are on disk."""
        return {path.parts[-4] for path in self.runs.glob("*/training/model/model.safetensors")}

    def named(self) -> set[str]:
        """Fingerprints whose row names weights."""
        with self.database.session() as session:
            return set(session.scalars(text("SELECT fingerprint FROM run WHERE checkpoint <> ''")))
