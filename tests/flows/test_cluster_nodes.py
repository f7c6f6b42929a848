"""A Ray cluster of two nodes, one lost in mid-run; a driver without rights it does not need; names that attack.

One experiment serves all tests: its results go to a Postgres as the role of drivers, with a password in the address,
and its categories are named to break out of SQL, HTML and paths.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy.engine import make_url

from db.roles import WRITER, prepare_database
from infra.postgres import embedded_postgres
from tests.flows.command import BASELINE, Command, busy_workers, end_processes_of, small_experiment
from tests.flows.ray_nodes import RayNodes, ray_nodes

SQL, HTML, PLACE = "'; DROP TABLE run;--", "<script>alert(1)</script>", "../../x"
UNUSABLE = ("line\nbreak", "nul\x00byte", "right\u202eleft")
SEEDS = (1, 2)
RUNS = (1 + 3) * len(SEEDS)
PASSWORD = "hidden-word-of-the-writer"


def hostile_experiment(folder: Path) -> Path:
    """The small experiment, its categories renamed, with rows whose categories no pool may hold."""
    path = small_experiment(folder, validation=None, resources={})
    names = {"letters": SQL, "digits": HTML, "[/names]": PLACE}
    pool = folder / "pool.jsonl"
    rows = [json.loads(line) for line in pool.read_text().splitlines()]
    rows = [{**row, "category": names.get(row["category"], row["category"])} for row in rows]
    rows += [{"instruction": f"copy {i}", "output": str(i), "category": name} for i, name in enumerate(UNUSABLE)]
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = yaml.safe_load(path.read_text())
    shares = content["baseline"]["shares"]
    content["baseline"]["shares"] = {names.get(name, name): share for name, share in shares.items()}
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass(frozen=True)
class Ran:
    """What is left of the experiment.

    Attributes:
        lost: fingerprints of the runs on the lost node.
        before: finished when the node was lost: fingerprint → (seconds, attempts).
    """

    command: Command
    nodes: RayNodes
    folder: Path
    result: subprocess.CompletedProcess[str]
    overview: dict[str, Any]
    lost: set[str]
    before: dict[str, tuple[float, int]]
    database: str

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(self.overview["phases"]["measure"]["runs"])


@pytest.fixture(scope="module")
def ran() -> Iterator[Ran]:
    # Not pytest's folder: as root the embedded server runs as another user, who must be able to enter.
    folder = Path(tempfile.mkdtemp(prefix="beyond-iid-test-"))
    (folder / "ray").mkdir()
    command = Command(folder / "home")
    try:
        with (
            embedded_postgres(command.home, durable=False) as server,
            ray_nodes(folder / "ray", 1, 1) as nodes,
            pytest.MonkeyPatch.context() as patch,
        ):
            prepare_database(server.url, {})
            url = make_url(server.url).set(username=WRITER, password=PASSWORD).render_as_string(hide_password=False)
            for name, value in {**nodes.environment, "BEYOND_IID_DATABASE_URL": url}.items():
                patch.setenv(name, value)
            yield run_and_lose_a_node(command, nodes, folder, server.url)
    finally:
        end_processes_of(folder)
        shutil.rmtree(folder, ignore_errors=True)


def run_and_lose_a_node(command: Command, nodes: RayNodes, folder: Path, database: str) -> Ran:
    process = command.start("run", str(hostile_experiment(folder)))
    second = nodes.nodes[1].pid
    command.wait_for(lambda: command.finished() >= 2 and bool(busy_workers(second)), process)
    nodes.kill(1)
    rows = command.query("SELECT fingerprint, state, seconds, attempts FROM run")
    before = {key: (seconds, attempts) for key, state, seconds, attempts in rows if state == "finished"}
    out, err = process.communicate(timeout=300)
    result = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    assert result.returncode == 0, out + err
    again = {key for (key,) in command.query("SELECT fingerprint FROM run WHERE attempts > 1")}
    return Ran(command, nodes, folder, result, command.overview(), again, before, database)


def test_lost_nodes_runs_are_repeated_and_no_others(ran: Ran) -> None:
    assert ran.lost, "a run on the lost node was tried again"
    attempts = {run["fingerprint"]: run["attempts"] for run in ran.runs}
    assert sorted(attempts.values()) == [1] * (RUNS - len(ran.lost)) + [2] * len(ran.lost)
    assert len(ran.lost) == 1, "the node had one CPU, and so one run"


def test_every_score_is_there_once_after_a_lost_node(ran: Ran) -> None:
    measured = ran.overview["phases"]["measure"]
    assert measured["missing"] == []
    assert measured["states"]["finished"] == len(ran.runs) == len({run["fingerprint"] for run in ran.runs}) == RUNS
    keys = {(d["intervention"], d["seed"], d["category"], d["metric"]) for d in measured["deltas"]}
    assert len(keys) == len(measured["deltas"]) == 3 * len(SEEDS) * 3 * 2
    for run in ran.runs:
        if run["fingerprint"] in ran.before:
            assert (run["seconds"], run["attempts"]) == ran.before[run["fingerprint"]]


def test_report_is_made_after_a_lost_node(ran: Ran) -> None:
    report = ran.result.stdout.split("Report: ")[1].strip()
    assert Path(report).stat().st_size > 10_000


def test_only_the_head_is_left_and_it_asks_for_the_token(ran: Ran) -> None:
    script = (
        "import sys; from infra.ray_cluster import ray_cluster\n"
        "with ray_cluster(sys.argv[1]) as capacity: print(capacity.nodes)"
    )

    def connect(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, ran.nodes.address],
            env={"PATH": "/usr/bin:/bin", "HOME": str(ran.folder), **environment},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert connect(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=ran.nodes.token).stdout.strip() == "1"
    stranger = connect(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="another-token-of-some-length")
    assert stranger.returncode != 0
    assert "refuses the token" in stranger.stderr
    assert ran.nodes.token not in stranger.stderr


def test_hostile_names_are_stored_literally_and_nothing_was_dropped(ran: Ran) -> None:
    with psycopg.connect(ran.database.replace("+psycopg", "")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM category").fetchall()}
        assert {SQL, HTML, PLACE} <= names
        scored = connection.execute("SELECT category, count(*) FROM score GROUP BY category").fetchall()
    assert dict(scored) == dict.fromkeys((SQL, HTML, PLACE), RUNS * 2)
    assert {d["intervention"] for d in ran.overview["phases"]["measure"]["deltas"]} == {
        f"without {name} (size-reduced)" for name in (SQL, HTML, PLACE)
    }
    assert BASELINE in {run["intervention"] for run in ran.runs}


def test_unusable_names_are_rejected_with_a_reason(ran: Ran) -> None:
    (path,) = (ran.command.home / "artifacts" / "pools").glob("*/rejected.jsonl")
    reasons = [json.loads(line)["reason"] for line in path.read_text().splitlines()]
    assert len([reason for reason in reasons if "unusable name" in reason]) == len(UNUSABLE)


def test_hostile_names_never_become_paths(ran: Ran) -> None:
    written = [path.relative_to(ran.folder) for path in (ran.command.home / "artifacts").rglob("*")]
    written += [path.relative_to(ran.folder) for path in (ran.command.home / "reports").rglob("*")]
    assert len(written) > 20
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", part) for path in written for part in path.parts)
    assert not list(ran.folder.rglob("x"))


def test_hostile_names_are_escaped_in_the_report(ran: Ran) -> None:
    (report,) = (ran.command.home / "reports").glob("*.html")
    text = report.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_hostile_names_are_no_markup_in_the_users_interface(ran: Ran) -> None:
    with sqlite3.connect(ran.command.home / "prefect" / "prefect.db") as connection:
        texts = connection.execute("SELECT data, description FROM artifact WHERE type = 'markdown'").fetchall()
    assert texts
    # An image or script in Markdown would run in the browser of whoever looks.
    assert not [text for text in map(str, texts) if "<script>" in text]


def test_password_is_nowhere_in_logs_artifacts_records_and_output(ran: Ran) -> None:
    assert PASSWORD not in ran.result.stdout + ran.result.stderr
    searched = 0
    for path in ran.folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            searched += 1
            assert PASSWORD.encode() not in path.read_bytes(), path
    assert searched > 100, "state folder, Prefect's database, Ray's session and its logs"
