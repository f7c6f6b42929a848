"""What `beyond-iid metrics` serves over HTTP equals what SQL says of the same database."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows.experiment_lock import alone
from infra.postgres import running_url, stop
from tests.flows.planted_home import EXPERIMENT, GPU_RUN, SECONDS, PlantedHome, planted_home

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
FINISHED_SECONDS = "SELECT seconds FROM run WHERE state = 'finished'"


@pytest.fixture(scope="module")
def home() -> Iterator[PlantedHome]:
    with planted_home() as planted:
        yield planted


@pytest.fixture(scope="module")
def exporter(home: PlantedHome) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = home.command.start("metrics", "--port", "0")
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("Metrics: http://127.0.0.1:"), line
    yield line.split()[-1], process
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def samples(home: PlantedHome, exporter: tuple[str, object]) -> Samples:
    with alone(home.database, EXPERIMENT):  # as its driver does
        return scrape(exporter[0])


def scrape(address: str) -> Samples:
    with urllib.request.urlopen(address, timeout=30) as reply:
        text = reply.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def query(home: PlantedHome, sql: str) -> list[tuple[object, ...]]:
    url = running_url(home.home)
    assert url is not None
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return connection.execute(sql).fetchall()


def test_runs_by_state_equal_a_count_in_sql(home: PlantedHome, samples: Samples) -> None:
    counted = dict(query(home, "SELECT state, count(*) FROM run GROUP BY state"))
    assert counted == {"finished": 3, "running": 1, "failed": 2, "planned": 2}
    for state, number in counted.items():
        labels = (("experiment", EXPERIMENT), ("phase", "measure"), ("state", state))
        assert samples["beyond_iid_runs", labels] == number
    assert samples["beyond_iid_queue_length", ()] == counted["planned"]
    assert samples["beyond_iid_running_runs", ()] == counted["running"]


def test_run_counts_as_running_only_while_something_works_on_its_experiment(
    home: PlantedHome, exporter: tuple[str, object]
) -> None:
    def shown() -> tuple[float, ...]:
        found = scrape(exporter[0])
        labels = [(("experiment", EXPERIMENT), ("phase", "measure"), ("state", s)) for s in ("running", "abandoned")]
        by_experiment = tuple(found["beyond_iid_runs", one] for one in labels)
        return (*by_experiment, found["beyond_iid_running_runs", ()], found["beyond_iid_abandoned_runs", ()])

    with alone(home.database, EXPERIMENT):
        assert shown() == (1, 0, 1, 0)
    assert shown() == (0, 1, 0, 1), "its driver was killed"
    with alone(home.database, "other"):  # shares a finished run only
        assert shown() == (0, 1, 0, 1)


def test_run_shared_by_two_experiments_counts_in_each_and_once_in_all(samples: Samples) -> None:
    labels = (("experiment", "other"), ("phase", "measure"), ("state", "finished"))
    assert samples["beyond_iid_runs", labels] == 1
    assert samples["beyond_iid_run_training_seconds_count", ()] == 3


def test_sums_equal_those_in_sql(home: PlantedHome, samples: Samples) -> None:
    ((attempts, retries, tokens, training, evaluation),) = query(
        home,
        "SELECT sum(attempts), sum(attempts - 1) FILTER (WHERE attempts > 1), sum(tokens), sum(seconds), "
        "sum(evaluation_seconds) FROM run",
    )
    assert (attempts, retries) == (8, 2)
    assert samples["beyond_iid_attempts_total", ()] == attempts
    assert samples["beyond_iid_retries_total", ()] == retries
    assert samples["beyond_iid_tokens_total", ()] == tokens
    assert samples["beyond_iid_training_seconds_total", ()] == training
    assert samples["beyond_iid_evaluation_seconds_total", ()] == evaluation
    assert samples["beyond_iid_gpu_seconds_total", ()] == 2 * (SECONDS[GPU_RUN] + 0.5), "two workers"


def test_histogram_counts_the_runs_up_to_and_with_each_bound(home: PlantedHome, samples: Samples) -> None:
    values = [float(value) for (value,) in query(home, FINISHED_SECONDS)]
    name = "beyond_iid_run_training_seconds"
    buckets = {labels[0][1]: value for (key, labels), value in samples.items() if key == f"{name}_bucket"}
    assert len(buckets) > 5
    for bound, number in buckets.items():
        assert number == sum(value <= float(bound) for value in values), bound
    assert samples[f"{name}_sum", ()] == sum(values)


def test_failures_are_told_apart_by_the_class_of_their_error(samples: Samples) -> None:
    reasons = {labels[0][1]: value for (name, labels), value in samples.items() if name == "beyond_iid_failed_runs"}
    assert reasons == {"OutOfMemoryError": 1, "unknown": 1}


def test_taken_port_is_said_with_exit_code_2(home: PlantedHome) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = home.command.run("metrics", "--port", str(port), timeout=60)
    assert refused.returncode == 2
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "BEYOND_IID_METRICS_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_lost_database_is_reported_and_does_not_end_the_exporter(
    home: PlantedHome, exporter: tuple[str, subprocess.Popen[str]], samples: Samples
) -> None:
    assert samples["beyond_iid_database_up", ()] == 1
    stop(home.home)
    lost = scrape(exporter[0])
    assert lost == {("beyond_iid_database_up", ()): 0}
    process = exporter[1]
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
