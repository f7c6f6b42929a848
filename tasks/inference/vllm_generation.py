"""Greedy answers of many checkpoints of one base model through one vLLM engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tasks.errors import RunError
from tasks.inference.vllm_config import vllm_name
from tasks.inference.vllm_process import close_engine, open_engine

_ADAPTER = "adapter_config.json"
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Largest ranks that vLLM can be told; the next one above an adapter's own is taken."""


class VllmGenerator:
    """Answers prompts with a checkpoint, and with others after it (`use`), without starting again.

    Full checkpoints: their weights are loaded into the running engine. LoRA adapters: served beside the base model's
    weights. Which of the two decides how the engine is started, so one generator takes one kind.
    """

    def __init__(
        self, checkpoint: Path, base_model: Path, batch_size: int = 64, options: Mapping[str, Any] | None = None
    ) -> None:
        """Start the engine.

        Args:
            checkpoint: folder of a full model, or of a LoRA adapter (adapter_config.json) on `base_model`.
            base_model: folder of the base model; its tokenizer renders and its end token ends the answers.
            batch_size: answers in the making at once.
            options: vLLM's engine arguments, e.g. dtype, gpu_memory_utilization.

        Raises:
            InputError: vLLM is not installed.
            RunError: vLLM cannot run the checkpoint.
        """
        self._rank = adapter_rank(checkpoint)
        lora = {} if self._rank is None else {"enable_lora": True, "max_lora_rank": self._rank, "max_loras": 1}
        model = checkpoint if self._rank is None else base_model
        arguments = {"max_num_seqs": batch_size, "tokenizer": str(base_model), **lora, **(options or {})}
        self._engine = open_engine(model, arguments)
        self._tokenizer = self._engine.get_tokenizer()
        self._end = self._tokenizer.eos_token_id
        self._base = base_model
        self._loaded = checkpoint
        self._adapters: dict[Path, int] = {}

    @property
    def name(self) -> str:
        """The engine with its version."""
        return vllm_name()

    def use(self, checkpoint: Path) -> None:
        """Answer with another checkpoint of the same kind and base model from now on.

        Raises:
            RunError: it is of the other kind, or an adapter with a larger rank than the engine was started for.
        """
        rank = adapter_rank(checkpoint)
        if (rank is None) != (self._rank is None) or (rank or 0) > (self._rank or 0):
            raise RunError(
                f"{checkpoint}: the engine was started for {_kind(self._rank)}, this is {_kind(rank)}; start another."
            )
        if rank is None and checkpoint != self._loaded:
            self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(checkpoint)})
            self._engine.reset_prefix_cache()
        self._loaded = checkpoint

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """Answer every prompt greedily, in order; see `tasks.benchmarks.generation.Generator`.

        Raises:
            RunError: a prompt with its longest answer does not fit into the model.
        """
        from vllm import SamplingParams

        wanted = SamplingParams(
            temperature=0.0, max_tokens=max_new_tokens, stop_token_ids=[self._end], detokenize=False
        )
        room = self._engine.model_config.max_model_len
        for number, prompt in enumerate(prompts):
            if len(prompt) + max_new_tokens > room:
                raise RunError(
                    f"{self._loaded}: prompt {number} has {len(prompt)} tokens and its answer up to {max_new_tokens}, "
                    f"but the model takes {room} in all. Lower max_new_tokens or leave the row out."
                )
        done = self._engine.generate(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts],
            wanted,
            use_tqdm=False,
            lora_request=self._adapter(),
        )
        return [self._text(one.outputs[0].token_ids) for one in done]

    def _text(self, tokens: Sequence[int]) -> str:
        # vLLM's own text begins where the prompt's ends and so may begin with a space that the tokens alone lack.
        answer = [token for token in tokens if token != self._end]
        return str(self._tokenizer.decode(answer, skip_special_tokens=True))

    def _adapter(self) -> Any:
        if self._rank is None:
            return None
        from vllm.lora.request import LoRARequest

        number = self._adapters.setdefault(self._loaded, len(self._adapters) + 1)
        # The name tells cached prompts of adapters apart, so it is the whole path: folders of runs end alike.
        return LoRARequest(str(self._loaded), number, str(self._loaded), base_model_name=str(self._base))

    def close(self) -> None:
        """End the engine and give its memory back."""
        engine, self._engine = self._engine, None
        if engine is not None:
            close_engine(engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def adapter_rank(checkpoint: Path) -> int | None:
    """What a vLLM engine must allow for this adapter (`max_lora_rank`); None for a full checkpoint."""
    file = checkpoint / _ADAPTER
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    needed = max([content["r"], *content.get("rank_pattern", {}).values()])
    return next(rank for rank in _RANKS if rank >= needed)


def _kind(rank: int | None) -> str:
    return "full checkpoints" if rank is None else f"LoRA adapters of rank ≤ {rank}"
