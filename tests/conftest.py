"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Before numpy is loaded, and for every process that a test starts. With two files at a time on two cores, BLAS threads
# for matrices of 8 × 8 wait for each other in a loop: ten times the processor time of the work itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# No clocks: a busy machine is no failure. The same examples in every run: what is green stays green.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every command the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data for tests: BEYOND_IID_TEST_DATA, else shared/data beside the checkout."""
    configured = os.environ.get("BEYOND_IID_TEST_DATA")
    folder = Path(configured) if configured else _ROOT.parent / "shared" / "data"
    if not (folder / "realpool").is_dir():
        pytest.skip(f"real test data is absent: no realpool in {folder}; set BEYOND_IID_TEST_DATA")
    return folder
