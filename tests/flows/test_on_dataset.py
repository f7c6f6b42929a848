"""Deployments on a real Prefect server with a worker: what starts by itself, once, and forgets nothing.

The tests share one server, one worker, one Postgres and one experiment that was started through its deployment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from db.session import open_database
from flows.experiment_lock import alone
from infra.postgres import embedded_postgres, running_url
from infra.prefect_server import prefect_api
from tests.flows.command import Command, end_processes_of

SEEDS = (1, 2)
BASE = ("letters", "digits")
QUIET = 20
"""Seconds; twice what the five landings of a burst take on a busy machine."""


def write_rows(path: Path, categories: tuple[str, ...], salt: int) -> Path:
    """Copying tasks over one alphabet, so that new categories bring the tokenizer no new characters."""
    with path.open("w") as rows:
        for k, category in enumerate(categories):
            for n in range(24):
                word = "".join("abcdefgh"[(n * 7 + salt * 31 + k * 13 + j * (n + salt + 1)) % 8] for j in range(5))
                word += "".join("abcdefgh"[(int(d))] for d in f"{n:02o}{salt % 8}{k % 8}")
                rows.write(json.dumps({"instruction": f"copy {word}", "output": word, "category": category}) + "\n")
    return path


def experiment_file(folder: Path, name: str) -> Path:
    content = {
        "name": name,
        "pool": {"kind": "landed", "dataset": "words"},
        "held_out": {"measure_per_category": 4, "validate_per_category": 4},
        "baseline": {"total": 20, "shares": {"letters": 0.6, "digits": 0.4}},
        "design": {"arm": "size-reduced", "seeds": list(SEEDS), "addition": 0.2},
        "recipe": {
            "model": {"kind": "tiny", "layers": 1, "width": 16, "heads": 2},
            "engine": "torch",
            "epochs": 1,
            "batch_size": 4,
            "max_length": 64,
        },
        "analysis": {"schedule": "tilted", "max_shift": 0.1},
        "validation": {"seeds": [11, 12], "arms": ["uniform"]},
        # A second worker would import torch and all for longer than these runs take.
        "resources": {"max_parallel": 1},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass
class Site:
    """A state folder with a Postgres, a Prefect server, a worker and its deployments."""

    command: Command
    folder: Path

    def api(self) -> str:
        return str(json.loads((self.command.home / "prefect" / "server.json").read_text())["url"])

    @contextmanager
    def client(self) -> Iterator[Any]:
        with temporary_settings({PREFECT_API_URL: self.api()}), get_client(sync_client=True) as client:
            yield client

    def runs(self, flow: str) -> list[FlowRun]:
        """Runs of a flow that are no part of another's, oldest first; later scheduled ones left out."""
        with self.client() as client:
            found = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])), limit=200)
        mine = [run for run in found if run.parent_task_run_id is None and not run.state.is_scheduled()]
        return sorted(mine, key=lambda run: run.start_time or run.created)

    def start(self, deployment: str, **parameters: Any) -> UUID:
        with self.client() as client:
            known = client.read_deployment_by_name(deployment)
            return UUID(str(client.create_flow_run_from_deployment(known.id, parameters=parameters).id))

    def state(self, run: UUID) -> str:
        with self.client() as client:
            return str(client.read_flow_run(run).state.type.value)

    def wait(self, condition: Callable[[], Any], seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "did not get there in time"
            time.sleep(0.5)

    def completed(self, run: UUID) -> bool:
        state = self.state(run)
        worker = (self.command.home / "worker.log").read_text()[-3000:]
        assert state not in ("FAILED", "CRASHED", "CANCELLED"), f"{state}; the worker's log ends with:\n{worker}"
        return state == "COMPLETED"

    def land(self, dataset: str, *categories: str, salt: int) -> str:
        file = write_rows(self.folder / f"{dataset}{salt}.jsonl", categories, salt)
        done = self.command.run("land", str(file), "--dataset", dataset)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def trained(self) -> dict[str, str]:
        """When each measured run was recorded, by intervention and seed."""
        rows = self.command.query(
            "SELECT DISTINCT i.name || ' ' || p.seed, r.fingerprint || ' ' || r.finished::text FROM intervention i "
            "JOIN planned_run p ON p.intervention_id = i.id JOIN run r ON r.id = p.run_id "
            "WHERE i.phase = 'measure' AND r.state = 'finished'"
        )
        return {str(name): str(when) for name, when in rows}

    def open_events(self) -> int:
        return int(self.command.query("SELECT count(*) FROM dataset_event WHERE processed IS NULL")[0][0])


def end(pid: int) -> None:
    """Kill a process and all that it started."""
    top = psutil.Process(pid)
    for process in (*top.children(recursive=True), top):
        process.kill()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="beyond-iid-test-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.callback(end_processes_of, home)
        stack.enter_context(embedded_postgres(home))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("BEYOND_IID_HOME", str(home))
        patch.setenv("PREFECT_HOME", str(home / "prefect"))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        url = stack.enter_context(prefect_api(home))
        patch.setenv("PREFECT_API_URL", url)
        made = Site(Command(home), tmp_path_factory.mktemp("data"))
        made.land("words", *BASE, salt=0)
        deployed = made.command.run(
            "deploy", "--experiment", str(experiment_file(made.folder, "watched")), "--quiet", str(QUIET)
        )
        assert deployed.returncode == 0, deployed.stderr
        worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "beyond-iid", "--name", home.name],
            env={**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_LEVEL": "WARNING"},
            stdout=(home / "worker.log").open("w"),
            stderr=subprocess.STDOUT,
        )
        stack.callback(end, worker.pid)
        yield made


