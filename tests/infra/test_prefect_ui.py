"""Prefect's UI beside packages that cannot be written, as in the container: served from the folder that is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SERVE = """
from fastapi.testclient import TestClient
from prefect.server.api.server import create_ui_app
reply = TestClient(create_ui_app(ephemeral=False)).get("/", headers={"Accept": "text/html"})
print(reply.status_code, "<html" in reply.text)
"""
# What the image's read-only file system does: no copy of the UI lies among the packages, and none can be put there.
READ_ONLY = """
set -e
mount --bind "$0" "$0"
for folder in "$0"/ui_build "$0"/ui_v2_build; do [ ! -d "$folder" ] || mount -t tmpfs -o ro none "$folder"; done
mount -o remount,bind,ro "$0"
exec "$@"
"""


INSIDE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*INSIDE, "true"], check=False).returncode != 0,
    reason="this system allows no namespaces for mounts",
)
@pytest.mark.parametrize(("named", "answer"), [(False, "404 False"), (True, "200 True")])
def test_ui_needs_a_folder_that_can_be_written(tmp_path: Path, named: bool, answer: str) -> None:
    (server,) = find_spec("prefect.server").submodule_search_locations  # type: ignore[union-attr, misc]
    variables = {"PREFECT_SERVER_UI_STATIC_DIRECTORY": str(tmp_path / "ui")} if named else {}
    shown = subprocess.run(
        [*INSIDE, "bash", "-c", READ_ONLY, server, sys.executable, "-c", SERVE],
        env={**os.environ, "PREFECT_HOME": str(tmp_path / "home"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout.strip() == answer, shown.stderr
