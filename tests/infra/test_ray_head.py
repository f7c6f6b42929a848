"""A Ray head that is gone is noticed, one that only pauses is waited for."""

from __future__ import annotations

import socket
import time

import pytest

from infra.errors import InfraError
from infra.ray_head import HeadWatch

PATIENCE, PAUSE = 0.4, 0.05


def listener(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=50)


def watch_for(watch: HeadWatch, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watch.check()
        time.sleep(0.01)


def test_head_that_is_gone_is_an_error_which_says_how_to_go_on() -> None:
    with listener() as head:
        port = head.getsockname()[1]
        watch = HeadWatch(f"127.0.0.1:{port}", PATIENCE, PAUSE)
        watch_for(watch, 2 * PATIENCE)
    start = time.monotonic()
    with pytest.raises(InfraError, match=rf"127\.0\.0\.1:{port} is gone.*same command again"):
        watch_for(watch, 20 * PATIENCE)
    assert time.monotonic() - start >= PATIENCE


def test_head_that_answers_again_in_time_is_none() -> None:
    with listener() as head:
        port = head.getsockname()[1]
        watch = HeadWatch(f"127.0.0.1:{port}", 20 * PATIENCE, PAUSE)
        watch.check()
    time.sleep(2 * PAUSE)
    watch.check()
    with listener(port):
        watch_for(watch, PATIENCE)
    watch_for(watch, PATIENCE)  # gone anew: the first silence does not count
