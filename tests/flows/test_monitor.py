"""A small experiment watched while it runs: artifacts and logs on the Prefect server, terminal, metrics; a hung worker.

One run of one experiment for all of it. A worker is stopped (SIGSTOP), which is how a hanging one looks from outside.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterTaskRunId
from prefect.settings import PREFECT_API_URL, temporary_settings

from infra.prefect_server import prefect_api
from tests.flows.command import CATEGORIES, NAME, SEEDS, Command, end_processes_of, small_experiment

RUNS = (1 + len(CATEGORIES)) * len(SEEDS)
LIMIT_MINUTES = 0.6
"""Longer than a worker takes to load its packages on a busy machine."""


@dataclass
class Watched:
    """What was seen of the experiment; `during` while a worker was stopped, the rest at the end."""

    command: Command
    killed: str = ""
    stopped: str = ""
    worker: psutil.Process | None = None
    during: dict[str, Any] = field(default_factory=dict)
    shown: str = ""
    metrics: str = ""
    at_status: dict[str, int] = field(default_factory=dict)
    at_metrics: dict[str, int] = field(default_factory=dict)
    output: str = ""
    artifacts: dict[str, list[Any]] = field(default_factory=dict)
    logs: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    deltas: dict[tuple[str, str], float] = field(default_factory=dict)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = Path(tempfile.mkdtemp(prefix="beyond-iid-test-"))
    resources = {"run_timeout_minutes": LIMIT_MINUTES, "price_per_hour": 3600, "retries": 4}
    experiment = small_experiment(tmp_path_factory.mktemp("small"), validation=None, resources=resources)
    seen = Watched(Command(home))
    try:
        # Held open here, so that the server outlives its driver.
        with prefect_api(home) as url, temporary_settings({PREFECT_API_URL: url}):
            driver = seen.command.start("run", str(experiment))
            try:
                watch_while_a_worker_hangs(seen, driver)
                out, err = driver.communicate(timeout=240)
                assert driver.returncode == 0, out + err
                seen.output = out + err
                with get_client(sync_client=True) as client:
                    collect_from_prefect(seen, client)
            finally:
                driver.kill()
        overview = seen.command.overview()["phases"]["measure"]
        seen.rows = [(run["intervention"], run["seed"], run["attempts"], run["state"]) for run in overview["runs"]]
        for category in CATEGORIES:
            for source in CATEGORIES:
                values = [
                    one["delta"]
                    for one in overview["deltas"]
                    if one["metric"] == "loss"
                    and one["category"] == category
                    and f"without {source} " in one["intervention"]
                ]
                seen.deltas[category, source] = sum(values) / len(values)
        yield seen
    finally:
        end_processes_of(home)
        shutil.rmtree(home, ignore_errors=True)


def watch_while_a_worker_hangs(seen: Watched, driver: subprocess.Popen[str]) -> None:
    command = seen.command
    command.wait_for(lambda: bool(training(command)), driver)
    killed, worker = next(iter(training(command).items()))
    worker.kill()
    command.wait_for(lambda: command.finished() >= RUNS - 3 and bool(training(command, but=killed)), driver)
    stopped, worker = next(iter(training(command, but=killed).items()))
    worker.send_signal(signal.SIGSTOP)
    seen.worker = worker
    seen.killed, seen.stopped = (names(command)[fingerprint] for fingerprint in (killed, stopped))
    with get_client(sync_client=True) as client:
        command.wait_for(lambda: stopped_is_shown(seen, client), driver, 60)
        seen.during = latest_artifacts(client)
    seen.shown, seen.at_status = unchanged(command, lambda: command.run("status", NAME).stdout)
    exporter = command.start("metrics", "--port", "0")
    try:
        assert exporter.stderr is not None
        address = exporter.stderr.readline().split()[-1]
        seen.metrics, seen.at_metrics = unchanged(command, lambda: scraped(address))
    finally:
        exporter.send_signal(signal.SIGINT)
        exporter.communicate(timeout=60)
    assert exporter.returncode == 0


def unchanged(command: Command, look: Callable[[], str]) -> tuple[str, dict[str, int]]:
    """What was seen while the database's counts stayed the same, and the counts."""
    for _ in range(10):
        before = states(command)
        seen = look()
        if before and before == states(command):
            return seen, before
    raise AssertionError("the runs' states changed during every look")


