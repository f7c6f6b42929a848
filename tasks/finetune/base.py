"""Base checkpoints: the folder (safetensors and tokenizer) that every run of an experiment starts from, made once."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.finetune.engine import quiet_process
from tasks.finetune.pretrained import pretrained_identity, save_pretrained
from tasks.finetune.recipe import Engine, ModelConfig, PretrainedModel, Recipe, SmolLM2Model, TinyModel
from tasks.finetune.smollm2 import save_smollm2, smollm2_identity
from tasks.finetune.spec_file import write_json
from tasks.finetune.tiny import characters, save_tiny
from tasks.finetune.train import MODEL_FOLDER, Job, run_job
from tasks.fingerprint import fingerprint
from tasks.interventions.manifest import Manifest
from tasks.pool.instruction import Instruction

MARKER = "base.json"
"""File in a base checkpoint's folder that says what it was made from."""

_WARMUP_BATCH = 32


def base_identity(model: ModelConfig) -> dict[str, Any]:
    """What decides a base model's weights, as plain JSON for fingerprints: never a path.

    A tiny model's vocabulary and warm-up come from the pool, whose hash is in a run's fingerprint anyway.

    Raises:
        InputError: a hub name without a full commit hash, a folder without safetensors, or a missing package.
    """
    match model:
        case TinyModel():
            return model.model_dump(mode="json")
        case PretrainedModel():
            return pretrained_identity(model)
        case SmolLM2Model():
            return smollm2_identity()


def prepare_base(
    model: ModelConfig, train: Sequence[Instruction], warmup: Sequence[Instruction], out: Path, threads: int = 0
) -> Path:
    """Make the base checkpoint in the folder `out`, or find that it is there already.

    It is built in a temporary folder beside `out` and renamed, so a folder that exists is complete; of two processes
    that build it at once, one wins and both return it.

    Args:
        model: which model.
        train: rows whose characters a tiny model must know: the pool, held-out parts included. Unused for others.
        warmup: rows for the warm-up training of a tiny model (see `TinyModel.warmup_epochs`). Unused for others.
        out: the folder.
        threads: CPU threads of the warm-up; 0 leaves torch's default.

    Raises:
        InputError: the model cannot be had or is not safe to load, or `out` holds another base checkpoint.
        RunError: the warm-up training failed.
    """
    identity: dict[str, Any] = {"model": base_identity(model)}
    build: Callable[[Path], None]
    if isinstance(model, TinyModel):
        alphabet = characters([*train, *warmup])
        rows = tuple(warmup) if model.warmup_epochs else ()
        identity |= {"alphabet": "".join(alphabet), "warmup": [row.content_hash for row in rows]}
        build = partial(_build_tiny, model, alphabet, rows, threads)
    elif isinstance(model, PretrainedModel):
        build = partial(save_pretrained, model)
    else:
        build = save_smollm2
    return _once(out, identity, build, threads)


def _once(out: Path, identity: dict[str, Any], build: Callable[[Path], None], threads: int) -> Path:
    digest = fingerprint(identity)
    if out.exists():
        _check_marker(out, digest)
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / "base"
        folder.mkdir()
        with quiet_process(threads):
            build(folder)
        write_json(folder / MARKER, {"sha256": digest, "model": identity["model"]})
        try:
            folder.rename(out)
        except OSError:
            # Another process was faster: a rename never replaces a folder that holds something.
            if not out.exists():
                raise
            _check_marker(out, digest)
    return out


def _check_marker(out: Path, digest: str) -> None:
    try:
        found = json.loads((out / MARKER).read_text(encoding="utf-8")).get("sha256")
    except (OSError, ValueError, AttributeError):
        raise InputError(f"{out} exists but is no base checkpoint of this product; give another folder") from None
    if found != digest:
        raise InputError(f"{out} holds another base checkpoint; give a folder per model and pool, or delete it")


def _build_tiny(
    model: TinyModel, alphabet: tuple[str, ...], warmup: tuple[Instruction, ...], threads: int, folder: Path
) -> None:
    if not warmup:
        save_tiny(model, alphabet, folder)
        return
    work = folder.parent
    save_tiny(model, alphabet, work / "fresh")
    job = Job(
        fingerprint="warm-up",
        seed=model.seed,
        recipe=Recipe(
            model=model,
            engine=Engine.TORCH,
            epochs=model.warmup_epochs,
            batch_size=_WARMUP_BATCH,
            learning_rate=model.warmup_learning_rate,
            max_length=4096,
        ),
        base_model=work / "fresh",
        instructions={row.id: row for row in warmup},
        manifest=warmup_manifest(warmup, model.warmup_epochs, model.seed),
        threads=threads,
    )
    run_job(job, work / "warmup")
    shutil.copytree(work / "warmup" / MODEL_FOLDER, folder, dirs_exist_ok=True)


def warmup_manifest(rows: Sequence[Instruction], epochs: int, seed: int) -> Manifest:
    """All rows once per epoch, each epoch (a stage) in an order of its own that the seed decides."""
    ids: list[str] = []
    for epoch in range(epochs):
        order = sorted(row.id for row in rows)
        random.Random(f"warm-up {seed} {epoch}").shuffle(order)  # noqa: S311 (no secret)
        ids.extend(order)
    return Manifest(tuple(ids), tuple(epoch for epoch in range(epochs) for _ in rows))
