"""A command line with a state folder of its own: real Postgres, Prefect, Ray and fine-tunes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.prefect_server import prefect_api
from tests.flows.command import Command, end_processes_of


@pytest.fixture
def command() -> Iterator[Command]:
    # Not pytest's folder: as root the embedded server runs as another user, who must be able to enter.
    home = Path(tempfile.mkdtemp(prefix="beyond-iid-test-"))
    try:
        yield Command(home)
    finally:
        end_processes_of(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A Prefect server for the tests that have nothing to do to it: starting one takes as long as ten fine-tunes."""
    home = Path(tempfile.mkdtemp(prefix="beyond-iid-test-"))
    try:
        with prefect_api(home) as url:
            yield url
    finally:
        end_processes_of(home)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def beside_others(command: Command, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`command` on the Prefect server that tests share."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    return command
