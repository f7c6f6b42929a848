"""Questions to a model in batches with vLLM, through Ray Data: on any number of GPUs, or on processors."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Generic, Self

from tasks.errors import InputError
from tasks.inference.answers import Answer, AnswerFile, Failure
from tasks.inference.prompts import PromptEncoder
from tasks.inference.questions import AnswerError, ChoiceQuestion, RowT, question_key
from tasks.inference.usage import Usage
from tasks.inference.vllm_config import VllmConfig, model_identity, need_vllm
from tasks.inference.vllm_pipeline import Generated, generate

FAILURES_IN_A_ROW = 1000
"""After so many the model is taken to be unfit, and the asking stops; what was answered is kept."""

_ROWS_TOGETHER = 256


class VllmBatches(Generic[RowT]):
    """A model with a memory: the same question with the same content is asked once.

    First `answer` every row: that takes what time it takes, and what it got survives an interruption. Then `ask` gives
    the answers in order. Memory does not grow with the rows: what waits and what failed lies in files.

    Ray must be connected before `answer`.
    """

    def __init__(self, config: VllmConfig, question: ChoiceQuestion[RowT], answers: AnswerFile, folder: Path) -> None:
        """Nothing is loaded yet.

        Args:
            config: the model and how to run it.
            question: what is asked; one with choices gets a chance with its answer.
            answers: where answers are kept.
            folder: for questions that wait; every node of the cluster must see it. Emptied first, removed at the end.

        Raises:
            InputError: vLLM or the model is not there.
        """
        need_vllm()
        self.question = question
        self._config, self._answers, self._folder = config, answers, folder
        self._model = model_identity(config.model)
        self._asked = _Asked()
        self.usage = Usage()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _keys(self, row: RowT) -> list[str]:
        """One for each vote."""
        prompt, votes = self.question.prompt(row), self._config.votes
        return [question_key(self.question, prompt, [self._model, votes, vote]) for vote in range(votes)]

    def answer(self, rows: Iterable[RowT], progress: Callable[[int], None] | None = None) -> None:
        """Ask about every row that has no answer yet.

        Args:
            rows: read once.
            progress: called with the number of questions answered, those of earlier runs included.

        Raises:
            InputError: the model has no chat template, or too many answers in a row cannot be used.
            RunError: an engine does not start or is lost.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        waiting = self._write(rows)
        if not waiting:
            return
        done, failed = self.usage.remembered, 0
        for one in generate(self._config, self.question, self._folder):
            outcome = self._taken(one)
            if isinstance(outcome, Failure):
                self._asked.failed(one.key, outcome.reason)
                failed += 1
            else:
                self._answers.put(one.key, outcome)
                failed = 0
            if failed == FAILURES_IN_A_ROW:
                raise InputError(
                    f"{self._config.model}: the last {failed} rows got no answer that can be used; the last: "
                    f"{self._asked.reason(one.key)}. What was answered is kept."
                )
            done += 1
            if progress is not None:
                progress(done)
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, rows: Iterable[RowT]) -> Iterator[tuple[RowT, Answer | Failure]]:
        """Every row with the model's answer or why there is none, in order; `rows` were given to `answer` before."""
        for row in rows:
            yield row, self._together(self._keys(row))

    def _write(self, rows: Iterable[RowT]) -> int:
        """Questions without an answer, as files; returns their number."""
        encoder = PromptEncoder(self._config.model, self._folder)
        for row in rows:
            for vote, key in enumerate(self._keys(row)):
                if self._answers.get(key) is not None:
                    self.usage = replace(self.usage, remembered=self.usage.remembered + 1)
                elif self._asked.first(key):
                    encoder.add(key, vote, self.question.prompt(row))
        return encoder.finish()

    def _taken(self, one: Generated) -> Answer | Failure:
        if one.error:
            return Failure(f"no answer: {one.error}")
        if one.cut_off:
            return Failure(f"cut off: the answer is longer than {self.question.longest_answer} tokens")
        try:
            self.question.value(one.text)
        except AnswerError as error:
            return Failure(str(error))
        chance = min(1.0, math.exp(one.log_probability)) if self.question.closed else None
        before = self.usage
        self.usage = replace(
            before,
            asked=before.asked + 1,
            tokens_in=before.tokens_in + one.tokens_in,
            tokens_out=before.tokens_out + one.tokens_out,
        )
        return Answer((one.text,), chance, one.tokens_in, one.tokens_out)

    def _together(self, keys: list[str]) -> Answer | Failure:
        """All votes as one answer; one that failed does not count, unless all did."""
        found = [answer for key in keys if (answer := self._answers.get(key)) is not None]
        if not found:
            return Failure(self._asked.reason(keys[0]) or "no answer: the row was not asked about")
        if len(keys) == 1:
            return found[0]
        return Answer(
            tuple(text for answer in found for text in answer.contents),
            None,
            sum(answer.tokens_in for answer in found),
            sum(answer.tokens_out for answer in found),
        )


class _Asked:
    """Keys of questions asked in this run and why they failed, in a temporary file."""

    def __init__(self) -> None:
        # A database without a name is a temporary file that goes with its connection.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("CREATE TABLE asked (key TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID")

    def first(self, key: str) -> bool:
        """Whether it was not asked before; it is now."""
        return self._database.execute("INSERT OR IGNORE INTO asked (key) VALUES (?)", (key,)).rowcount == 1

    def failed(self, key: str, reason: str) -> None:
        self._database.execute("UPDATE asked SET reason = ? WHERE key = ?", (reason, key))

    def reason(self, key: str) -> str:
        found = self._database.execute("SELECT reason FROM asked WHERE key = ?", (key,)).fetchone()
        return (found[0] or "") if found else ""

    def close(self) -> None:
        self._database.close()
