"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data for tests: BEYOND_IID_TEST_DATA, else shared/data beside the checkout."""
    configured = os.environ.get("BEYOND_IID_TEST_DATA")
    folder = Path(configured) if configured else _ROOT.parent / "shared" / "data"
    if not (folder / "realpool").is_dir():
        pytest.skip(f"real test data is absent: no realpool in {folder}; set BEYOND_IID_TEST_DATA")
    return folder
