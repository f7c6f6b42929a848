"""Tasks of lm-eval as measures of a checkpoint: checked before training, identified, evaluated."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.benchmarks.lm_eval_code import templates
from tasks.benchmarks.lm_eval_files import FEWSHOT_SEED, BuiltTask, build_task, quiet
from tasks.benchmarks.lm_eval_models import UnchangedPrompts, open_transformers, open_vllm
from tasks.benchmarks.scores import mean_score
from tasks.errors import InputError, RunError
from tasks.finetune.engine import quiet_process
from tasks.fingerprint import file_sha256

if TYPE_CHECKING:
    from tasks.benchmarks.measures import Generation, LmEvalMeasure

RESAMPLES = 200
"""Draws with replacement behind the standard error of a value that is no mean (F1, perplexity, …)."""


class TaskValue(NamedTuple):
    """One value of a task.

    Attributes:
        value: as lm-eval gives it.
        n: documents behind it.
        standard_error: over documents as independent draws: of the mean from the documents' values, else from RESAMPLES
            bootstrap draws; None where n is 1.
    """

    value: float
    n: int
    standard_error: float | None


@dataclass(frozen=True)
class TaskSummary:
    """What a task gives.

    Attributes:
        values: names of its values: metric and filter.
        higher_is_better: direction of the measure's value, as the task states it.
        documents: how many are evaluated.
    """

    values: tuple[str, ...]
    higher_is_better: bool
    documents: int


@dataclass(frozen=True)
class TaskDocument:
    """One document and what became of it.

    Attributes:
        document: its fields.
        replies: what the model gave: generated texts, or log-likelihoods (nats) of the first choice.
        taken: what the value's filter took from them.
        value: the document's own value of the metric; a number, or what the metric sums up.
    """

    document: dict[str, Any]
    replies: tuple[Any, ...]
    taken: Any
    value: Any


def check_task(measure: LmEvalMeasure) -> TaskSummary:
    """Make sure that a task can be evaluated, without any model; every document is rendered.

    Raises:
        InputError: it cannot; says why and what to do (see `build_task`).
    """
    built = build_task(measure)
    documents = _documents(measure, built)
    _render(measure, built, documents)
    direction = built.task.higher_is_better().get(measure.value.partition(",")[0])
    if direction is None:
        raise InputError(
            f"lm-eval task {measure.task!r} does not say whether more {measure.value!r} is better; set "
            "higher_is_better in its metric_list"
        )
    return TaskSummary(built.values, bool(direction), len(documents))


def task_identity(measure: LmEvalMeasure) -> dict[str, Any]:
    """What decides a task's values beside the measure's own keys, for a fingerprint; holds no path.

    lm-eval's version, and the SHA-256 of the YAML file with all that it includes, of the folder's Python files where
    they may run, of the documents evaluated and of the examples that prompts are drawn from.

    Raises:
        InputError: the task cannot be evaluated (see `build_task`).
    """
    built = build_task(measure)
    folder = measure.task_folder if measure.allow_code else None
    code = sorted(Path(folder).rglob("*.py")) if folder else []
    shots = built.task.get_config("num_fewshot")
    return {
        "lm_eval": metadata.version("lm_eval"),
        "yaml": [file_sha256(path) for path in built.files],
        "code": [file_sha256(path) for path in code],
        "documents": _documents_sha256(_documents(measure, built)),
        "examples": _documents_sha256(built.task.fewshot_docs()) if shots else None,
    }


def evaluate_task(
    measure: LmEvalMeasure,
    checkpoint: Path,
    base_model: Path,
    generation: Generation,
    options: Mapping[str, Any] | None = None,
) -> TaskValue:
    """The value of a task: `evaluate_documents` without the documents."""
    return evaluate_documents(measure, checkpoint, base_model, generation, options)[0]


def evaluate_documents(
    measure: LmEvalMeasure,
    checkpoint: Path,
    base_model: Path,
    generation: Generation,
    options: Mapping[str, Any] | None = None,
) -> tuple[TaskValue, tuple[TaskDocument, ...]]:
    """Evaluate a checkpoint on a task, with lm-eval's own prompts, filters and metrics.

    Args:
        measure: the task and which of its values.
        checkpoint: folder of the trained model, or of a LoRA adapter on `base_model`.
        base_model: folder of the base checkpoint; its tokenizer and chat template are used.
        generation: its engine, which must be resolved ("transformers" or "vllm"), and batch size.
        options: vLLM's engine arguments, e.g. gpu_memory_utilization.

    Raises:
        InputError: the task cannot be evaluated (see `build_task`), or a prompt is too long for the model or not what
            its chat template takes: lm-eval would cut or change it in silence.
        RunError: the value is not finite.
    """
    built = build_task(measure)
    opened = open_vllm if generation.engine == "vllm" else open_transformers
    if generation.engine == "vllm" and built.task.OUTPUT_TYPE == "generate_until":
        # lm-eval's vLLM class would spell special tokens out, its Hugging Face class does not.
        built.task.set_config(key="generation_kwargs", value={"skip_special_tokens": True}, update=True)
    loaded = opened(measure, checkpoint, base_model, generation.batch_size, options or {})
    with quiet_process(0), quiet(), loaded as model:
        results = _evaluated(measure, built, UnchangedPrompts(model))
    metric, _, filter_name = measure.value.partition(",")
    documents = tuple(
        TaskDocument(sample["doc"], tuple(sample["resps"][0]), sample["filtered_resps"][0], sample[metric])
        for sample in results["samples"][measure.task]
        if sample["filter"] == filter_name and metric in sample
    )
    value = float(results["results"][measure.task][measure.value])
    return _task_value(measure, built, value, [document.value for document in documents]), documents


def _render(measure: LmEvalMeasure, built: BuiltTask, documents: Sequence[dict[str, Any]]) -> None:
    with templates(measure.allow_code):
        for number, document in enumerate(documents):
            try:
                built.task.doc_to_text(document)
                built.task.doc_to_target(document)
            except Exception as error:
                raise InputError(
                    f"lm-eval task {measure.task!r}, document {number} of its data (from 0): its question or answer "
                    f"cannot be made from its fields: {type(error).__name__}: {error}"
                ) from error


def _documents(measure: LmEvalMeasure, built: BuiltTask) -> list[dict[str, Any]]:
    return list(itertools.islice(built.task.eval_docs, measure.limit))


def _documents_sha256(documents: Any) -> str:
    """Over the documents' JSON, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(json.dumps(document, sort_keys=True, ensure_ascii=False, default=str).encode() + b"\n")
    return digest.hexdigest()


