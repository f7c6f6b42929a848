"""A Prefect server on loopback that lives exactly as long as somebody uses it.

Every user holds a shared file lock. A small supervisor process starts the server and stops it once nobody holds
the lock any more: the system frees a killed process's locks, so a SIGKILLed driver leaves no server behind, and two
drivers of one home folder share one server.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from infra.errors import ConfigurationError, InfraError
from infra.prefect_calls import healthy
from infra.security import require_prefect_credential
from infra.service_processes import end_with_parent, is_alive
from infra.settings import load_settings

_START_SECONDS = 300.0
_IDLE_SECONDS = 2.0


@contextmanager
def prefect_api(home: Path) -> Iterator[str]:
    """Yield the address of a Prefect API: the configured one (PREFECT_API_URL), else a local server's.

    The local server keeps its database (SQLite) and its log in `home`/prefect.

    Raises:
        ConfigurationError: PREFECT_API_URL is set and nothing healthy answers there, or it leads beyond this machine
            and no credential is set.
        InfraError: the local server did not start; names its log.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured:
        require_prefect_credential(configured, allow_insecure=load_settings().allow_insecure)
        if not healthy(configured):
            raise ConfigurationError(
                f"PREFECT_API_URL is {configured}, but no healthy Prefect server answers there. "
                "Start it, correct the address, or unset the variable to use a local server."
            )
        yield configured
        return
    folder = home / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users.lock").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (folder / "start.lock").open("a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            running = running_server(folder)
            url = running[0] if running else _start(folder)
        yield url


def running_server(folder: Path) -> tuple[str, int] | None:
    """API address of the healthy server that uses `folder`, and the process it lives with; None where there is none.

    The process counts as well as the address: after a crash another home's server may listen there.
    """
    try:
        content = json.loads((folder / "server.json").read_text())
        url, pid = str(content["url"]), int(content["pid"])
        same = is_alive(pid, float(content["created"]))
    except (OSError, ValueError, KeyError):
        return None
    return (url, pid) if same and healthy(url) else None


def write_server(folder: Path, url: str, pid: int) -> None:
    """Say where the server of `folder` is and which process it lives with."""
    content = {"url": url, "pid": pid, "created": psutil.Process(pid).create_time()}
    (folder / "server.json").write_text(json.dumps(content))


def server_command(port: int) -> list[str]:
    """The server itself, on loopback."""
    return [sys.executable, "-P", "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]


def server_environment(folder: Path, port: int) -> dict[str, str]:
    """This process's environment and what makes the server use `folder`."""
    return {
        **{name: value for name, value in os.environ.items() if name != "BEYOND_IID_DATABASE_URL"},
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        # The browser's side of it looks at port 4200 unless it is told.
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }


def _start(folder: Path) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    log = folder / "server.log"
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "infra.prefect_server", str(folder), str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    write_server(folder, url, supervisor.pid)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if healthy(url):
            return url
        if supervisor.poll() is not None:
            break
        time.sleep(0.1)
    supervisor.terminate()
    raise InfraError(f"The local Prefect server did not start within {_START_SECONDS:.0f} s. Its log: {log}")


def _supervise(folder: Path, port: int) -> None:
    """Run the server until nobody has held the users' lock for a moment."""
    server = subprocess.Popen(
        server_command(port),
        env=server_environment(folder, port),
        stdin=subprocess.DEVNULL,
        preexec_fn=end_with_parent(),  # noqa: PLW1509 - the supervisor has one thread
    )

    def stop(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    free_since: float | None = None
    try:
        with (folder / "users.lock").open("a") as users:
            while server.poll() is None:
                time.sleep(0.5)
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    free_since = None
                    continue
                # Hold the lock only when leaving, so that a new user is never turned away by a look.
                free_since = free_since or time.monotonic()
                if time.monotonic() - free_since >= _IDLE_SECONDS:
                    (folder / "server.json").unlink(missing_ok=True)
                    break
                fcntl.flock(users, fcntl.LOCK_UN)
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()


if __name__ == "__main__":
    _supervise(Path(sys.argv[1]), int(sys.argv[2]))