@pytest.fixture(scope="module")
def measured(site: Site) -> UUID:
    """The flow run that measured the experiment, started through its deployment."""
    with site.client() as client:
        config = client.read_deployment_by_name("experiment/watched").parameters["config"]
    run = site.start("measure/measure", config=config)
    site.wait(lambda: site.completed(run))
    return run


def registered(site: Site) -> dict[str, Any]:
    """Everything on the server that deploying may touch, with ids and times of change."""
    with site.client() as client:
        deployments = client.read_deployments()
        automations = client.read_automations()
        pools = client.read_work_pools()
    return {
        "deployments": {d.name: (d.id, d.updated, d.version, sorted(s.id for s in d.schedules)) for d in deployments},
        "automations": sorted((a.name, a.id, a.model_dump_json()) for a in automations),
        "pools": sorted((p.name, p.id) for p in pools),
    }


def test_deploying_again_changes_nothing(site: Site) -> None:
    before = registered(site)
    assert {"experiment", "measure", "optimize", "validate", "rerun", "on-dataset", "watch-folder", "watched"} == set(
        before["deployments"]
    )
    assert len(before["automations"]) == 3
    again = site.command.run("deploy", "--experiment", str(site.folder / "watched.yaml"), "--quiet", str(QUIET))
    assert again.returncode == 0, again.stderr
    outcomes = {line.split()[0] for line in again.stdout.splitlines()[:-1]}
    assert outcomes == {"unchanged"}, again.stdout
    assert registered(site) == before


def test_optimize_and_validate_follow_when_all_scores_are_in(site: Site, measured: UUID) -> None:
    assert site.completed(measured)
    for flow in ("optimize", "validate"):
        site.wait(lambda flow=flow: any(run.state.is_final() for run in site.runs(flow)))
        (run,) = site.runs(flow)
        assert run.state.is_completed(), run.state.message
        assert run.parameters == {"name": "watched"}
    assert site.command.query("SELECT count(*) FROM analysis WHERE kind = 'validate'") == [(1,)]


def test_same_experiment_waits_and_another_does_not(site: Site, measured: UUID) -> None:
    database = open_database(str(running_url(site.command.home)))
    try:
        with temporary_settings({PREFECT_API_URL: site.api()}), alone(database, "watched"):
            waits = site.start("optimize/optimize", name="watched")
            goes = site.start("optimize/optimize", name="unknown")
            site.wait(lambda: site.state(goes) == "FAILED")
            site.wait(lambda: site.state(waits) == "RUNNING")
            time.sleep(2)
            with site.client() as client:
                assert not [task for task in client.read_task_runs() if task.flow_run_id == waits]
        site.wait(lambda: site.completed(waits))
    finally:
        database.close()


def test_burst_starts_one_rerun_and_what_lands_meanwhile_one_more(site: Site, measured: UUID) -> None:
    before, answered = site.trained(), len(site.runs("on-dataset"))
    # One process each, as five people would, but started together: a command takes a second or two to start.
    files = [write_rows(site.folder / f"burst{k}.jsonl", (f"new{k}",), salt=k) for k in range(1, 6)]
    landings = [site.command.start("land", str(file), "--dataset", "words") for file in files]
    for process in landings:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "Announced" in out
    site.wait(lambda: len(site.runs("on-dataset")) > answered)
    (first,) = site.runs("on-dataset")[answered:]
    site.wait(lambda: len(site.trained()) > len(before))
    site.land("words", "new6", salt=6)
    site.wait(lambda: site.open_events() == 0)
    runs = site.runs("on-dataset")[answered:]
    assert len(runs) == 2
    site.wait(lambda: all(run.state.is_final() for run in site.runs("on-dataset")))
    assert all(run.state.is_completed() for run in site.runs("on-dataset"))
    assert runs[0].id == first.id
    assert runs[1].start_time > site.runs("on-dataset")[answered].end_time, "one after the other"
    after = site.trained()
    assert {name: after[name] for name in before} == before, "nothing is trained again"
    new = {f"with new{k} (size-reduced) {seed}" for k in range(1, 7) for seed in SEEDS}
    assert set(after) - set(before) == new


def test_landing_just_before_the_server_dies_is_found_by_the_sweep(
    site: Site, measured: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.trained()
    site.land("words", "late", salt=7)
    end(json.loads((site.command.home / "prefect" / "server.json").read_text())["pid"])
    assert site.open_events() == 1
    monkeypatch.delenv("PREFECT_API_URL")
    with prefect_api(site.command.home) as url:
        # What the schedule starts every hour; the worker of the other tests still looks for the dead server.
        swept = subprocess.run(
            [sys.executable, "-c", "from flows.on_dataset import on_dataset; on_dataset()"],
            env={**os.environ, "PREFECT_API_URL": url},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert swept.returncode == 0, swept.stderr
    assert site.open_events() == 0
    assert set(site.trained()) - set(before) == {f"with late (size-reduced) {seed}" for seed in SEEDS}
