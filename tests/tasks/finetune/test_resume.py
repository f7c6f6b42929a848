"""A killed training goes on from its last complete checkpoint as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.finetune.checkpoints import MARKER, mark_complete, newest_complete
from tasks.finetune.ledger import Ledger
from tasks.finetune.recipe import Full, Lora
from tasks.finetune.spec import RunSpec
from tasks.finetune.spec_file import write_spec
from tasks.finetune.train import finetune
from tasks.interventions.manifest import Manifest

ROOT = Path(__file__).resolve().parents[3]
ZERO1 = json.loads((ROOT / "infra" / "deepspeed" / "zero1.json").read_text())

PROGRAM = """
import sys
from pathlib import Path
from tasks.finetune.spec_file import read_spec
from tasks.finetune.train import finetune

finetune(read_spec(Path(sys.argv[1])), Path(sys.argv[2]), lambda step, steps, loss: print(step, flush=True))
"""


def train_and_kill_after(step: int, spec: RunSpec, out: Path) -> None:
    """Train in another process and kill it (SIGKILL) once it has reported this step."""
    write_spec(out.parent / "spec.json", spec)
    command = [sys.executable, "-c", PROGRAM, str(out.parent / "spec.json"), str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == str(step):
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"method": Full()}, id="torch-full-micro-batches"),
        pytest.param({"method": Lora(rank=4, dropout=0.2)}, id="torch-lora-dropout"),
        pytest.param({"engine": "deepspeed", "deepspeed": ZERO1}, id="deepspeed-zero1"),
    ],
)
def test_finetune_killed_midway_ends_with_identical_weights_losses_and_order(
    make_spec: Callable[..., RunSpec], tmp_path: Path, changes: dict[str, object]
) -> None:
    from safetensors.torch import load_file

    spec = make_spec(checkpoint_every=2, micro_batch_size=3, **changes)
    through = finetune(spec, tmp_path / "through")
    train_and_kill_after(5, spec, tmp_path / "killed")
    assert not (tmp_path / "killed" / "record.json").exists()
    resumed = finetune(spec, tmp_path / "killed")
    assert resumed.resumed_from_step == 4
    assert through.resumed_from_step == 0
    assert resumed.losses == through.losses
    assert resumed.seen_sha256 == through.seen_sha256 == spec.manifest_sha256
    (name,) = [path.name for path in (tmp_path / "through" / "model").glob("*.safetensors")]
    expected = load_file(tmp_path / "through" / "model" / name)
    found = load_file(tmp_path / "killed" / "model" / name)
    assert expected.keys() == found.keys()
    assert all((expected[key] == found[key]).all() for key in expected)
    assert not (tmp_path / "killed" / "checkpoints").exists()


def test_newest_complete_ignores_a_checkpoint_that_was_cut_short(tmp_path: Path) -> None:
    for step in (8, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    mark_complete(tmp_path / "checkpoint-8", {"losses": []})
    (tmp_path / "checkpoint-10").mkdir(exist_ok=True)
    found = newest_complete(tmp_path)
    assert found == (tmp_path / "checkpoint-8", {"losses": []})


def test_mark_complete_removes_older_checkpoints_only_after_its_own_marker(tmp_path: Path) -> None:
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        mark_complete(tmp_path / f"checkpoint-{step}", {"step": step})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]
    assert (tmp_path / "checkpoint-10" / MARKER).is_file()


def test_newest_complete_in_an_absent_folder_is_none(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "absent") is None


@pytest.mark.parametrize(("fingerprint", "ids"), [("run", ("b", "a")), ("other run", ("a", "b"))])
def test_ledger_of_another_run_or_manifest_is_refused(fingerprint: str, ids: tuple[str, str]) -> None:
    state = Ledger("run", Manifest(("a", "b"), (0, 0)), 1).state()
    with pytest.raises(InputError, match="a checkpoint of run run, which is not this run"):
        Ledger(fingerprint, Manifest(ids, (0, 0)), 1).restore(state)


def test_ledger_that_saw_another_order_has_another_hash() -> None:
    manifest = Manifest(("a", "b"), (0, 1))
    in_order, swapped = Ledger("run", manifest, 1), Ledger("run", manifest, 1)
    in_order.add([0, 1], 1.0)
    swapped.add([1, 0], 1.0)
    assert in_order.seen_sha256() != manifest.sha256  # an open step does not count yet
    in_order.close_step(1)
    swapped.close_step(1)
    assert in_order.seen_sha256() == manifest.sha256
    assert swapped.seen_sha256() != manifest.sha256
