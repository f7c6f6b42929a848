"""gc, backup and restore on the real command line: exit codes, one message, JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.flows.command import Command


def test_housekeeping_commands_on_a_state_folder_without_experiments(command: Command, tmp_path: Path) -> None:
    listed = command.run("gc", "--dry-run", "--json")
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout) == {"dry_run": True, "items": [], "bytes": 0, "left": []}

    file = tmp_path / "results.backup"
    first = command.run("backup", str(file))
    assert first.returncode == 0, first.stderr
    assert "2 rows in" in first.stdout
    restored = command.run("restore", str(file), "--replace", "beyond_iid")
    assert restored.returncode == 0, restored.stderr
    (tmp_path / "cut").write_bytes(file.read_bytes()[:500])
    refused = command.run("restore", str(tmp_path / "cut"))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "Nothing was restored" in refused.stderr


def test_artifact_store_given_as_url_refused_before_anything_starts(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "BEYOND_IID_ARTIFACTS", "s3://bucket/results")
    refused = command.run("gc")
    assert refused.returncode == 2
    assert "BEYOND_IID_ARTIFACTS: is a URL; expected a folder" in refused.stderr
    assert list(command.home.iterdir()) == []