def scraped(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as reply:
        return str(reply.read().decode())


def training(command: Command, but: str = "") -> dict[str, psutil.Process]:
    """Processes in the middle of a training, by the run's fingerprint, as their progress files say."""
    found = {}
    for path in (command.home / "artifacts" / "runs").glob("*/progress.json"):
        try:
            progress = json.loads(path.read_text())
            sealed = (path.parent / "record.json").exists()
            if progress["stage"] == "training" and not sealed and path.parent.name != but:
                found[path.parent.name] = psutil.Process(progress["pid"])
        except (OSError, ValueError, psutil.Error):
            continue
    return found


def names(command: Command) -> dict[str, str]:
    return dict(command.query("SELECT fingerprint, name FROM run"))


def states(command: Command) -> dict[str, int]:
    return dict(command.query("SELECT state, count(*) FROM run GROUP BY state"))


def stopped_is_shown(seen: Watched, client: SyncPrefectClient) -> bool:
    """The table shows the stopped run, and every other run that can be done beside it has been."""
    rows = latest_artifacts(client).get(f"{KEY}-runs", [])
    others_done = seen.command.finished() == RUNS - 1
    return others_done and any(row["run"] == seen.stopped and row["state"] == "running" for row in rows)


KEY = "measure-small-v1-0"


def latest_artifacts(client: SyncPrefectClient) -> dict[str, Any]:
    return {one.key: content(one) for one in client.read_artifacts()}


def content(artifact: Any) -> Any:
    if artifact.type != "table":
        return artifact.data
    return [{name: shown(cell) for name, cell in row.items()} for row in json.loads(artifact.data)]


def shown(markdown: str) -> str:
    """What a browser shows of escaped text."""
    return html.unescape(re.sub(r"\\(.)", r"\1", markdown))


def collect_from_prefect(seen: Watched, client: SyncPrefectClient) -> None:
    for artifact in client.read_artifacts():
        seen.artifacts.setdefault(artifact.key, []).append(artifact)
    for task_run in client.read_task_runs():
        lines = client.read_logs(LogFilter(task_run_id=LogFilterTaskRunId(any_=[task_run.id])), limit=200)
        if task_run.name.endswith(tuple(f"seed {seed}" for seed in SEEDS)):
            seen.logs[task_run.name] = [(line.level, line.message) for line in lines]


def test_hung_worker_is_cut_and_its_run_is_done_by_another(watched: Watched) -> None:
    assert {state for *_, state in watched.rows} == {"finished"}
    assert len(watched.rows) == RUNS
    attempts = {f"{name}, seed {seed}": attempts for name, seed, attempts, _ in watched.rows}
    assert attempts[watched.stopped] >= 2
    assert f": {RUNS} runs trained, 0 reused" in watched.output
    said = "\n".join(text for _, text in watched.logs[watched.stopped])
    assert f"cut after {LIMIT_MINUTES} minutes (resources.run_timeout_minutes)" in said


def test_killed_worker_is_explained_in_the_log_of_its_run(watched: Watched) -> None:
    said = "\n".join(text for _, text in watched.logs[watched.killed])
    assert "WorkerDiedError" in said
    assert "killed or crashed" in said
    assert "resources.max_parallel" in said


def test_table_shows_the_running_run_with_worker_step_loss_and_cost(watched: Watched) -> None:
    (row,) = [row for row in watched.during[f"{KEY}-runs"] if row["run"] == watched.stopped]
    assert re.fullmatch(r"\S+, pid \d+", row["worker"])
    assert re.fullmatch(r"\d+ of \d+", row["step"])
    assert float(row["loss"]) > 0
    # one CPU at 3600 an hour costs 1 a second
    seconds, cost = float(row["seconds"]), re.fullmatch(r"(\d+) CPU-s, ([\d.]+)", row["cost"])
    assert cost and abs(float(cost[1]) - seconds) <= 1 and abs(float(cost[2]) - seconds) <= 1


def test_artifacts_are_made_once_and_updated_in_place(watched: Watched) -> None:
    wanted = {f"{KEY}-progress", f"{KEY}-runs", f"{KEY}-effects", "small-v1-0-report"}
    assert wanted <= set(watched.artifacts)
    assert all(len(watched.artifacts[key]) == 1 for key in wanted)
    rows = content(watched.artifacts[f"{KEY}-runs"][0])
    assert [row["state"] for row in rows] == ["finished"] * RUNS, "the last ten hold all of this small plan"
    assert float(watched.artifacts[f"{KEY}-progress"][0].data) == 100
    assert f"{RUNS} of {RUNS} runs finished" in watched.artifacts[f"{KEY}-runs"][0].description
    retried = [row["run"] for row in rows if row.get("note", "").startswith("attempt ")]
    assert {watched.killed, watched.stopped} <= set(retried)
    assert all("GPU" not in row for row in rows), "columns without content are left out"


def test_effects_artifact_holds_the_mean_differences_of_the_database(watched: Watched) -> None:
    text = watched.artifacts[f"{KEY}-effects"][0].data
    section = text.split("### size")[1].split("###")[0]
    assert "loss (nats per token)" in section
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    order = sorted(CATEGORIES)
    for line, category in zip(lines[2:], order, strict=True):
        for cell, source in zip(line[1:], order, strict=True):
            found = re.search(r"([+\-−][\d.]+) ± ([\d.]+)", cell)
            assert found, cell
            assert abs(float(found[1]) - watched.deltas[category, source]) <= 0.0005001
            assert float(found[2]) > 0


def test_logs_of_the_workers_are_in_the_logs_of_their_task_runs(watched: Watched) -> None:
    assert len(watched.logs) == RUNS
    for name, lines in watched.logs.items():
        said = "\n".join(text for _, text in lines)
        assert f"{name} starts on " in said
        assert re.search(r"step \d+ of \d+, loss \d", said)
        assert re.search(r"trained in [\d.]+ s, scored in [\d.]+ s: ", said)


def test_status_shows_the_counts_of_the_database_and_the_run_that_is_left(watched: Watched) -> None:
    counts = [str(watched.at_status.get(state, 0)) for state in ("finished", "running", "failed", "planned")]
    (line,) = [line.split() for line in watched.shown.splitlines() if line.startswith("measure ")]
    assert line == ["measure", *counts, str(RUNS)]
    assert (watched.stopped in watched.shown) == (watched.at_status["finished"] < RUNS)


def test_metrics_equal_the_counts_of_the_database(watched: Watched) -> None:
    nothing = dict.fromkeys(("finished", "running", "failed", "planned"), 0)
    for state, number in {**nothing, **watched.at_metrics}.items():
        assert f'beyond_iid_runs{{experiment="{NAME}",phase="measure",state="{state}"}} {number:.1f}' in watched.metrics
    assert f"beyond_iid_run_tokens_count {watched.at_metrics['finished']:.1f}" in watched.metrics


def test_no_stopped_worker_is_left_behind(watched: Watched) -> None:
    assert watched.worker is not None
    assert not watched.worker.is_running()
