"""Instructions as canonical JSON lines, the form that workers read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, Message
from tasks.pool.lines_file import write_lines

_ROLES = ("system", "user", "assistant")


def write_instructions(path: Path, instructions: Iterable[Instruction]) -> None:
    """Write instructions atomically, one JSON object a line: id, category, source, messages (role, content).

    The same instructions always give the same bytes. The file is also a valid chat-format input for `read_pool`.

    Raises:
        OSError: see `write_lines`.
    """
    write_lines(path, (instruction_json(instruction) for instruction in instructions))


def read_instructions(path: Path) -> tuple[Instruction, ...]:
    """Read what `write_instructions` wrote, in its order.

    Raises:
        InputError: the file is missing, or a line is damaged (named by its number).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be read ({reason}); expected instructions as JSON lines.") from error
    if data and not data.endswith(b"\n"):
        raise InputError(f"{path}: the last line is cut off. Write or copy the file again.")
    instructions = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            instruction = _from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{path}, line {number}: no instruction ({type(error).__name__}: {error}); expected id, category, "
                "source and messages as this product writes them. Write or copy the file again."
            ) from error
        if first_line.setdefault(instruction.id, number) != number:
            raise InputError(
                f'{path}, line {number}: id "{instruction.id}" is also in line {first_line[instruction.id]}; '
                "expected each id once."
            )
        instructions.append(instruction)
    return tuple(instructions)


def instruction_json(instruction: Instruction) -> str:
    """The line of an instruction, without line feed."""
    row = {
        "id": instruction.id,
        "category": instruction.category,
        "source": instruction.source,
        "messages": [{"role": role, "content": content} for role, content in instruction.messages],
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _from_json(row: Any) -> Instruction:
    texts = [row["id"], row["category"], row["source"]]
    messages: list[Message] = [(message["role"], message["content"]) for message in row["messages"]]
    if not all(isinstance(text, str) for text in [*texts, *(content for _, content in messages)]):
        raise ValueError("id, category, source and contents must be text")
    if not messages or messages[-1][0] != "assistant" or any(role not in _ROLES for role, _ in messages):
        raise ValueError(f"roles must be {', '.join(_ROLES)}, the assistant last")
    return Instruction(texts[0], tuple(messages), texts[1], texts[2])
