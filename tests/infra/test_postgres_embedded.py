"""The embedded server: shared by processes, recovered after kills, stopped by its last user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy.engine import make_url

from infra.postgres import check_database, embedded_postgres, running_url, start_embedded, stop
from infra.postgres_process import Cluster

_HOLD = """
import sys
from pathlib import Path
from infra.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def bare_home():
    # Not pytest's folder: as root the server runs as another user, and each start of pytest closes that folder to it.
    with TemporaryDirectory(prefix="pg-") as folder:
        yield Path(folder)
        stop(Path(folder))


@pytest.fixture(scope="module")
def used_home():
    with TemporaryDirectory(prefix="pg-") as folder:
        with embedded_postgres(Path(folder), durable=False):
            pass
        yield Path(folder)


@pytest.fixture
def home(used_home):
    """A home that was used before, its server stopped: initializing one takes seconds of computing."""
    yield used_home
    stop(used_home)


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


def _hold(home: Path) -> subprocess.Popen[str]:
    """Another process that uses the home's server until its input ends."""
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql+psycopg://")
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


def _pid(home: Path) -> int:
    pid = Cluster(home.resolve() / "postgres").postmaster_pid()
    assert pid is not None
    return pid


def test_embedded_first_start_is_a_durable_utf8_postgres_18_without_tcp(bare_home):
    home = bare_home
    with embedded_postgres(home) as server:
        assert check_database(server.url) == server.url
        with _connect(server.url) as connection:
            names = ("server_version", "fsync", "synchronous_commit", "listen_addresses", "server_encoding")
            values = [connection.execute(f"SHOW {name}").fetchone()[0] for name in names]
            assert connection.info.dbname == "beyond_iid"
    assert values[0].startswith("18.")
    assert values[1:] == ["on", "on", "", "UTF8"]
    assert (home / "postgres").stat().st_mode & 0o077 == 0
    assert running_url(home) is None


def test_embedded_after_sigkill_of_postmaster_in_a_transaction_keeps_the_committed_rows_only(home):
    with embedded_postgres(home) as server:
        connection = _connect(server.url)
        connection.execute("CREATE TABLE t (x int)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO t VALUES (2)")
        os.kill(_pid(home), signal.SIGKILL)
        with embedded_postgres(home) as again:
            assert again.url == server.url
            with _connect(again.url) as reader:
                assert reader.execute("SELECT x FROM t").fetchall() == [(1,)]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert running_url(home) is None


def test_embedded_with_pid_file_of_a_foreign_or_zombie_process_starts(home):
    with embedded_postgres(home):
        pass
    pid_file = home / "postgres" / "postmaster.pid"
    zombie = subprocess.Popen(["true"])
    time.sleep(0.2)  # ended, but not waited for
    for pid in (os.getpid(), zombie.pid, 2**22 - 1):
        pid_file.write_text(f"{pid}\n{home / 'postgres'}\n1700000000\n5432\n{home / 'postgres'}\n\n1 1\nready\n")
        with embedded_postgres(home) as server:
            assert check_database(server.url)
    zombie.wait()
    pid_file.write_text("")  # cut off in the middle of writing
    with embedded_postgres(home) as server:
        assert check_database(server.url)


def test_embedded_two_processes_share_one_server_until_the_last_leaves(home):
    with embedded_postgres(home):
        pid = _pid(home)
        other = _hold(home)
        assert _pid(home) == pid
    assert running_url(home) is not None  # the other still uses it
    second = _hold(home)
    _end(other)
    assert _pid(home) == pid
    assert running_url(home) is not None
    _end(second)
    assert running_url(home) is None


def test_embedded_after_sigkill_of_a_user_is_shared_and_stopped_by_the_next(home):
    other = _hold(home)
    pid = _pid(home)
    other.kill()
    other.wait()
    assert running_url(home) is not None
    with embedded_postgres(home):
        assert _pid(home) == pid
    assert running_url(home) is None


def test_embedded_from_many_processes_at_once_one_server(home):
    root = str(Path(__file__).resolve().parents[2])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": root},
        )
        for _ in range(3)
    ]  # fmt: skip
    urls = {process.stdout.readline() for process in processes}
    assert len(urls) == 1
    for process in processes:
        _end(process)
    assert running_url(home) is None


def test_embedded_kept_running_outlives_its_users_until_stop(home):
    with embedded_postgres(home, keep_running=True):
        pass
    assert running_url(home) is not None
    with embedded_postgres(home):
        pass
    assert running_url(home) is not None
    assert stop(home)
    assert running_url(home) is None
    assert not stop(home)


def test_embedded_close_twice_and_nested_users_counted(home):
    first, second = start_embedded(home), start_embedded(home)
    first.close()
    first.close()
    assert running_url(home) is not None
    second.close()
    assert running_url(home) is None


def test_embedded_after_interrupted_initialization_starts_afresh(bare_home):
    home = bare_home
    (home / "postgres.new").mkdir()
    (home / "postgres.new" / "PG_VERSION").write_text("18\n")
    with embedded_postgres(home, durable=False) as server:
        assert check_database(server.url)
    assert not (home / "postgres.new").exists()


def test_embedded_in_a_folder_too_deep_for_a_socket_with_odd_characters(home):
    deep = home / 'it\'s a "long", name 50% of the way' / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(home / "postgres"), str(deep)], check=True)
    with embedded_postgres(deep, durable=False) as server:
        assert check_database(server.url)
        folder = Cluster(deep.resolve() / "postgres").socket_folder
        assert folder.parent == Path("/tmp")
        assert folder.stat().st_mode & 0o077 == 0
    assert running_url(deep) is None


def test_embedded_first_start_in_a_short_folder_with_odd_characters(bare_home):
    odd = bare_home / 'it\'s "a", 5%'
    with embedded_postgres(odd, durable=False) as server:
        assert check_database(server.url)


def test_stop_without_server_or_folder_false(home):
    assert stop(home) is False
    assert stop(home / "absent") is False


def test_embedded_ignores_the_environment_of_other_databases(home, monkeypatch):
    for name, value in {"PGPORT": "1", "PGHOST": "192.0.2.1", "PGDATABASE": "x", "PGUSER": "y", "PGDATA": "/z"}.items():
        monkeypatch.setenv(name, value)
    with embedded_postgres(home, durable=False) as server:
        assert check_database(server.url)
