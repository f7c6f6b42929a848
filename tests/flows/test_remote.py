"""What ended a Ray task is said in words a user can act on; Ray itself does the ending."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray

from flows.monitor_log import logged
from flows.remote import OutOfMemoryError, WorkerDiedError, WorkerError, result_of
from tasks.errors import InputError, RunError


@contextmanager
def cluster() -> Iterator[None]:
    ray.init(
        address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL
    )  # fmt: skip
    try:
        yield
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[None]:
    with cluster():
        yield


def bad_input() -> None:
    raise InputError("row 3 has no answer")


def unexpected() -> None:
    raise ValueError("cannot use password=s3cr3t-word\nsecond line")


def no_memory() -> None:
    raise MemoryError("cannot allocate 8 GiB")


def no_gpu_memory() -> None:
    import torch  # the error's own class

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def works_for_a_minute() -> None:
    time.sleep(60)


@pytest.mark.parametrize(
    ("function", "expected", "said"),
    [
        (bad_input, InputError, ["row 3 has no answer"]),
        (unexpected, WorkerError, ["ValueError: cannot use password=***"]),
        (no_memory, OutOfMemoryError, ["memory", "resources.max_parallel", "recipe.micro_batch_size"]),
        (no_gpu_memory, OutOfMemoryError, ["GPU's memory", "resources.gpus_per_run", "2.00 GiB"]),
        (killed, WorkerDiedError, ["killed or crashed", "memory", "resources.max_parallel"]),
    ],
)
def test_end_of_a_task_is_an_error_of_its_own_kind_that_names_the_fix(
    function: Callable[[], None], expected: type[RunError], said: list[str], running_cluster: None, tmp_path: Path
) -> None:
    reference = ray.remote(num_cpus=1, max_retries=0)(function).remote()
    with pytest.raises(expected) as caught:
        result_of(reference, "without add, seed 1", tmp_path)
    text = str(caught.value)
    assert text.startswith("without add, seed 1: ")
    assert all(part in text for part in said), text
    assert "s3cr3t-word" not in text
    assert "second line" not in text


def test_message_names_the_traceback_where_the_worker_wrote_one(running_cluster: None, tmp_path: Path) -> None:
    def fails_in_its_folder() -> None:
        with logged(tmp_path):
            raise KeyError("missing")

    reference = ray.remote(num_cpus=1, max_retries=0)(fails_in_its_folder).remote()
    with pytest.raises(WorkerError, match="KeyError") as caught:
        result_of(reference, "run", tmp_path)
    assert caught.value.reason == "KeyError"
    (named,) = [word for word in str(caught.value).split() if word.endswith("traceback.txt")]
    assert "KeyError: 'missing'" in Path(named).read_text()


def test_worker_that_ray_ends_for_memory_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    ray.shutdown()
    # Any use of memory is too much for this node.
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    with cluster():
        reference = ray.remote(num_cpus=1, max_retries=0)(works_for_a_minute).remote()
        with pytest.raises(OutOfMemoryError) as caught:
            result_of(reference, "baseline, seed 1")
    assert "the node's memory was nearly full" in str(caught.value)
    assert "resources.max_parallel" in str(caught.value)
