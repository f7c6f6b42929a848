"""The Ray Data pipeline: files of questions → vLLM engines → answers, as they come."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tasks.errors import InputError, RunError
from tasks.inference.questions import ChoiceQuestion
from tasks.inference.vllm_config import ENVIRONMENT, NOT_COMPILED, VllmConfig, engine_arguments

_BATCH_ON_GPU, _BATCH_ON_PROCESSORS = 128, 16
_BATCHES_AT_ONCE = 8
_LIGHT_TASK = 0.1
"""CPUs of reading and unpacking: they take little beside the engines, and must fit beside them on any machine."""


@dataclass(frozen=True)
class Generated:
    """One answer as the engine gave it.

    Attributes:
        key: the question's.
        text: "" where there is an error.
        log_probability: of the whole answer, in nats, among what the form of the answer allowed.
        tokens_in: prompt tokens.
        tokens_out: tokens of the answer.
        cut_off: whether the answer came to its longest length.
        error: why there is none; "" if there is one.
    """

    key: str
    text: str
    log_probability: float
    tokens_in: int
    tokens_out: int
    cut_off: bool
    error: str


def generate(config: VllmConfig, question: ChoiceQuestion[Any], folder: Path) -> Iterator[Generated]:
    """Ask every question in the files of `folder` (see `PromptEncoder`); answers come in any order.

    Args:
        config: the model and how to run it.
        question: gives the form of the answers.
        folder: questions; visible to all nodes.

    Raises:
        InputError: the cluster has too few GPUs for one engine.
        RunError: an engine does not start or is lost.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray
    from ray.data import DataContext, read_parquet
    from ray.data.llm import build_processor

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    settings = _settings(config)
    # On processors a question's own seed ends the engine (vLLM 0.29: "CPU Generator does not use offset").
    seeded = config.votes > 1 and ray.cluster_resources().get("GPU", 0) > 0
    with _quiet():
        processor = build_processor(
            settings,
            preprocess=partial(_asked, _sampling(config, question), seeded),
            postprocess=_answered,
            preprocess_map_kwargs={"num_cpus": _LIGHT_TASK},
            postprocess_map_kwargs={"num_cpus": _LIGHT_TASK},
        )
    # By default Ray Data starts a lost engine again without end, also where a question is what ends it.
    processor.get_stage_by_name("vLLMEngineStage").map_batches_kwargs["max_restarts"] = 0
    questions = read_parquet(str(folder), num_cpus=_LIGHT_TASK)
    # An answer leaves the engine with its block: small blocks lose little when everything is killed.
    blocks = questions.repartition(target_num_rows_per_block=settings.batch_size)
    try:
        for row in processor(blocks).iter_rows():
            yield _generated(row, question.longest_answer)
    except ray.exceptions.RayError as error:
        raise RunError(
            f"{config.model}: a vLLM engine failed ({_last_line(error)}). What was answered is kept."
        ) from error


def _asked(sampling: Mapping[str, Any], seeded: bool, row: dict[str, Any]) -> dict[str, Any]:
    """What the engine takes for a row of a file of questions."""
    seed = {"seed": row["seed"]} if seeded else {}
    return {"tokenized_prompt": row["tokens"], "sampling_params": {**sampling, **seed}}


def _answered(row: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an engine's row."""
    tokens = row["generated_tokens"]
    chances = [one[token]["logprob"] for one, token in zip(row["logprobs"] or [], tokens, strict=False)]
    return {
        "key": row["key"],
        "text": row["generated_text"],
        "log_probability": float(sum(chances)),
        "tokens_in": row["num_input_tokens"],
        "tokens_out": len(tokens),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's messages would break into the command's own; building a processor sets their level anew."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        logging.getLogger("ray").setLevel(logging.ERROR)
        # What ends the pipeline is raised, and told once.
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _sampling(config: VllmConfig, question: ChoiceQuestion[Any]) -> dict[str, Any]:
    form: dict[str, Any] = {}
    if question.choices is not None:
        form = {"structured_outputs": {"choice": list(question.choices)}}
    elif question.schema is not None:
        form = {"structured_outputs": {"json": dict(question.schema)}}
    chance = {"logprobs": 0} if question.closed and config.votes == 1 else {}
    return {
        "temperature": 0.0 if config.votes == 1 else 1.0,
        "max_tokens": question.longest_answer,
        **form,
        **chance,
    }


def _settings(config: VllmConfig) -> Any:
    import ray
    from ray.data.llm import vLLMEngineProcessorConfig

    total = ray.cluster_resources()
    gpus = int(total.get("GPU", 0))
    engines = config.engines
    place: dict[str, Any]
    if gpus:
        if gpus < config.tensor_parallel * (engines or 1):
            raise InputError(
                f"{engines or 1} engines of {config.tensor_parallel} GPUs are asked for, but the Ray cluster has "
                f"{gpus}. Lower --engines or --tensor-parallel."
            )
        engines = engines or gpus // config.tensor_parallel
        place = {"bundle_per_worker": {"GPU": 1, "CPU": 1}}
    else:
        if config.tensor_parallel > 1:
            raise InputError("--tensor-parallel needs GPUs, and the Ray cluster has none.")
        engines = engines or 1
        place = {"bundles": [{"CPU": max(0.5, (total.get("CPU", 1) - 1) / engines)}]}
    # Who asks for compilation gets it.
    compiled = bool(gpus) or config.options.get("enforce_eager") is False
    environment = {**ENVIRONMENT, **({} if compiled else NOT_COMPILED)}
    if config.tensor_parallel > 1:
        # The actor that holds the engine has no GPU of its own, and must see those of its workers.
        environment["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    return vLLMEngineProcessorConfig(
        model_source=config.model,
        engine_kwargs={
            "tensor_parallel_size": config.tensor_parallel,
            **engine_arguments(config.options, bool(gpus)),
        },
        batch_size=_BATCH_ON_GPU if gpus else _BATCH_ON_PROCESSORS,
        max_concurrent_batches=_BATCHES_AT_ONCE,
        concurrency=(engines, engines),
        should_continue_on_error=True,
        log_engine_metrics=False,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        placement_group_config=place,
        runtime_env={"env_vars": environment},
    )


def _generated(row: dict[str, Any], longest: int) -> Generated:
    error = row.get("__inference_error__") or ""
    if error:
        return Generated(row["key"], "", 0.0, 0, 0, False, " ".join(error.split())[:300])
    length = int(row["tokens_out"])
    return Generated(
        row["key"],
        row["text"],
        float(row["log_probability"]),
        int(row["tokens_in"]),
        length,
        length >= longest,
        "",
    )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__
