"""A small pool, a tiny base model and run specifications for the fine-tuning tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.finetune.base import prepare_base
from tasks.finetune.recipe import Engine, Recipe, TinyModel
from tasks.finetune.spec import RunSpec
from tasks.interventions.manifest import Manifest
from tasks.interventions.manifest_file import write_manifest
from tasks.pool.instruction import Instruction
from tasks.pool.storage import write_instructions

TINY = TinyModel(layers=2, width=32, heads=2, seed=5)


@pytest.fixture(scope="session")
def rows() -> tuple[Instruction, ...]:
    """60 instructions of different lengths, in an order that is not sorted by anything."""
    draw = random.Random(1)
    texts = ["".join(draw.choices("abcdef", k=draw.randint(2, 9))) for _ in range(60)]
    return tuple(
        Instruction(f"row-{k}", (("user", f"copy: {t} {k}"), ("assistant", t)), "copy") for k, t in enumerate(texts)
    )


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, rows: tuple[Instruction, ...]) -> Path:
    """A tiny base checkpoint that knows the rows' characters."""
    return prepare_base(TINY, rows, (), tmp_path_factory.mktemp("base") / "tiny", threads=1)


@pytest.fixture
def make_spec(tmp_path: Path, base: Path, rows: tuple[Instruction, ...]) -> Callable[..., RunSpec]:
    """Write data and manifest of a run and give its specification; keyword arguments change recipe and run."""

    def make(ids: list[str] | None = None, *, engine: Engine = Engine.TORCH, **changes: Any) -> RunSpec:
        order = ids if ids is not None else [row.id for row in rows]
        run = {key: changes.pop(key) for key in ("workers", "deepspeed", "fingerprint", "seed") if key in changes}
        manifest = Manifest(tuple(order), tuple(k % 3 for k in range(len(order))))
        write_instructions(tmp_path / "train.jsonl", rows)
        write_instructions(tmp_path / "held_out.jsonl", rows[:1])
        write_manifest(tmp_path / "manifest.jsonl", manifest)
        recipe = Recipe(model=TINY, engine=engine, **{"batch_size": 8, "learning_rate": 3e-3, **changes})
        return RunSpec(
            **{"fingerprint": "a" * 64, "seed": 3, **run},
            name="test run",
            recipe=recipe,
            base_model=str(base),
            train_data=str(tmp_path / "train.jsonl"),
            manifest=str(tmp_path / "manifest.jsonl"),
            manifest_sha256=manifest.sha256,
            held_out=str(tmp_path / "held_out.jsonl"),
            threads=1,
        )

    return make
