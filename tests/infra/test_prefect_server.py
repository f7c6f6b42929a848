"""The local Prefect server: shared by its users, gone after the last one, found by the browser."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from infra.errors import ConfigurationError
from infra.prefect_server import prefect_api


def test_prefect_api_two_users_share_one_server_that_ends_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with prefect_api(tmp_path) as first:
        with prefect_api(tmp_path) as second:
            assert second == first
        time.sleep(4)  # longer than the supervisor waits for new users
        with urllib.request.urlopen(f"{first}/health") as reply:
            assert reply.status == 200
        with urllib.request.urlopen(first.removesuffix("/api") + "/ui-settings") as reply:
            assert json.load(reply)["api_url"] == first
        assert first.startswith("http://127.0.0.1:")
    deadline = time.monotonic() + 30
    while (tmp_path / "prefect" / "server.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not (tmp_path / "prefect" / "server.json").exists()


def test_a_killed_supervisor_takes_the_server_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with prefect_api(tmp_path):
        supervisor = psutil.Process(json.loads((tmp_path / "prefect" / "server.json").read_text())["pid"])
        (server,) = supervisor.children()
        supervisor.kill()
        supervisor.wait()
        server.wait(timeout=30)
        assert not server.is_running()


def test_prefect_api_with_unreachable_address_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with (
        pytest.raises(ConfigurationError, match=r"PREFECT_API_URL is http://127\.0\.0\.1:1/api"),
        prefect_api(tmp_path),
    ):
        pass
