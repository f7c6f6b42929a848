"""The local services of a home folder: Postgres, the Prefect server and a worker, a Ray cluster; all on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from infra.environment import RAY_ON_LOOPBACK, with_project
from infra.errors import ConfigurationError, InfraError
from infra.postgres import check_database, redacted
from infra.prefect_calls import healthy
from infra.security import require_prefect_credential
from infra.service_ports import is_free
from infra.services_record import POSTGRES, PREFECT, RAY, Record, ServicesFolder, ServiceState
from infra.services_stop import clear_leftovers
from infra.settings import load_settings

__all__ = ["ServiceState", "Stopped", "down", "driver_environment", "services", "up", "use_services"]

_START_SECONDS = 180.0
_STOP_SECONDS = 120.0
_LOCK_SECONDS = 20.0
_SETTLED = frozenset({"healthy", "given up", "external"})
_RAY_VARIABLES = ("BEYOND_IID_RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", *RAY_ON_LOOPBACK)


@dataclass(frozen=True)
class Stopped:
    """What `down` did.

    Attributes:
        was_running: whether there was anything to stop.
        flow_runs: names of the flow runs that were going on.
        leftovers: processes that a killed supervisor had left.
    """

    was_running: bool
    flow_runs: tuple[str, ...] = ()
    leftovers: int = 0


def services(home: Path) -> tuple[ServiceState, ...]:
    """Every service of the home as it is now; () where `up` has not been called, or all were stopped.

    Raises:
        InfraError: the record is damaged.
    """
    folder = ServicesFolder(home)
    record = folder.current()
    if record is None:
        lost = () if folder.supervisor() else folder.read().services
        return tuple(one.model_copy(update=_LOST) for one in lost)
    return tuple(_asked(one) if one.state == "external" else one for one in record.services)


_LOST = {"state": "supervisor killed", "pid": None, "created": None, "note": "`up` or `down` clears up"}


def driver_environment(home: Path) -> dict[str, str]:
    """Variables that make a driver use the home's services (BEYOND_IID_RAY_ADDRESS, PREFECT_API_URL, ...).

    Returns:
        {} while no services are up. Holds no secrets: Ray's token is named by its file.
    """
    record = ServicesFolder(home).current()
    return record.environment if record else {}


def use_services(home: Path) -> None:
    """Put `driver_environment` into this process's environment; what the user configured himself stays.

    Waits for a Prefect server and a Ray cluster that are being started (again). Call before Prefect or Ray are used.

    Raises:
        InfraError: one of them has been given up, or does not come up.
    """
    found = driver_environment(home)
    given = set()
    for name, together in (("BEYOND_IID_RAY_ADDRESS", _RAY_VARIABLES), ("PREFECT_API_URL", ("PREFECT_API_URL",))):
        if (os.environ.get(name) or found.get(name)) != found.get(name):
            given |= set(together)
    wanted = {name: value for name, value in found.items() if name not in given}
    needed = {name for name, key in ((PREFECT, "PREFECT_API_URL"), (RAY, "RAY_AUTH_TOKEN_PATH")) if key in wanted}
    if not needed:
        return
    states = _wait(ServicesFolder(home), needed)
    failed = [one for one in states if one.name in needed and one.state not in ("healthy", "external")]
    if failed:
        raise InfraError(
            "The services of this folder are up, but " + "; ".join(f"{one.name}: {one.state}" for one in failed) + ". "
            f"See {ServicesFolder(home).events}; `beyond-iid up` tries again, `beyond-iid down` lets experiments "
            "start what they need themselves."
        )
    wanted = {name: value for name, value in driver_environment(home).items() if name not in given}
    if "BEYOND_IID_RAY_ADDRESS" in wanted:
        os.environ.pop("RAY_AUTH_TOKEN", None)  # it would win over the services' own
    os.environ.update(wanted)


def up(home: Path, ports: Mapping[str, int] | None = None) -> tuple[ServiceState, ...]:
    """Start what is not running and wait until everything answers or is given up; nothing changes if it all runs.

    A service whose variable is set (BEYOND_IID_DATABASE_URL, PREFECT_API_URL, BEYOND_IID_RAY_ADDRESS) is not started
    but used.

    Args:
        home: the state folder, absolute.
        ports: fixed ports by name (prefect, ray, dashboard); others are chosen and remembered.

    Raises:
        ConfigurationError: the folder cannot be used, a fixed port is in use, or other ports were chosen earlier.
        InfraError: the supervisor does not start, or something does not answer in time.
    """
    folder = ServicesFolder(home)
    folder.create()
    fixed = dict(ports or {})
    if api := os.environ.get("PREFECT_API_URL"):
        require_prefect_credential(api, allow_insecure=load_settings().allow_insecure)
    supervisor = folder.supervisor()
    if supervisor is None:
        for name, port in fixed.items():
            if not is_free(port):
                raise ConfigurationError(f"Port {port} for {name} is in use. Free it, or choose another port.")
        _await_record(folder, _start_supervisor(folder, fixed))
    else:
        record = _await_record(folder, None)
        _check_ports(folder, fixed)
        if any(one.state == "given up" for one in record.services):
            supervisor.send_signal(signal.SIGHUP)
            time.sleep(1.0)  # until it has taken notice
    return _wait(folder, None)


def down(home: Path) -> Stopped:
    """Stop what `up` started and nothing else: flow runs first, which are cancelled.

    Raises:
        InfraError: the supervisor does not end.
    """
    folder = ServicesFolder(home)
    if not folder.path.exists():
        return Stopped(False)
    supervisor = folder.supervisor()
    if supervisor is None:
        with folder.held(_LOCK_SECONDS) as alone:
            if not alone:
                raise InfraError("The services are being started or stopped by another command. Run this one again.")
            was_running = bool(folder.read().services)
            return Stopped(was_running, leftovers=clear_leftovers(folder))
    supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        supervisor.kill()
        supervisor.wait(10)
        with folder.held(_LOCK_SECONDS):
            return Stopped(True, leftovers=clear_leftovers(folder))
    return Stopped(True, flow_runs=folder.read().stopped)


def _start_supervisor(folder: ServicesFolder, fixed: Mapping[str, int]) -> subprocess.Popen[bytes]:
    settings = load_settings()
    environment = with_project({**os.environ, "BEYOND_IID_HOME": str(folder.home)})
    if settings.artifacts:
        environment["BEYOND_IID_ARTIFACTS"] = str(settings.artifact_folder)
    with folder.log("supervisor").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.services_supervisor", str(folder.home), json.dumps(dict(fixed))],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )


def _await_record(folder: ServicesFolder, started: subprocess.Popen[bytes] | None) -> Record:
    """Wait for the supervisor's first record; `started` = its process, if this one has started it."""
    log = folder.log("supervisor")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        record = folder.current()
        if record is not None:
            return record
        code = started.poll() if started else None
        if code:
            error = ConfigurationError if code == ConfigurationError.exit_code else InfraError
            raise error(f"The services do not start: {log.read_text(errors='replace').strip()[-2000:]}")
        time.sleep(0.1)
    raise InfraError(f"The services' supervisor does not start. Its log: {log}")


