"""The tagger that lets a language model pick one category from the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from tasks.errors import InputError
from tasks.inference.answers import Answer, Failure
from tasks.inference.usage import Usage
from tasks.pool.instruction import Instruction
from tasks.tagging.categories import Categories
from tasks.tagging.outcome import Outcome, Tag
from tasks.tagging.questions import TaggingQuestion


class Asked(Protocol):
    """A model that answers one question about every row: `Endpoint`, or `VllmBatches` after its `answer`."""

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        ...

    def ask(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Answer | Failure]]:
        """Every row with its answer, in order."""
        ...


class ModelTagger:
    """One question a row; structured output allows the list's names and nothing else.

    The confidence is the chance that the model gave to the name's tokens; with several votes the share of the votes
    for the category (the earlier in the list among equals).
    """

    def __init__(self, categories: Categories, model: Asked, question: TaggingQuestion) -> None:
        """Args: categories: the list; model: answers `question`, see `tasks.tagging.questions.category_question`."""
        self.categories = categories.names
        self._model, self._question = model, question

    def tag(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Outcome]]:
        """The model's category of each row.

        Raises:
            InputError: see `Endpoint.ask`; or one vote is asked for and the server gives no log probabilities.
        """
        for row, answer in self._model.ask(rows):
            yield row, answer if isinstance(answer, Failure) else self._outcome(answer)

    def _outcome(self, answer: Answer) -> Tag:
        if len(answer.contents) > 1:
            votes = Counter(self._question.value(text) for text in answer.contents)
            best = max(self.categories, key=lambda name: votes[name])
            return Tag(best, votes[best] / votes.total())
        if answer.chance is None:
            raise InputError(
                "The server gives no log probabilities, so a single answer has no confidence. Ask several times "
                "instead: --votes 3. What was answered is kept, but is asked again with another number of votes."
            )
        return Tag(self._question.value(answer.contents[0]), answer.chance)
