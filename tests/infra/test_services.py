"""The local services, for real: started once for all tests here, crashed one by one, stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from infra.errors import ConfigurationError
from infra.postgres import running_url
from infra.service_processes import MARK
from infra.services import ServiceState, down, driver_environment, services, up
from infra.services_record import ServicesFolder

SECRETS = {"PREFECT_API_KEY": "hidden-word-1", "PGPASSWORD": "hidden-word-2"}
USUAL_PREFECT_PORT = 4200
RAY_TASK = """
import json, os, sys
from pathlib import Path
from infra.ray_cluster import ray_cluster
from infra.services import use_services
use_services(Path(sys.argv[1]))
with ray_cluster(os.environ["BEYOND_IID_RAY_ADDRESS"]):
    import ray
    @ray.remote
    def seen():
        import flows
        return dict(os.environ)
    print(json.dumps(ray.get(seen.remote())))
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose services are up, with the usual Prefect port taken by somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="beyond-iid-up-"))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as taken:
        for name in ("PREFECT_API_URL", "BEYOND_IID_RAY_ADDRESS", "BEYOND_IID_DATABASE_URL"):
            patch.delenv(name, raising=False)
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        blocker = taken.enter_context(socket.socket())
        try:
            blocker.bind(("127.0.0.1", USUAL_PREFECT_PORT))
            blocker.listen()
        except OSError:
            pass  # taken already, which serves as well
        try:
            with ThreadPoolExecutor(2) as threads:  # two people at once
                first, second = threads.map(up, [folder, folder])
            assert [one.pid for one in first] == [one.pid for one in second]
            yield folder
        finally:
            down(folder)
            shutil.rmtree(folder, ignore_errors=True)


def by_name(home: Path) -> dict[str, ServiceState]:
    return {one.name: one for one in services(home)}


def process_of(home: Path, name: str) -> psutil.Process:
    pid = by_name(home)[name].pid
    assert pid is not None
    return psutil.Process(pid)