def _check_ports(folder: ServicesFolder, fixed: Mapping[str, int]) -> None:
    known = json.loads((folder.path / "ports.json").read_text())
    others = [f"{name} on {known.get(name)}" for name, port in fixed.items() if known.get(name) != port]
    if others:
        raise ConfigurationError(
            f"The services are up already: {', '.join(others)}. To change ports: beyond-iid down, then up again."
        )


def _wait(folder: ServicesFolder, needed: set[str] | None) -> tuple[ServiceState, ...]:
    """Wait until the services (None = all) are settled."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        record = folder.current()
        if record is None:
            raise InfraError(f"The services were stopped or their supervisor was killed. See {folder.events}.")
        if all(one.state in _SETTLED for one in record.services if needed is None or one.name in needed):
            return services(folder.home)
        time.sleep(0.1)
    return services(folder.home)


def _asked(one: ServiceState) -> ServiceState:
    """An external service with what it answers now."""
    try:
        if one.name == POSTGRES:
            url = load_settings().database_url
            if url is None:
                return one.model_copy(update={"note": "BEYOND_IID_DATABASE_URL of `up`; not set here, not asked"})
            address, answers = redacted(url.get_secret_value()), True
            check_database(url.get_secret_value())
        elif one.name == PREFECT:
            address, answers = one.address, healthy(one.address)
        else:
            address, answers = one.address, _listens(one.address)
    except InfraError:
        answers = False
    state = "external" if answers else "external: not answering"
    return one.model_copy(update={"state": state, "address": address})


def _listens(address: str) -> bool:
    """Whether something listens at a Ray address; 'auto' is looked up where Ray notes the machine's cluster."""
    if address == "auto":
        try:
            address = (Path("/tmp/ray") / "ray_current_cluster").read_text().strip()  # noqa: S108 - Ray's own place
        except OSError:
            return False
    parts = urlsplit(f"//{address}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 6379), timeout=2):
            return True
    except (OSError, ValueError):
        return False
