"""A tiny model that has learnt to copy single letters, and rows that it gets right and wrong."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tasks.finetune.base import prepare_base
from tasks.finetune.recipe import Engine, Recipe, TinyModel
from tasks.finetune.train import Job, run_job
from tasks.interventions.manifest import Manifest
from tasks.pool.instruction import Instruction

LETTERS = "abcd"


def row(text: str, answer: str, category: str) -> Instruction:
    return Instruction(f"{category} {text}", (("user", text), ("assistant", answer)), category)


@pytest.fixture(scope="session")
def training_rows() -> tuple[Instruction, ...]:
    """Single letters and half of the pairs, each copied."""
    single = [row(letter, letter, "letter") for letter in LETTERS]
    pairs = ["".join(pair) for pair in itertools.product(LETTERS, repeat=2)]
    return (*single, *(row(pair, pair, "pair") for pair in pairs[::2]))


@pytest.fixture(scope="session")
def held_out() -> tuple[Instruction, ...]:
    """Unseen pairs, longer texts, an empty answer, and letters behind a space."""
    pairs = ["".join(pair) for pair in itertools.product(LETTERS, repeat=2)][1::2]
    long = ["abcd", "dcba dcba", "aaaaaa", "bd ac bd ac"]
    spaced = [row(f" {letter}", letter, "letter") for letter in LETTERS]
    return (
        *(row(text, text, "long") for text in long),
        *(row(pair, pair, "pair") for pair in pairs),
        row("  ", "", "long"),
        *spaced,
    )


@pytest.fixture(scope="session")
def tiny_base(
    tmp_path_factory: pytest.TempPathFactory,
    training_rows: tuple[Instruction, ...],
    held_out: tuple[Instruction, ...],
) -> Path:
    model = TinyModel(layers=2, width=32, heads=2)
    return prepare_base(model, (*training_rows, *held_out), (), tmp_path_factory.mktemp("base") / "tiny", threads=1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, training_rows: tuple[Instruction, ...]) -> Path:
    """Checkpoint of the base after 60 steps on the training rows."""
    ids = [r.id for r in training_rows] * 60
    job = Job(
        fingerprint="trained",
        seed=0,
        recipe=Recipe(
            model=TinyModel(layers=2, width=32, heads=2), engine=Engine.TORCH, batch_size=12, learning_rate=1e-2
        ),
        base_model=tiny_base,
        instructions={r.id: r for r in training_rows},
        manifest=Manifest(tuple(ids), (0,) * len(ids)),
        threads=1,
    )
    return Path(run_job(job, tmp_path_factory.mktemp("trained")).checkpoint)