def family(home: Path) -> list[psutil.Process]:
    """The supervisor and everything below it."""
    supervisor = ServicesFolder(home).supervisor()
    assert supervisor is not None
    return [supervisor, *supervisor.children(recursive=True)]


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def body(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as reply:
        return str(reply.read().decode())


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def test_up_everything_is_healthy_and_answers(home: Path) -> None:
    found = by_name(home)
    assert {name: one.state for name, one in found.items()} == dict.fromkeys(
        ("postgres", "prefect", "ray", "worker"), "healthy"
    )
    assert all(one.restarts == 0 and one.last_exit is None for one in found.values())
    assert running_url(home) is not None
    assert body(f"{found['prefect'].address}/api/health") == "true"
    assert f'"{found["prefect"].address}/api"' in body(f"{found['prefect'].address}/ui-settings")
    assert "<html" in body(found["prefect"].address).lower()
    assert "<html" in body(found["ray"].address).lower()


def test_up_port_in_use_is_avoided(home: Path) -> None:
    port = int(by_name(home)["prefect"].address.rpartition(":")[2])
    assert port != USUAL_PREFECT_PORT


def test_up_again_starts_nothing(home: Path) -> None:
    before = {one.name: one.pid for one in services(home)}
    assert {one.name: one.pid for one in up(home)} == before


def test_up_with_other_ports_than_those_in_use_is_refused(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"up already: prefect on .*beyond-iid down"):
        up(home, {"prefect": 4999})


def test_everything_listens_on_loopback_only(home: Path) -> None:
    listening = {
        (process.name(), connection.laddr.ip)
        for process in family(home)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(listening) >= 4
    assert {address.removeprefix("::ffff:") for _, address in listening} == {"127.0.0.1"}


def test_ray_processes_hold_no_credentials(home: Path) -> None:
    head = process_of(home, "ray")
    environments = [environment_of(process) for process in (head, *head.children(recursive=True))]
    assert environment_of(head)[MARK] == str(home / "services")
    assert not any(word in value for one in environments for value in one.values() for word in SECRETS.values())
    assert not any(name.startswith("PREFECT_") for one in environments for name in one)
    assert "hidden-word-1" in environment_of(process_of(home, "worker")).values(), "the oracle sees environments"


def test_driver_runs_ray_tasks_with_the_token_and_without_credentials(home: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in driver_environment(home)}
    done = subprocess.run(
        [sys.executable, "-c", RAY_TASK, str(home)],
        env={**clean, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "RAY_AUTH_MODE" in done.stdout
    assert not any(word in done.stdout for word in (*SECRETS.values(), "PREFECT_API_URL"))
    assert (home / "services" / "ray_token").stat().st_mode & 0o777 == 0o600
    with pytest.raises(urllib.error.HTTPError, match="401"):
        body(f"{by_name(home)['ray'].address}/nodes?view=summary")


@pytest.mark.parametrize("name", ["worker", "prefect", "ray", "postgres"])
def test_killed_service_comes_back_at_its_address_and_is_reported(home: Path, name: str) -> None:
    before = by_name(home)[name]
    process_of(home, name).kill()
    wait_for(lambda: by_name(home)[name].restarts > before.restarts, f"{name} was not started again")
    after = {one.name: one for one in up(home)}[name]
    assert after.state == "healthy"
    assert (after.restarts, after.last_exit) == (1, "signal SIGKILL")
    assert after.address == before.address
    assert after.pid != before.pid
    assert f"{name} (process {before.pid}) ended: signal SIGKILL" in ServicesFolder(home).events.read_text()


def test_service_that_keeps_crashing_is_given_up_until_the_next_up(home: Path) -> None:
    while by_name(home)["worker"].state != "given up":
        pid = by_name(home)["worker"].pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: by_name(home)["worker"].pid != pid, "the crash was not noticed")
        time.sleep(0.1)
    assert by_name(home)["worker"].restarts == 5
    assert "worker is given up" in ServicesFolder(home).events.read_text()
    assert {one.state for one in up(home)} == {"healthy"}


def test_configured_services_are_used_and_not_started_or_stopped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = driver_environment(home)
    second = Path(tempfile.mkdtemp(prefix="beyond-iid-up-"))
    monkeypatch.setenv("PREFECT_API_URL", ours["PREFECT_API_URL"])
    monkeypatch.setenv("BEYOND_IID_RAY_ADDRESS", ours["BEYOND_IID_RAY_ADDRESS"])
    try:
        states = {one.name: one.state for one in up(second)}
        assert states == {"postgres": "healthy", "prefect": "external", "ray": "external", "worker": "healthy"}
        before = {one.name: one.pid for one in services(home)}
        assert down(second).was_running
        assert services(second) == ()
        assert running_url(second) is None
        assert {one.name: one.pid for one in up(home)} == before
    finally:
        down(second)
        shutil.rmtree(second, ignore_errors=True)


def test_killed_supervisor_takes_its_services_along_and_up_starts_afresh(home: Path) -> None:
    supervisor, *others = family(home)
    supervisor.kill()
    wait_for(lambda: ServicesFolder(home).supervisor() is None, "the lock is still held")
    assert {one.state for one in services(home)} == {"supervisor killed"}
    assert driver_environment(home) == {}
    addresses = {one.name: one.address for one in services(home)}
    assert {one.name: one.address for one in up(home)} == addresses
    assert {one.state for one in services(home)} == {"healthy"}
    assert not any(alive(process) for process in others)


def test_down_ends_all_of_it_and_only_it(home: Path) -> None:
    foreign = subprocess.Popen(["sleep", "300"])
    processes = family(home)
    try:
        assert down(home).was_running
        assert not any(alive(process) for process in processes)
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()
    assert services(home) == ()
    assert driver_environment(home) == {}
    assert not ServicesFolder(home).ray.exists()
    assert not down(home).was_running


def test_down_clears_what_a_killed_supervisor_left(home: Path) -> None:
    up(home)
    supervisor, *others = family(home)
    supervisor.kill()
    wait_for(lambda: ServicesFolder(home).supervisor() is None, "the lock is still held")
    assert down(home).was_running
    assert not any(alive(process) for process in others)
    assert running_url(home) is None


def test_up_in_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="BEYOND_IID_HOME"):
        up(tmp_path / "file" / "home")
