"""What is asked of a language model, and how its answer is read, whoever asks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tasks.fingerprint import fingerprint

Prompt = list[dict[str, str]] | str
"""Messages of a chat (role, content); or a text that the model continues as it stands by one token: its answer is then
the likeliest next tokens as JSON, each with its log probability in nats."""

RowT = TypeVar("RowT")
RowT_contra = TypeVar("RowT_contra", contravariant=True)


class AnswerError(ValueError):
    """An answer that does not have the form asked for; its text is "kind: detail"."""


class Question(Protocol[RowT_contra]):
    """A task for a language model, the same for every row."""

    @property
    def name(self) -> str:
        """Of the answer's schema: letters, digits and underscores."""
        ...

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """JSON schema that the answer must follow; None: free text."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the value is one of a list, so that the chance of its text means something."""
        ...

    @property
    def longest_answer(self) -> int:
        """Tokens; a longer answer is a failure."""
        ...

    def prompt(self, row: RowT_contra) -> Prompt:
        """What to send for a row."""
        ...

    def value(self, content: str) -> Any:
        """What the model's text says.

        Raises:
            AnswerError: it does not have the form asked for.
        """
        ...


class ChoiceQuestion(Question[RowT_contra], Protocol[RowT_contra]):
    """A question whose answer may be held to a list as it stands, without JSON around it."""

    @property
    def choices(self) -> Sequence[str] | None:
        """The only texts that may be answered; None: `schema` says the form."""
        ...


def question_key(question: Question[Any], prompt: Prompt, settings: Sequence[Any]) -> str:
    """Key of an answer: the same for the same prompt, form of answer and settings (model, votes, …).

    Args:
        question: gives the form.
        prompt: what it makes of the row.
        settings: what else decides the answer, as plain JSON.
    """
    return fingerprint([list(settings), question.schema, question.longest_answer, prompt])


def value_chance(content: str, value: str, tokens: Sequence[tuple[str, float]]) -> float:
    """Chance that the model gave to the tokens of its value, given what it wrote before them.

    Args:
        content: the whole answer.
        value: the value in it.
        tokens: (text, log probability in nats) of every token, in order; a server may list the end token too.

    Raises:
        AnswerError: the tokens' texts do not make up the answer.
    """
    if not "".join(text for text, _ in tokens).startswith(content):
        raise AnswerError("no confidence: the server's tokens do not make up its answer")
    start, stop = 0, len(content)
    if value in content:
        start = content.rindex(value)
        stop = start + len(value)
    position, total = 0, 0.0
    for text, log_probability in tokens:
        if position < stop and position + len(text) > start:
            total += log_probability
        position += len(text)
    return min(1.0, math.exp(total))
