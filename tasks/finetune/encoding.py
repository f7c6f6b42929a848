"""Instructions as tokens: the chat template's text, with loss on the last answer and its end token, or on all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.finetune.recipe import Masking
from tasks.pool.instruction import Instruction, Message

Span = tuple[int, int]
"""(first token, token after the last)."""


@dataclass(frozen=True, slots=True)
class EncodedInstruction:
    """One instruction as token ids.

    Attributes:
        id: the instruction's id.
        tokens: prompt, then answer, then the end token.
        prompt_length: tokens before the last answer; that answer and its end token always carry loss.
        earlier: earlier answers that carry loss too, end tokens included, in order; none with masking "last-answer".
    """

    id: str
    tokens: tuple[int, ...]
    prompt_length: int
    earlier: tuple[Span, ...] = ()

    @property
    def answer_length(self) -> int:
        """Tokens of the last answer and its end token: what benchmarks score."""
        return len(self.tokens) - self.prompt_length

    @property
    def trained(self) -> tuple[Span, ...]:
        """Every stretch of tokens that carries loss, in order."""
        return (*self.earlier, (self.prompt_length, len(self.tokens)))


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a prepared base checkpoint; never runs code from the folder, never asks the network."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def encode(
    tokenizer: Any, instructions: Iterable[Instruction], max_length: int | None, masking: Masking = "last-answer"
) -> list[EncodedInstruction]:
    """Encode instructions in order.

    The prompt is every message before the last, rendered by the chat template with the opening of an answer; its
    tokens are exactly those that generation would start from. The answer is what the template adds for the last
    message, up to its end token, tokenized together with the prompt unless tokens would merge across the boundary.

    Args:
        tokenizer: of the base checkpoint; has a chat template and an end token.
        instructions: what to encode.
        max_length: most tokens per example, prompt and answer together; None for any length.
        masking: "all-answers" puts loss on the answers of earlier turns too; the tokens are the same.

    Raises:
        InputError: an example is longer than `max_length`, holds the end token's text inside its answer, or holds a
            character that the tokenizer does not know; or an earlier answer cannot be told apart; names its id.
    """
    rows = list(instructions)
    if not rows:
        return []
    prompts = [_render(tokenizer, i.messages[:-1], opening=True) for i in rows]
    wholes = [_render(tokenizer, i.messages, opening=False) for i in rows]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    whole_ids = tokenizer(wholes, add_special_tokens=False)["input_ids"]
    encoded = [
        _encode_one(tokenizer, row, (prompts[k], prompt_ids[k]), (wholes[k], whole_ids[k]), max_length)
        for k, row in enumerate(rows)
    ]
    if masking == "last-answer":
        return encoded
    return [replace(one, earlier=_earlier(tokenizer, row, one)) for row, one in zip(rows, encoded, strict=True)]


def _earlier(tokenizer: Any, row: Instruction, encoded: EncodedInstruction) -> tuple[Span, ...]:
    """Where the answers before the last one lie."""
    places = [k for k, (role, _) in enumerate(row.messages[:-1]) if role == "assistant"]
    return tuple(_span(tokenizer, row, k, encoded.tokens) for k in places)


def _span(tokenizer: Any, row: Instruction, place: int, tokens: tuple[int, ...]) -> Span:
    before, until = (
        tuple(tokenizer(_render(tokenizer, row.messages[:end], opening), add_special_tokens=False)["input_ids"])
        for end, opening in ((place, True), (place + 1, False))
    )
    start = len(before)
    stop = len(until)
    if tokenizer.eos_token_id in until[start:]:
        stop = start + len(_until_end(tokenizer.eos_token_id, until[start:], row.id))
    if until[:start] != before or tokens[:stop] != until[:stop]:
        raise InputError(
            f"instruction {row.id}: the chat template or the tokenizer writes message {place + 1} differently where "
            "more turns follow, so its loss would be on other tokens than the answer's; set recipe.masking to "
            "last-answer, or use a model whose template keeps earlier turns unchanged"
        )
    return start, stop


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
