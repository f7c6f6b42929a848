"""Prompts as token ids, in files that Ray reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.inference.questions import Prompt

_ROWS_PER_FILE = 512
_TOKENIZED_TOGETHER = 64


class PromptEncoder:
    """Writes questions as Parquet files with the columns key, seed and tokens.

    Messages go through the model's chat template; a text that is to be continued is taken as it stands.
    """

    def __init__(self, model: str, folder: Path) -> None:
        """Raises: InputError if the model's tokenizer cannot be loaded."""
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise InputError(f"--model {model}: its tokenizer cannot be loaded ({error}).") from error
        self._model, self._folder = model, folder
        self._waiting: list[tuple[str, int, Prompt]] = []
        self._rows: list[dict[str, Any]] = []
        self._count = 0

    def add(self, key: str, seed: int, prompt: Prompt) -> None:
        """Take a question.

        Args:
            key: comes back with the answer.
            seed: of the draw, where one is made.
            prompt: what to ask.

        Raises:
            InputError: messages for a model without a chat template, or with one that refuses them.
        """
        self._waiting.append((key, seed, prompt))
        if len(self._waiting) == _TOKENIZED_TOGETHER:
            self._tokenize()

    def finish(self) -> int:
        """Write what is left; returns the number of all questions."""
        self._tokenize()
        self._flush()
        return self._count

    def _tokenize(self) -> None:
        for chat in (True, False):
            chosen = [one for one in self._waiting if isinstance(one[2], list) == chat]
            if chosen:
                texts = [self._rendered(prompt) for _, _, prompt in chosen]
                # A rendered template holds its special tokens already.
                tokens = self._tokenizer(texts, add_special_tokens=not chat)["input_ids"]
                self._rows += [
                    {"key": key, "seed": seed, "tokens": ids}
                    for (key, seed, _), ids in zip(chosen, tokens, strict=True)
                ]
        self._waiting = []
        if len(self._rows) >= _ROWS_PER_FILE:
            self._flush()

    def _rendered(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        from jinja2 import TemplateError

        if self._tokenizer.chat_template is None:
            raise InputError(
                f"--model {self._model}: has no chat template, so it cannot be asked. Take an instruction-tuned model."
            )
        try:
            return str(self._tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True))
        except TemplateError as error:
            raise InputError(f"--model {self._model}: its chat template refuses the question ({error}).") from error

    def _flush(self) -> None:
        if not self._rows:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema({"key": pa.string(), "seed": pa.int64(), "tokens": pa.list_(pa.int32())})
        self._folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(self._rows, schema), self._folder / f"{self._count:012d}.parquet", compression="zstd"
        )
        self._count += len(self._rows)
        self._rows = []
