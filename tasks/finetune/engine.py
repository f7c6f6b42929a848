"""Engine and training arguments: from a recipe to what TRL, accelerate and DeepSpeed take."""

from __future__ import annotations

import logging
import math
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.finetune.order import BatchPlan
from tasks.finetune.recipe import Engine, Recipe

MAX_GRADIENT_NORM = 1.0


def resolve_engine(engine: Engine) -> Engine:
    """Torch or deepspeed: auto is deepspeed where there is a GPU, else torch."""
    if engine is not Engine.AUTO:
        return engine
    import torch

    return Engine.DEEPSPEED if torch.cuda.is_available() else Engine.TORCH


def training_arguments(
    recipe: Recipe, plan: BatchPlan, seed: int, folder: Path, deepspeed: dict[str, Any] | None
) -> Any:
    """TRL's arguments: one pass, no shuffling, no packing, no truncation, no reports, no evaluation.

    Gradients are clipped to norm 1; the optimizer is AdamW with torch's own betas and epsilon.
    """
    import torch
    from trl.trainer.sft_config import SFTConfig

    arguments = SFTConfig(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=plan.piece,
        gradient_accumulation_steps=plan.micro_steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule if recipe.schedule != "constant" else "constant_with_warmup",
        warmup_steps=math.ceil(recipe.warmup_fraction * plan.steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=MAX_GRADIENT_NORM,
        optim="adamw_torch_fused" if deepspeed is None else "adamw_torch",
        bf16=recipe.precision == "bfloat16",
        activation_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        save_strategy="no" if recipe.checkpoint_every is None else "steps",
        save_steps=recipe.checkpoint_every or plan.steps,
        eval_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        max_length=None,
        packing=False,
        shuffle_dataset=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        deepspeed=deepspeed,
    )
    if arguments.n_gpu > 1:
        # One process drives one GPU; several are Ray Train's business.
        arguments._n_gpu = 1
    return arguments


@contextmanager
def quiet_process(threads: int) -> Iterator[None]:
    """Progress bars, telemetry and chatter off, `threads` CPU threads (0: as they are) for the time of one training."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    if not torch.cuda.is_available():
        # DeepSpeed, which accelerate imports, warns about the missing GPU otherwise.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        with warnings.catch_warnings():
            # What torch, transformers and DeepSpeed will deprecate is nothing that a user can act on.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deepspeed_process(engine: Engine, workers: int) -> Iterator[None]:
    """The environment that DeepSpeed needs, for the time of one training; nothing for the torch engine.

    A single worker becomes a process group of one on a free local port; several were grouped by Ray Train. Without a
    GPU, collectives go through gloo, so that no operator has to be compiled.
    """
    if engine is not Engine.DEEPSPEED:
        yield
        return
    import torch

    before = dict(os.environ)
    # Without it, accelerate takes all cores for a process group on the CPU.
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    # It warns that DeepSpeed counts accumulated passes while the trainer does; both count the same.
    logging.getLogger("accelerate.accelerator").setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    if workers == 1:
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
        os.environ["MASTER_PORT"] = str(_free_port())
    import deepspeed

    if not torch.cuda.is_available():
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    try:
        yield
    finally:
        # transformers leaves flags and a configuration behind that would turn the process's next run into DeepSpeed.
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()
        if workers == 1 and torch.distributed.is_initialized():
            deepspeed.comm.destroy_process_group()
            deepspeed.comm.comm.cdb = None
        os.environ.clear()
        os.environ.update(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def deepspeed_config(given: dict[str, Any] | None) -> dict[str, Any]:
    """The DeepSpeed configuration of a specification.

    Raises:
        InputError: there is none.
    """
    if given is None:
        raise InputError(
            "the run's engine is deepspeed but its specification has no 'deepspeed' configuration; put the contents of "
            "infra/deepspeed/zero<stage>.json there, or set recipe.engine to torch"
        )
    return given
