"""Instructions as tokens: the chat template's text, with labels on the answer and its end token only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, Message


@dataclass(frozen=True, slots=True)
class EncodedInstruction:
    """One instruction as token ids.

    Attributes:
        id: the instruction's id.
        tokens: prompt, then answer, then the end token.
        prompt_length: tokens that carry no loss; the rest, end token included, does.
    """

    id: str
    tokens: tuple[int, ...]
    prompt_length: int

    @property
    def answer_length(self) -> int:
        """Tokens that carry loss: the answer's and the end token."""
        return len(self.tokens) - self.prompt_length


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a prepared base checkpoint; never runs code from the folder, never asks the network."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def encode(tokenizer: Any, instructions: Iterable[Instruction], max_length: int | None) -> list[EncodedInstruction]:
    """Encode instructions in order.

    The prompt is every message before the last, rendered by the chat template with the opening of an answer; its
    tokens are exactly those that generation would start from. The answer is what the template adds for the last
    message, up to its end token, tokenized together with the prompt unless tokens would merge across the boundary.

    Args:
        tokenizer: of the base checkpoint; has a chat template and an end token.
        instructions: what to encode.
        max_length: most tokens per example, prompt and answer together; None for any length.

    Raises:
        InputError: an example is longer than `max_length`, holds the end token's text inside its answer, or holds a
            character that the tokenizer does not know; names its id.
    """
    rows = list(instructions)
    if not rows:
        return []
    prompts = [_render(tokenizer, i.messages[:-1], opening=True) for i in rows]
    wholes = [_render(tokenizer, i.messages, opening=False) for i in rows]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    whole_ids = tokenizer(wholes, add_special_tokens=False)["input_ids"]
    return [
        _encode_one(tokenizer, row, (prompts[k], prompt_ids[k]), (wholes[k], whole_ids[k]), max_length)
        for k, row in enumerate(rows)
    ]


def _render(tokenizer: Any, messages: Sequence[Message], opening: bool) -> str:
    turns = [{"role": role, "content": content} for role, content in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=opening))


def _encode_one(
    tokenizer: Any,
    row: Instruction,
    prompt: tuple[str, list[int]],
    whole: tuple[str, list[int]],
    max_length: int | None,
) -> EncodedInstruction:
    (prompt_text, prompt_ids), (whole_text, whole_ids) = prompt, whole
    if not whole_text.startswith(prompt_text):
        raise InputError(
            f"instruction {row.id}: the chat template renders the prompt alone differently from the prompt with its "
            "answer, so the answer cannot be told apart; use a model whose template keeps earlier turns unchanged"
        )
    if whole_ids[: len(prompt_ids)] == prompt_ids:
        answer_ids = whole_ids[len(prompt_ids) :]
    else:
        answer_ids = tokenizer(whole_text[len(prompt_text) :], add_special_tokens=False)["input_ids"]
    tokens = (*prompt_ids, *_until_end(tokenizer.eos_token_id, answer_ids, row.id))
    if _unknown_id(tokenizer) in tokens:
        raise InputError(
            f"instruction {row.id}: its text holds a character that the model's tokenizer does not know; prepare the "
            "base model with these rows too, or remove the row"
        )
    if max_length is not None and len(tokens) > max_length:
        raise InputError(
            f"instruction {row.id}: {len(tokens)} tokens with its answer, but max_length is {max_length}; raise "
            "max_length or remove the row (nothing is cut in silence)"
        )
    return EncodedInstruction(row.id, tokens, len(prompt_ids))


def _unknown_id(tokenizer: Any) -> int | None:
    # Some models reuse their end or start token as the unknown token; there it says nothing about the text.
    reused = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
    return None if tokenizer.unk_token_id in reused else tokenizer.unk_token_id


def _until_end(end: int, answer_ids: Sequence[int], identifier: str) -> list[int]:
    if end not in answer_ids:
        return [*answer_ids, end]
    kept = list(answer_ids[: answer_ids.index(end) + 1])
    if end in answer_ids[len(kept) :]:
        raise InputError(
            f"instruction {identifier}: its answer holds the text of the model's end token, so training would stop "
            "inside the answer; remove that text or the row"
        )
    return kept
