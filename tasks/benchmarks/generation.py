"""Answers of a checkpoint, generated greedily."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from tasks.benchmarks.measures import EngineName
from tasks.finetune.encoding import encode
from tasks.inference.vllm_config import need_vllm, vllm_name
from tasks.pool.instruction import Instruction, Message

GENERATION_VERSION = "1"
"""Changes whenever the same checkpoint and prompts would give other answers; part of a run's fingerprint."""

Engine = Literal["transformers", "vllm"]


class Generator(Protocol):
    """Anything that answers prompts with a checkpoint."""

    @property
    def name(self) -> str:
        """The engine with its version, e.g. "transformers-5.23.0"."""
        ...

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """Answer every prompt greedily, in order.

        Args:
            prompts: token ids, as `encode_prompts` gives them.
            max_new_tokens: longest answer, in tokens.

        Returns:
            Text up to the end token, which is left out, as are other special tokens; up to `max_new_tokens` tokens
            where none comes.
        """
        ...


def resolve_engine(engine: EngineName, gpus_per_run: float) -> Engine:
    """The engine that `auto` means: vllm where runs have a GPU and vllm is installed here, else transformers.

    Raises:
        InputError: vllm is asked for and not installed.
    """
    if engine == "auto":
        return "vllm" if gpus_per_run and find_spec("vllm") is not None else "transformers"
    if engine == "vllm":
        need_vllm()
    return engine


def engine_version(engine: Engine) -> str:
    """The installed engine, e.g. "transformers-5.23.0".

    Raises:
        InputError: it is not installed.
    """
    return vllm_name() if engine == "vllm" else f"transformers-{version('transformers')}"


def encode_prompts(tokenizer: Any, prompts: Sequence[tuple[str, Sequence[Message]]]) -> list[tuple[int, ...]]:
    """Token ids that answers start from: exactly those that training puts before an answer.

    Args:
        tokenizer: of the base checkpoint.
        prompts: (id for messages, all messages before the answer).

    Raises:
        InputError: a prompt holds a character that the tokenizer does not know; names its id.
    """
    rows = [Instruction(name, (*messages, ("assistant", "")), "") for name, messages in prompts]
    return [row.tokens[: row.prompt_length] for row in encode(tokenizer, rows, max_length=None)]


def vllm_options(gpu_share: float) -> dict[str, float]:
    """vLLM's arguments for a run that has this share of a GPU: Ray's fractions are bookkeeping and cap nothing."""
    import torch

    return {"gpu_memory_utilization": 0.9 * gpu_share} if torch.cuda.is_available() else {}


def open_vllm(
    checkpoint: Path, base_model: Path, batch_size: int, gpu_share: float
) -> AbstractContextManager[Generator]:
    """A vLLM engine for a checkpoint, on the memory that this process holds and no longer needs.

    Args:
        checkpoint: folder of a full model, or of a LoRA adapter on `base_model`.
        base_model: folder of the base checkpoint.
        batch_size: answers in the making at once.
        gpu_share: of the GPU's memory that the engine may take, 0…1.
    """
    import torch

    from tasks.inference.vllm_generation import VllmGenerator

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return VllmGenerator(checkpoint, base_model, batch_size, vllm_options(gpu_share))


class TransformersGenerator:
    """Answers with a loaded model, several at once."""

    def __init__(self, model: Any, tokenizer: Any, batch_size: int) -> None:
        """Answer with this model, in evaluation mode, wherever it lies.

        Args:
            model: a causal language model, or an adapter on one (see `tasks.benchmarks.evaluate.load_checkpoint`); its
                own generation settings are dropped.
            tokenizer: of its base checkpoint.
            batch_size: answers at once; does not change them beyond ties of float rounding.
        """
        from transformers import GenerationConfig

        self._model, self._tokenizer, self._batch_size = model, tokenizer, batch_size
        # What a checkpoint's own settings say of sampling and penalties would fill in what `_greedy` leaves open.
        model.generation_config = GenerationConfig()
        getattr(model, "get_base_model", lambda: model)().generation_config = GenerationConfig()

    @property
    def name(self) -> str:
        """See `Generator`."""
        return engine_version("transformers")

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """See `Generator`."""
        answers = [""] * len(prompts)
        # Prompts of similar length together: little padding.
        order = sorted(range(len(prompts)), key=lambda k: (len(prompts[k]), k))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            texts = self._answer([prompts[k] for k in batch], max_new_tokens)
            for place, text in zip(batch, texts, strict=True):
                answers[place] = text
        return answers

    def _answer(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        import torch

        width = max(map(len, prompts))
        end = self._tokenizer.eos_token_id
        tokens = torch.full((len(prompts), width), end, dtype=torch.long)
        attention = torch.zeros((len(prompts), width), dtype=torch.long)
        for k, prompt in enumerate(prompts):
            # On the left, so that every answer begins at the same place.
            tokens[k, width - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
            attention[k, width - len(prompt) :] = 1
        device = self._model.device
        with torch.inference_mode():
            found = self._model.generate(
                input_ids=tokens.to(device),
                attention_mask=attention.to(device),
                generation_config=_greedy(max_new_tokens, end),
            )
        return [self._text(answer) for answer in found[:, width:].tolist()]

    def _text(self, tokens: list[int]) -> str:
        end = self._tokenizer.eos_token_id
        kept = tokens[: tokens.index(end)] if end in tokens else tokens
        return str(self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _greedy(max_new_tokens: int, end: int) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, eos_token_id=end, pad_token_id=end, use_cache=True
    )
