"""What a language model is asked about an instruction, the form its answer must have, and how the answer is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tasks.inference.questions import AnswerError, Prompt
from tasks.pool.instruction import Instruction
from tasks.tagging.categories import Categories

LONGEST_TEXT = 4_000
"""Characters of a prompt or an answer that the model is shown; the middle of a longer one is left out."""

MOST_TAGS = 8
"""Free tags for one row at most."""

_LONGEST_ANSWER = 256


@dataclass(frozen=True)
class TaggingQuestion:
    """What is asked about an instruction (see `tasks.inference.questions.Question`).

    Attributes:
        name: of the answer's schema.
        system: the system message.
        schema: JSON schema of the answer, an object with one field.
        field: that field.
        choices: the only answers, as they stand; None: JSON that follows the schema.
    """

    name: str
    system: str
    schema: dict[str, Any]
    field: str
    choices: tuple[str, ...] | None = None

    @property
    def closed(self) -> bool:
        """Whether the answer is one of a list, so that the chance of its text means something."""
        return "enum" in self.schema["properties"][self.field]

    @property
    def longest_answer(self) -> int:
        """Tokens."""
        return _LONGEST_ANSWER

    def prompt(self, row: Instruction) -> Prompt:
        """The messages to send."""
        shown = "\n\n".join(f"[{role}]\n{_shortened(content)}" for role, content in row.messages)
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": f"The instruction and its answer:\n\n{shown}"},
        ]

    def value(self, content: str) -> Any:
        """The field of the model's answer.

        Raises:
            AnswerError: the answer is not one of the choices, or no JSON object with that field, or its value is not
                what the schema allows.
        """
        if self.choices is not None:
            if content not in self.choices:
                raise AnswerError(f"unknown category: the model answered {content[:200]!r}")
            return content
        try:
            value = json.loads(content)[self.field]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise AnswerError(f"unusable answer: no JSON with {self.field!r}: {content[:200]!r}") from error
        if self.closed:
            if value not in self.schema["properties"][self.field]["enum"]:
                raise AnswerError(f"unknown category: the model answered {value!r}")
        elif not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise AnswerError(f"unusable answer: {self.field!r} is no list of texts: {content[:200]!r}")
        return value


def category_question(categories: Categories, as_json: bool = True) -> TaggingQuestion:
    """Pick one category from the list.

    Args:
        categories: the list.
        as_json: whether the name comes in JSON, as servers can be asked for, or stands alone.
    """
    listed = "\n".join(f"- {text}" for text in categories.texts())
    form = 'Reply with JSON: {"category": "<name>"}.' if as_json else "Reply with its name alone."
    return TaggingQuestion(
        "category",
        "You sort instructions that language models are trained on by the skill or knowledge they need most. "
        f"Choose exactly one of these categories:\n{listed}\n{form}",
        _schema("category", {"type": "string", "enum": list(categories.names)}),
        "category",
        None if as_json else categories.names,
    )


def tags_question() -> TaggingQuestion:
    """Name the skills and knowledge that the instruction needs, in the model's own words."""
    return TaggingQuestion(
        "tags",
        "You describe instructions that language models are trained on. Name the skills and the knowledge that the "
        f"instruction needs as up to {MOST_TAGS} short tags of one to three English words, the most important first. "
        'Reply with JSON: {"tags": ["<tag>", …]}.',
        _schema("tags", {"type": "array", "items": {"type": "string"}, "maxItems": MOST_TAGS}),
        "tags",
    )


def _schema(field: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {field: value}, "required": [field], "additionalProperties": False}


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n[…]\n{text[-half:]}"
