"""One row → one instruction: chat `messages`, Alpaca, ShareGPT. A row that does not fit says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from tasks.pool.config import RowFormat, RowSource
from tasks.pool.instruction import Instruction, Message

ID_DIGITS = 16
"""Hex digits of the content hash that name a row without an id."""

_FORMAT_FIELDS: dict[RowFormat, tuple[str, ...]] = {
    "chat": ("messages",),
    "sharegpt": ("conversations",),
    "alpaca": ("instruction", "output"),
}
_OPTIONAL_FIELDS = ("input", "system", "history")
_CHAT_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}
_SHAREGPT_ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


class RowError(ValueError):
    """A row that cannot enter the pool; its text is "kind: detail", and the kind is what summaries count."""


def to_instruction(row: Mapping[str, Any], source: RowSource) -> Instruction:
    """Read one row.

    - chat: `messages`, a list of `{"role", "content"}`, roles system, user, assistant.
    - sharegpt: `conversations`, a list of `{"from", "value"}`, from system, human (user), gpt (assistant); a text field
      `system` beside it becomes the system message.
    - alpaca: `instruction`, an optional `input` set below it after an empty line, and `output`; `system` likewise.

    A conversation is an optional system message, then user and assistant in turn, the assistant's answer last. Texts
    are taken as they are: nothing is trimmed or joined.

    Raises:
        RowError: the row lacks something, or holds something that cannot be used.
    """
    messages = _READERS[_format_of(row, source.format)](row)
    _check_turns(messages)
    category = _name(row.get(source.category_field), source.category_field)
    if category is None:
        raise RowError(f'no category: field "{source.category_field}" is missing or empty')
    origin = row.get(source.source_field)
    instruction = Instruction(
        id="",
        messages=messages,
        category=category,
        source="" if origin is None else _text(origin, source.source_field),
    )
    identifier = _name(row.get(source.id_field), source.id_field) or instruction.content_hash[:ID_DIGITS]
    return Instruction(identifier, messages, category, instruction.source)


def fields_used(source: RowSource) -> frozenset[str]:
    """Every field that `to_instruction` looks at: the columns worth reading from a Parquet file."""
    content = {field for fields in _FORMAT_FIELDS.values() for field in fields}
    return frozenset(content | {*_OPTIONAL_FIELDS, source.category_field, source.id_field, source.source_field})


def missing_fields(found: Set[str], source: RowSource, category: bool = True) -> str | None:
    """What a whole file lacks if its rows hold only the fields `found`; None if nothing.

    Args:
        found: the rows' fields.
        source: how rows are read.
        category: whether they need a category.

    Returns:
        One sentence with what was expected, what was found and the fix.
    """
    listed = ", ".join(sorted(found)[:30]) or "none"
    if source.format == "auto":
        if not any(found >= set(fields) for fields in _FORMAT_FIELDS.values()):
            return (
                "no row has messages (chat), conversations (ShareGPT), or instruction and output (Alpaca); "
                f"fields found: {listed}. Rename the fields to one of these formats."
            )
    else:
        lacking = [field for field in _FORMAT_FIELDS[source.format] if field not in found]
        if lacking:
            return (
                f'no row has the field "{lacking[0]}" that the format {source.format} needs; fields found: {listed}. '
                'Set format (--format) to what the rows hold, or to "auto".'
            )
    if category and source.category_field not in found:
        return (
            f'no row has the field "{source.category_field}" for the category; fields found: {listed}. '
            "Set category_field to the field that holds the category."
        )
    return None


def _format_of(row: Mapping[str, Any], wanted: RowFormat) -> RowFormat:
    present: list[RowFormat] = [
        name for name, fields in _FORMAT_FIELDS.items() if all(row.get(field) is not None for field in fields)
    ]
    if wanted != "auto":
        if wanted not in present:
            if wanted == "alpaca" and row.get("instruction") is not None:
                raise RowError('no answer: field "output" is missing')
            raise RowError(f"no conversation: format {wanted} needs {' and '.join(_FORMAT_FIELDS[wanted])}")
        return wanted
    if len(present) == 1:
        return present[0]
    if present:
        raise RowError(f"more than one format: the row fits {' and '.join(present)}; set format to one of them")
    if row.get("instruction") is not None:
        raise RowError('no answer: field "output" is missing')
    raise RowError("no conversation: the row has neither messages, conversations, nor instruction and output")


def _chat(row: Mapping[str, Any]) -> tuple[Message, ...]:
    return _turns(row["messages"], "messages", ("role", "content"), _CHAT_ROLES)


def _sharegpt(row: Mapping[str, Any]) -> tuple[Message, ...]:
    turns = _turns(row["conversations"], "conversations", ("from", "value"), _SHAREGPT_ROLES)
    return _system(row) + turns


def _alpaca(row: Mapping[str, Any]) -> tuple[Message, ...]:
    if row.get("history"):
        raise RowError("history not supported: write the earlier turns as chat messages")
    prompt = _text(row["instruction"], "instruction")
    context = row.get("input")
    if context is not None and _text(context, "input"):
        prompt = f"{prompt}\n\n{context}"
    return (*_system(row), ("user", prompt), ("assistant", _text(row["output"], "output")))


_READERS: dict[RowFormat, Callable[[Mapping[str, Any]], tuple[Message, ...]]] = {
    "chat": _chat,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
}


def _system(row: Mapping[str, Any]) -> tuple[Message, ...]:
    text = row.get("system")
    return () if text is None or text == "" else (("system", _text(text, "system")),)


def _turns(value: Any, field: str, keys: tuple[str, str], roles: Mapping[str, str]) -> tuple[Message, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise RowError(f'wrong type: "{field}" is a {type(value).__name__}, expected a list of messages')
    role_key, text_key = keys
    turns = []
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, Mapping):
            raise RowError(f'wrong type: "{field}" entry {number} is a {type(turn).__name__}, expected an object')
        if role_key not in turn or text_key not in turn:
            raise RowError(f'incomplete message: "{field}" entry {number} needs "{role_key}" and "{text_key}"')
        role = turn[role_key]
        if not isinstance(role, str) or role not in roles:
            raise RowError(f'unknown role: "{field}" entry {number} has {role_key} {role!r}, known: {", ".join(roles)}')
        turns.append((roles[role], _text(turn[text_key], f"{field} entry {number} {text_key}")))
    return tuple(turns)


def _check_turns(messages: tuple[Message, ...]) -> None:
    turns = messages[1:] if messages and messages[0][0] == "system" else messages
    if not turns or turns[-1][0] != "assistant":
        raise RowError("no answer: the last message is not the assistant's")
    for number, (role, content) in enumerate(turns):
        expected = "assistant" if number % 2 else "user"
        if role != expected:
            raise RowError(f"turns out of order: expected the {expected} where the {role} speaks")
        if not content.strip():
            last = number == len(turns) - 1
            raise RowError("empty answer: the last message holds no text" if last else f"empty message: the {role}'s")


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise RowError(f'wrong type: "{field}" is a {type(value).__name__}, expected text')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise RowError(f'broken text: "{field}" holds half a surrogate pair, which is no character') from None
    return value


def _name(value: Any, field: str) -> str | None:
    """A short label: text or a whole number; None where there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        return None
    text = _text(value, field)
    if text != text.strip() or not text.isprintable():
        raise RowError(
            f'unusable name: "{field}" is {text!r}; expected no outer spaces, line breaks or control characters'
        )
    return text
