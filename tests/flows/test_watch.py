"""`status EXPERIMENT`: one picture for pipes, a live one for terminals, clear ends."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.planted_home import EXPERIMENT, SECONDS, PlantedHome, planted_home


@pytest.fixture(scope="module")
def home() -> Iterator[PlantedHome]:
    with planted_home() as planted:
        yield planted


@pytest.fixture(scope="module")
def shown(home: PlantedHome) -> str:
    done = home.command.run("status", EXPERIMENT, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_picture_counts_the_runs_of_each_state(shown: str) -> None:
    assert shown.startswith(EXPERIMENT), "names are shown as they are"
    assert re.search(r"phase\s+finished\s+running\s+failed\s+planned\s+of", shown)
    assert re.search(r"measure\s+3\s+1\s+2\s+2\s+8\b", shown)


def test_picture_shows_where_the_running_run_is(home: PlantedHome, shown: str) -> None:
    (line,) = [line for line in shown.splitlines() if line.startswith(home.running)]
    assert "30 of 45" in line
    assert "1.2345" in line
    assert "node-7, pid 4711" in line
    assert "3: NVIDIA H200, peak 5.0 GiB" in line


def test_picture_names_failed_runs_their_reasons_and_how_to_repeat_them(home: PlantedHome, shown: str) -> None:
    for name, attempts, reason in zip(
        home.failed, (3, 1), ("OutOfMemoryError: the GPU's memory is full", 'no class in it {"a": [red]}'), strict=True
    ):
        (line,) = [line for line in shown.splitlines() if line.startswith(name)]
        assert re.search(rf"{re.escape(name)}\s+{attempts}\s+{re.escape(reason)}", line)
    assert f"beyond-iid rerun {EXPERIMENT}" in shown


def test_time_left_is_the_open_runs_times_the_mean_of_the_finished(shown: str) -> None:
    mean = sum(SECONDS) / len(SECONDS) + 0.5
    found = re.search(r"About (?:(\d+) min )?(\d+) s left in the planned runs \(([\d.]+) s per run\)", shown)
    assert found
    left = 60 * int(found[1] or 0) + int(found[2])
    assert float(found[3]) == round(mean, 1)
    # three open runs, one of them begun a while ago, one at a time
    assert 2 * mean - 1 <= left <= 3 * mean


def test_unknown_experiment_ends_with_exit_code_2_and_names_the_known(home: PlantedHome) -> None:
    done = home.command.run("status", "nothing", timeout=60)
    assert done.returncode == 2
    assert "'nothing'" in done.stderr
    assert "other" in done.stderr


def test_live_view_ends_with_ctrl_c_and_no_traceback(home: PlantedHome, tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    errors = (tmp_path / "errors").open("w+")
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "beyond-iid"), "status", EXPERIMENT],
        env={**os.environ, "BEYOND_IID_HOME": str(home.home), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        stdin=terminal,
        stdout=terminal,
        stderr=errors,
        start_new_session=True,
    )
    os.close(terminal)
    seen = b""
    deadline = time.monotonic() + 60
    while seen.count(b"30 of 45") < 2:  # drawn again
        assert time.monotonic() < deadline
        seen += os.read(controller, 65536)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # what a terminal answers when its other end is closed
        while os.read(controller, 65536):  # a full one would hold up what it is to show last
            pass
    assert process.wait(timeout=60) == 130
    errors.seek(0)
    said = errors.read()
    assert "the experiment itself goes on" in said
    assert "Traceback" not in said
    os.close(controller)
