"""A Prefect server that is gone costs a waiting loop no time, and an ending command a few seconds."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from httpx import HTTPError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)

from flows.progress import FanOutProgress

# Prefect's own exit tries each of these again ten times.
FAREWELL = """
import sys, time
from prefect.events import emit_event
from flows.cli.experiments import leave_at_once
for number in range(40):
    emit_event(event="test.happened", resource={"prefect.resource.id": f"test.{number}"})
time.sleep(1)
print("leaves", flush=True)
leave_at_once(7)
"""


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """The address of something that takes each connection and ends it without a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        listener.shutdown(socket.SHUT_RDWR)


def test_progress_that_cannot_be_told_is_given_up_at_once(hanging_up: str) -> None:
    settings = {
        PREFECT_API_URL: hanging_up,
        PREFECT_CLIENT_MAX_RETRIES: 4,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
    }
    with temporary_settings(settings):
        progress = FanOutProgress("measure", total=8, done=0)
        start = time.monotonic()
        with pytest.raises(HTTPError):
            progress.start()
        with pytest.raises(HTTPError):
            progress.stop()
        assert time.monotonic() - start < 10, "with the client's four retries each call takes 30 seconds"


def test_command_that_lost_its_server_ends_although_many_events_wait(hanging_up: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FAREWELL],
        env={"PREFECT_API_URL": hanging_up, "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leaves\n"
        start = time.monotonic()
        try:
            assert process.wait(60) == 7
        finally:
            process.kill()
    assert time.monotonic() - start < 20
