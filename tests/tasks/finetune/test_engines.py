"""DeepSpeed on the CPU gives what torch gives, and leaves the process as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.finetune.engine import resolve_engine
from tasks.finetune.recipe import Engine
from tasks.finetune.spec import RunSpec
from tasks.finetune.train import finetune

CONFIGS = Path(__file__).resolve().parents[3] / "infra" / "deepspeed"

LOSS_TOLERANCE = 2e-6
"""Nats per token; measured differences were up to 2.4e-7 over 13 steps."""
WEIGHT_TOLERANCE = 2e-5


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_deepspeed_losses_and_weights_equal_torch(
    make_spec: Callable[..., RunSpec], tmp_path: Path, stage: int
) -> None:
    import trl  # noqa: F401 - importing it sets variables for good; what a run leaves behind is the question here
    from safetensors.torch import load_file

    config = json.loads((CONFIGS / f"zero{stage}.json").read_text())
    assert config["zero_optimization"]["stage"] == stage
    before = dict(os.environ)
    torch_run = finetune(make_spec(micro_batch_size=5), tmp_path / "torch")
    run = finetune(
        make_spec(micro_batch_size=5, engine=Engine.DEEPSPEED, zero_stage=stage, deepspeed=config), tmp_path / "ds"
    )
    assert (torch_run.engine, run.engine) == ("torch", "deepspeed")
    assert "deepspeed" in dict(run.versions)
    assert run.seen_sha256 == torch_run.seen_sha256
    assert [loss for _, loss in run.losses] == pytest.approx([loss for _, loss in torch_run.losses], abs=LOSS_TOLERANCE)
    expected, found = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("torch", "ds"))
    assert expected.keys() == found.keys()
    assert max(float((expected[key] - found[key]).abs().max()) for key in expected) < WEIGHT_TOLERANCE
    assert {k: v for k, v in os.environ.items() if before.get(k) != v}.keys() <= {
        "HF_HUB_DISABLE_TELEMETRY",
        "TOKENIZERS_PARALLELISM",
        "DS_ACCELERATOR",
    }


def test_deepspeed_padding_free_equals_torch_with_padding(make_spec: Callable[..., RunSpec], tmp_path: Path) -> None:
    config = json.loads((CONFIGS / "zero1.json").read_text())
    padded = finetune(make_spec(micro_batch_size=5), tmp_path / "torch")
    packed = make_spec(micro_batch_size=5, packing="padding-free", engine=Engine.DEEPSPEED, deepspeed=config)
    run = finetune(packed, tmp_path / "ds")
    assert (run.engine, run.seen_sha256) == ("deepspeed", padded.seen_sha256)
    assert [loss for _, loss in run.losses] == pytest.approx([loss for _, loss in padded.losses], abs=LOSS_TOLERANCE)


def test_torch_run_after_a_deepspeed_run_in_one_process_is_torch_again(
    make_spec: Callable[..., RunSpec], tmp_path: Path
) -> None:
    config = json.loads((CONFIGS / "zero1.json").read_text())
    first = finetune(make_spec(), tmp_path / "first")
    finetune(make_spec(engine=Engine.DEEPSPEED, deepspeed=config), tmp_path / "between")
    second = finetune(make_spec(), tmp_path / "second")
    assert second.engine == "torch"
    assert second.losses == first.losses


def test_resolve_engine_auto_is_deepspeed_exactly_where_there_is_a_gpu() -> None:
    import torch

    expected = Engine.DEEPSPEED if torch.cuda.is_available() else Engine.TORCH
    assert resolve_engine(Engine.AUTO) is expected
    assert resolve_engine(Engine.TORCH) is Engine.TORCH
