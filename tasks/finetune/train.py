"""One fine-tune: specification in, checkpoint and record out. Finished work is returned, cut-short work resumed."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.errors import InputError, RunError
from tasks.finetune.checkpoints import newest_complete
from tasks.finetune.distributed import finetune_on_workers
from tasks.finetune.encoding import EncodedInstruction, encode, load_tokenizer
from tasks.finetune.engine import deepspeed_config, deepspeed_process, quiet_process, resolve_engine, training_arguments
from tasks.finetune.ledger import Ledger, OnStep
from tasks.finetune.order import BatchPlan
from tasks.finetune.packing import require_separate_rows
from tasks.finetune.recipe import Engine, Lora, Recipe
from tasks.finetune.spec import RunSpec, TrainingRecord
from tasks.finetune.spec_file import RECORD_NAME, read_record, write_record
from tasks.finetune.trainer import Collator, step_callback_class, trainer_class
from tasks.interventions.manifest import Manifest
from tasks.interventions.manifest_file import read_manifest
from tasks.pool.instruction import Instruction
from tasks.pool.storage import read_instructions

MODEL_FOLDER = "model"
"""Name of the trained model's folder inside a run's folder."""

_CHECKPOINTS = "checkpoints"
_PACKAGES = ("torch", "transformers", "trl", "accelerate")


@dataclass(frozen=True)
class Job:
    """A fine-tune with its data in memory.

    Attributes:
        fingerprint: identity of the run.
        seed: decides dropout and adapters' initial weights.
        recipe: how to train.
        base_model: folder of the base checkpoint.
        instructions: by id; holds at least the manifest's.
        manifest: ids in training order.
        deepspeed: DeepSpeed's configuration, where that is the engine.
        threads: CPU threads; 0 leaves torch's default.
    """

    fingerprint: str
    seed: int
    recipe: Recipe
    base_model: Path
    instructions: Mapping[str, Instruction]
    manifest: Manifest
    deepspeed: dict[str, Any] | None = None
    threads: int = 0


def finetune(spec: RunSpec, out: Path, on_step: OnStep | None = None) -> TrainingRecord:
    """Train what the specification says into `out`: model/ (safetensors, tokenizer) and, last, record.json.

    A folder that already holds this run's record is returned at once; a run that was cut short goes on from its last
    complete checkpoint (recipe.checkpoint_every) with the same order, optimizer and random state.

    Raises:
        InputError: the specification's files are missing, do not match its hash, or hold an example that is too long;
            or `out` holds another run.
        RunError: the loss became NaN or infinite, or the model saw another order than the manifest's.
    """
    finished = finished_record(spec.fingerprint, out)
    if finished is not None:
        return finished
    job = load_job(spec)
    if spec.workers > 1:
        return finetune_on_workers(spec, out, on_step)
    return run_job(job, out, on_step)


def finished_record(fingerprint: str, out: Path) -> TrainingRecord | None:
    """The record of a run that is complete in this folder, its checkpoint included; None where it is not.

    Raises:
        InputError: the folder holds the record of another run.
    """
    path = out / RECORD_NAME
    if not path.is_file():
        return None
    record = read_record(path)
    if record.fingerprint != fingerprint:
        raise InputError(f"{out} holds run {record.fingerprint[:12]}, not {fingerprint[:12]}; give another folder")
    model = out / MODEL_FOLDER
    return replace(record, checkpoint=str(model.resolve())) if model.is_dir() else None


def load_job(spec: RunSpec) -> Job:
    """Read and check a specification's files.

    Raises:
        InputError: a file is missing or broken, the manifest has another hash, or names an id that is not in the data.
    """
    base = Path(spec.base_model)
    if not (base / "config.json").is_file():
        raise InputError(f"base_model: {base} holds no config.json; give a folder made by prepare_base")
    manifest = read_manifest(Path(spec.manifest))
    if manifest.sha256 != spec.manifest_sha256:
        raise InputError(
            f"{spec.manifest}: its hash is {manifest.sha256[:12]}…, the specification says "
            f"{spec.manifest_sha256[:12]}…; use the manifest that was written with the specification"
        )
    if not manifest.ids:
        raise InputError(f"{spec.manifest} is empty; a training set needs at least one example")
    instructions = {row.id: row for row in read_instructions(Path(spec.train_data))}
    missing = next((i for i in manifest.ids if i not in instructions), None)
    if missing is not None:
        raise InputError(f"{spec.manifest}: the id {missing!r} is not in {spec.train_data}; write both from one pool")
    return Job(spec.fingerprint, spec.seed, spec.recipe, base, instructions, manifest, spec.deepspeed, spec.threads)


def run_job(job: Job, out: Path, on_step: OnStep | None = None) -> TrainingRecord:
    """Train in this process (alone, or as one of Ray Train's workers) and write the model, then the record.

    Raises:
        InputError: an example does not fit the recipe, or `out` holds another run's checkpoint.
        RunError: the loss became NaN or infinite, or the order was not the manifest's.
    """
    start = time.perf_counter()
    engine = resolve_engine(job.recipe.engine)
    with quiet_process(job.threads), deepspeed_process(engine, _worker()[0]):
        trainer, examples = _build(job, out, on_step)
        ledger: Ledger = trainer.ledger
        resume = newest_complete(out / _CHECKPOINTS)
        if resume is not None:
            ledger.restore(resume[1])
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume[0]))
        _check_order(ledger, job)
        _save_model(trainer, out / MODEL_FOLDER)
        record = _record(job, ledger, examples, trainer, out / MODEL_FOLDER, time.perf_counter() - start)
    if trainer.args.process_index == 0:
        write_record(out / RECORD_NAME, record)
        shutil.rmtree(out / _CHECKPOINTS, ignore_errors=True)
    return record


def _build(job: Job, out: Path, on_step: OnStep | None) -> tuple[Any, list[EncodedInstruction]]:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PrinterCallback

    engine = resolve_engine(job.recipe.engine)
    tokenizer = load_tokenizer(job.base_model)
    examples = _encode_manifest(tokenizer, job)
    workers, rank = _worker()
    plan = BatchPlan(len(examples), job.recipe.batch_size, workers, job.recipe.micro_batch_size)
    ledger = Ledger(job.fingerprint, job.manifest, plan.steps, on_step if rank == 0 else None)
    config = deepspeed_config(job.deepspeed) if engine is Engine.DEEPSPEED else None
    _fresh_accelerate(workers)
    arguments = training_arguments(job.recipe, plan, job.seed, out / _CHECKPOINTS, config)
    model = AutoModelForCausalLM.from_pretrained(
        str(job.base_model), dtype="float32", use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    if job.recipe.packing == "padding-free":
        require_separate_rows(model)
    trainer = trainer_class()(
        plan=plan,
        ledger=ledger,
        model=model,
        args=arguments,
        # TRL asks for a data set; the real one is the plan and the collator, in memory, without a cache on disk.
        train_dataset=Dataset.from_dict({"position": list(range(len(examples)))}),
        processing_class=tokenizer,
        data_collator=Collator(examples, plan.piece, _pad_id(tokenizer), job.recipe.packing),
        peft_config=_lora(job.recipe),
        callbacks=[step_callback_class()(ledger)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, examples


def _encode_manifest(tokenizer: Any, job: Job) -> list[EncodedInstruction]:
    distinct = list(dict.fromkeys(job.manifest.ids))
    rows = (job.instructions[i] for i in distinct)
    encoded = encode(tokenizer, rows, job.recipe.max_length, job.recipe.masking)
    by_id = {row.id: row for row in encoded}
    return [by_id[i] for i in job.manifest.ids]


def _pad_id(tokenizer: Any) -> int:
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _lora(recipe: Recipe) -> Any:
    if not isinstance(recipe.method, Lora):
        return None
    from peft import LoraConfig

    targets = recipe.method.target_modules
    return LoraConfig(
        r=recipe.method.rank,
        lora_alpha=recipe.method.alpha,
        lora_dropout=recipe.method.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _worker() -> tuple[int, int]:
    import torch.distributed

    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 1, 0
    return torch.distributed.get_world_size(), torch.distributed.get_rank()


def _fresh_accelerate(workers: int) -> None:
    # accelerate keeps process-wide state, which a reused worker would carry from one run's engine to the next.
    from accelerate.state import AcceleratorState, GradientState

    GradientState._reset_state()
    AcceleratorState._reset_state(reset_partial_state=workers == 1)


def _check_order(ledger: Ledger, job: Job) -> None:
    if ledger.seen_sha256() != job.manifest.sha256:
        expected = list(range(len(job.manifest.ids)))
        at = next((k for k, (a, b) in enumerate(zip(ledger.positions, expected, strict=False)) if a != b), None)
        where = f"first at example {at}" if at is not None else f"{len(ledger.positions)} of {len(expected)} examples"
        raise RunError(f"the model saw another order than the manifest's ({where}); the run does not count")


def _save_model(trainer: Any, folder: Path) -> None:
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    sharded = plugin is not None and plugin.zero_stage == 3
    # Gathering is for sharded weights only: it also unties tied ones, which then would be saved twice.
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if sharded else None
    if trainer.args.process_index != 0:
        return
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    model.save_pretrained(str(temporary), state_dict=state, safe_serialization=True)
    trainer.processing_class.save_pretrained(str(temporary))
    temporary.rename(folder)


def _record(
    job: Job, ledger: Ledger, examples: list[EncodedInstruction], trainer: Any, model: Path, seconds: float
) -> TrainingRecord:
    import torch

    engine = "deepspeed" if trainer.is_deepspeed_enabled else "torch"
    extra = ("deepspeed",) * (engine == "deepspeed") + ("peft",) * isinstance(job.recipe.method, Lora)
    return TrainingRecord(
        fingerprint=job.fingerprint,
        checkpoint=str(model.resolve()),
        steps=len(ledger.losses),
        examples=len(ledger.positions),
        tokens=sum(len(examples[p].tokens) for p in ledger.positions),
        losses=tuple(ledger.losses),
        seen_sha256=ledger.seen_sha256(),
        seconds=seconds,
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        engine=engine,
        host=socket.gethostname(),
        resumed_from_step=ledger.resumed_from_step,
        versions=tuple((name, metadata.version(name)) for name in (*_PACKAGES, *extra)),
    )
