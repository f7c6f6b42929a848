"""Two data-parallel workers on a real local Ray cluster."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.errors import InputError, RunError
from tasks.finetune.distributed import _cause
from tasks.finetune.spec import RunSpec
from tasks.finetune.train import finetune
from tasks.pool.instruction import Instruction

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def two_cpus() -> Iterator[None]:
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}},
    )
    yield
    ray.shutdown()


class ProgressFile:
    """Notes the last progress in a file, as a driver in another process would have it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, step: int, steps: int, loss: float) -> None:
        self.path.write_text(json.dumps([step, steps, loss]))


@pytest.mark.usefixtures("two_cpus")
def test_finetune_on_two_workers_keeps_order_and_losses_of_one(
    make_spec: Callable[..., RunSpec], rows: tuple[Instruction, ...], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    # 21 examples in batches of 5: uneven shares, and a last step in which the second worker has nothing.
    ids = [row.id for row in rows[:21]]
    random.Random(2).shuffle(ids)
    changes = {"batch_size": 5, "micro_batch_size": 2, "checkpoint_every": 2}
    one = finetune(make_spec(ids, **changes), tmp_path / "one")
    two = finetune(
        make_spec(ids, workers=2, **changes), tmp_path / "two", on_step=ProgressFile(tmp_path / "progress.json")
    )
    assert two.seen_sha256 == one.seen_sha256
    assert (two.steps, two.examples, two.tokens) == (one.steps, one.examples, one.tokens) == (5, 21, one.tokens)
    assert [loss for _, loss in two.losses] == pytest.approx([loss for _, loss in one.losses], abs=2e-6)
    expected, found = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    assert max(float((expected[key] - found[key]).abs().max()) for key in expected) < 2e-5
    assert json.loads((tmp_path / "progress.json").read_text()) == [5, 5, two.losses[-1][1]]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["model", "record.json"]


def test_cause_of_a_workers_own_error_is_that_error(make_spec: Callable[..., RunSpec]) -> None:
    from ray.train import WorkerGroupError

    own = InputError("instruction row-1: too long")
    assert _cause(WorkerGroupError("…", {1: ValueError("connection lost"), 0: own}), make_spec()) is own


def test_cause_of_a_foreign_error_is_a_run_error_that_quotes_it(make_spec: Callable[..., RunSpec]) -> None:
    from ray.train import WorkerGroupError

    cause = _cause(WorkerGroupError("worker 0 died", {0: ValueError("out of memory")}), make_spec())
    assert isinstance(cause, RunError)
    assert "aaaaaaaaaaaa" in str(cause)
    assert "worker 0 died" in str(cause)
