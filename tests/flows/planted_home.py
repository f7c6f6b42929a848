"""A state folder whose database holds an experiment in the middle of its work: every state, without any training."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from db import runs
from db.base import Phase
from db.experiments import record_experiment
from db.interventions import Planned, set_plan
from db.pools import record_snapshot
from db.session import Database, open_database
from infra.postgres import embedded_postgres
from tasks.benchmarks.scores import HELD_OUT_METRICS, Score
from tasks.finetune.spec import TrainingRecord
from tasks.fingerprint import fingerprint
from tasks.interventions.intervention import BASELINE, Arm, Intervention
from tests.flows.command import Command

EXPERIMENT = "half [bold]done[/]"
"""A name that a terminal, a label of a metric and a page must show as it is."""
CATEGORIES = ("add", "copy", "reverse")
SECONDS = (2.0, 10.0, 40.0)
"""Training of the finished runs; the second is exactly a bucket's upper end."""
GPU_RUN = 2
"""Which of them was trained on two GPUs' workers."""


@dataclass(frozen=True)
class PlantedHome:
    """The folder, its database, and the names of its runs by state."""

    home: Path
    database: Database
    finished: tuple[str, ...]
    running: str
    failed: tuple[str, ...]
    planned: tuple[str, ...]

    @property
    def command(self) -> Command:
        return Command(self.home)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plan() -> list[Planned]:
    full = dict.fromkeys(CATEGORIES, 10)
    sets = [Intervention(BASELINE, tuple(full.items()))]
    sets += [Intervention(f"without {c}", tuple({**full, c: 0}.items()), (c,), Arm.SIZE_REDUCED) for c in CATEGORIES]
    return [
        Planned(one, seed, fingerprint([one.name, seed]), f"{one.name}, seed {seed}", {"workers": 2})
        for seed in (1, 2)
        for one in sets
    ]


@contextmanager
def planted_home() -> Iterator[PlantedHome]:
    """Eight planned runs: three finished, one running, two failed, two not started; another experiment shares one."""
    # Not pytest's folder: as root the embedded server runs as another user, who must be able to enter.
    home = Path(tempfile.mkdtemp(prefix="beyond-iid-test-"))
    try:
        with embedded_postgres(home, durable=False) as server:
            database = open_database(server.url)
            try:
                yield _plant(home, database)
            finally:
                database.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _plant(home: Path, database: Database) -> PlantedHome:
    planned = plan()
    names = [one.name for one in planned]
    with database.session() as session:
        pool = record_snapshot(session, "pool", digest("pool"), dict.fromkeys(CATEGORIES, 20), "pool.jsonl", 0)
        other = record_experiment(session, "other", {}, digest("other"), pool.id)
        set_plan(session, other.id, Phase.MEASURE, planned[:1])
        former = record_experiment(session, EXPERIMENT, {}, digest("former"), pool.id)
        set_plan(session, former.id, Phase.MEASURE, planned)
        current = record_experiment(session, EXPERIMENT, {"validation": None}, digest("current"), pool.id)
        set_plan(session, current.id, Phase.MEASURE, planned)
        for number, seconds in enumerate(SECONDS):
            _finish(session, planned[number].fingerprint, seconds, "NVIDIA H200" if number == GPU_RUN else "cpu")
        for key, attempts, error in (
            (planned[4].fingerprint, 3, "OutOfMemoryError: the GPU's memory is full"),
            (planned[5].fingerprint, 1, 'no class in it {"a": [red]}'),
        ):
            for _ in range(attempts):
                runs.mark_running(session, key)
            runs.mark_failed(session, key, error)
        runs.mark_running(session, planned[3].fingerprint)
    folder = home / "artifacts" / "runs" / planned[3].fingerprint
    folder.mkdir(parents=True)
    progress = {"stage": "training", "step": 30, "steps": 45, "loss": 1.2345, "host": "node-7", "pid": 4711}
    (folder / "progress.json").write_text(
        json.dumps({**progress, "gpus": ["3: NVIDIA H200"], "peak_gpu_bytes": 5 * 1024**3})
    )
    return PlantedHome(home, database, tuple(names[:3]), names[3], tuple(names[4:6]), tuple(names[6:]))


def _finish(session: Session, key: str, seconds: float, device: str) -> None:
    record = TrainingRecord(
        fingerprint=key,
        checkpoint="",
        steps=20,
        examples=60,
        tokens=int(1000 * seconds),
        losses=((20, 0.5),),
        seen_sha256=digest("seen"),
        seconds=seconds,
        device=device,
        engine="torch",
        host="here",
        resumed_from_step=0,
        versions=(("torch", "2.13.0"),),
    )
    scores = [Score(category, metric.name, 0.5, 20) for category in CATEGORIES for metric in HELD_OUT_METRICS]
    runs.mark_running(session, key)
    runs.record_finished(session, key, record, scores, 0.5)