def _evaluated(measure: LmEvalMeasure, built: BuiltTask, model: Any) -> Any:
    import torch
    from lm_eval.evaluator import evaluate

    # A task that samples its answers gives the same ones in every run.
    with templates(measure.allow_code), torch.random.fork_rng():
        torch.manual_seed(FEWSHOT_SEED)
        return evaluate(
            lm=model,
            task_dict={"tasks": {measure.task: built.task}},
            limit=measure.limit,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=measure.chat_template,
            fewshot_as_multiturn=measure.chat_template,
        )


def _task_value(measure: LmEvalMeasure, built: BuiltTask, value: float, values: Sequence[Any]) -> TaskValue:
    from lm_eval.api.metrics import mean

    metric, n = measure.value.partition(",")[0], len(values)
    if not math.isfinite(value):
        raise RunError(f"lm-eval task {measure.task!r}: {measure.value} is {value} over {n} documents")
    summarize = built.task.aggregation()[metric]
    if summarize is mean:
        return TaskValue(value, n, mean_score("", metric, [float(v) for v in values]).standard_error)
    return TaskValue(value, n, _bootstrap_error(values, summarize) if n > 1 else None)


def _bootstrap_error(values: Sequence[Any], summarize: Callable[[list[Any]], float]) -> float:
    import numpy as np

    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    return float(np.std([summarize([values[k] for k in draw]) for draw in draws], ddof=1))
