"""What generated answers are asked for: prompts with what decides whether an answer is right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.fingerprint import fingerprint
from tasks.pool.instruction import Instruction, Message
from tasks.pool.lines_file import write_lines
from tasks.pool.rows import json_rows

_ROLES = ("system", "user", "assistant")
_FORM = 'expected {"prompt": "…"} or {"messages": […]}, with "answer" or "tests", and optionally "id"'


@dataclass(frozen=True, slots=True)
class Item:
    """One question.

    Attributes:
        id: unique in its category and measure.
        prompt: all messages before the answer.
        reference: the right answer; "" where tests decide instead.
        tests: Python statements that a program in the answer must pass; "" where there are none.
        place: where it was read, for messages: file and line, or the held-out row.
    """

    id: str
    prompt: tuple[Message, ...]
    reference: str
    tests: str
    place: str

    @property
    def prompt_hash(self) -> str:
        """SHA-256 of the prompt's messages."""
        return _prompt_hash(self.prompt)


def held_out_items(rows: Iterable[Instruction]) -> tuple[Item, ...]:
    """Held-out rows as items; the reference is the row's own answer."""
    return tuple(Item(row.id, row.messages[:-1], row.answer, "", f"held-out row {row.id!r}") for row in rows)


def read_items(path: Path) -> tuple[Item, ...]:
    """Read a file of items, in its order: JSON lines (also .gz), one object a line.

    `prompt` is the one user message, or `messages` all before the answer, as {"role": …, "content": …}; where the last
    of them is the assistant's, it is the reference. `answer` is the reference, `tests` Python statements; at least one
    of them. `id` is the line's number where it is not given. Other fields are left alone.

    Raises:
        InputError: a line is no such object, or an id occurs twice; names file, line and what was expected.
    """
    items: dict[str, Item] = {}
    for row in json_rows(path):
        place = f"{path}, line {row.line}"
        if row.value is None:
            raise InputError(f"{place}: {row.problem}; {_FORM}. Correct the line.")
        item = _item(row.value, row.line, place)
        if item.id in items:
            raise InputError(f"{place}: id {item.id!r} is also in {items[item.id].place}; expected each id once.")
        items[item.id] = item
    if not items:
        raise InputError(f"{path} holds no items; {_FORM}.")
    return tuple(items.values())


def write_items(path: Path, items: Iterable[Item]) -> None:
    """Write items so that `read_items` gives them back, all at once or not at all.

    Raises:
        OSError: see `tasks.pool.lines_file.write_lines`.
    """
    write_lines(path, (json.dumps(_to_json(item), ensure_ascii=False) for item in items))


def assert_unseen(train: Iterable[Instruction], items: Sequence[Item]) -> None:
    """Check that no item's prompt was trained on, whatever the answer beside it.

    Raises:
        InputError: at least one was; names an example of each side and says how many there are.
    """
    wanted = {item.prompt_hash: item for item in items}
    shared: dict[str, str] = {}
    for row in train:
        item = wanted.get(_prompt_hash(row.messages[:-1]))
        if item is not None:
            shared.setdefault(item.place, row.id)
    if shared:
        place, trained = next(iter(shared.items()))
        raise InputError(
            f"{len(shared)} benchmark items are in the training data, first: {place} has the same prompt as training "
            f"example {trained!r}; take them out of one of the two (`beyond-iid clean --benchmark` finds near ones too)"
        )


def _to_json(item: Item) -> dict[str, Any]:
    texts = {"answer": item.reference, "tests": item.tests}
    return {
        "id": item.id,
        "messages": [{"role": role, "content": content} for role, content in item.prompt],
        **{field: text for field, text in texts.items() if text},
    }


def _item(row: Mapping[str, Any], line: int, place: str) -> Item:
    texts = {}
    for field in ("answer", "tests"):
        value = row.get(field, "")
        if not isinstance(value, str):
            raise InputError(f"{place}: {field} is no text but {_kind(value)}; {_FORM}. Correct the line.")
        texts[field] = value
    if ("prompt" in row) == ("messages" in row):
        raise InputError(f"{place}: {_FORM}; found {', '.join(map(repr, row)) or 'nothing'}. Correct the line.")
    messages = _messages(row["messages"], place) if "messages" in row else (("user", _text(row["prompt"], place)),)
    if messages[-1][0] == "assistant":
        if texts["answer"]:
            raise InputError(f"{place}: both answer and a last message of the assistant; expected one of the two.")
        messages, texts["answer"] = messages[:-1], messages[-1][1]
    if not messages or messages[-1][0] != "user":
        raise InputError(f"{place}: the last message before the answer is not the user's. Correct the line.")
    if not any(text.strip() for text in texts.values()):
        raise InputError(f"{place}: neither answer nor tests; {_FORM}. Complete the line.")
    return Item(str(row.get("id", line)), messages, texts["answer"], texts["tests"], place)


def _messages(value: Any, place: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{place}: messages is {_kind(value)}, expected a list of role and content. Correct the line.")
    found = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise InputError(f"{place}: a message without a role of {', '.join(_ROLES)}. Correct the line.")
        found.append((str(message["role"]), _text(message.get("content"), place)))
    return tuple(found)


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{place}: a prompt is {_kind(value)}, expected text. Correct the line.")
    return value


def _kind(value: Any) -> str:
    return (
        "empty" if value in ("", [], None) or (isinstance(value, str) and not value.strip()) else type(value).__name__
    )


def _prompt_hash(messages: Sequence[Message]) -> str:
    return fingerprint(messages)
