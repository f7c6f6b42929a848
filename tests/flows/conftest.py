"""A command line with a state folder of its own: real Postgres, Prefect, Ray and fine-tunes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
