"""Questions to any server that speaks OpenAI's protocol: several at once, repeated on trouble, counted and kept."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic

from tasks.errors import InputError
from tasks.inference.answers import Answer, AnswerFile, Failure
from tasks.inference.questions import AnswerError, Prompt, Question, RowT, question_key, value_chance
from tasks.inference.usage import Usage
from tasks.optional import need

KEY_VARIABLES = ("BEYOND_IID_ENDPOINT_KEY", "OPENAI_API_KEY")
"""Environment variables for the server's key, in this order; a server without keys needs neither."""

FAILURES_IN_A_ROW = 20
"""After so many the server is taken to be gone, and the asking stops; what was answered is kept."""

_LOOK_AHEAD = 4
_LIKELIEST_TOKENS = 20
"""As many as a vLLM server gives unless it is told otherwise."""
_Future = Future[Answer | Failure]


@dataclass(frozen=True)
class EndpointConfig:
    """A server and how to use it.

    Attributes:
        url: its base address, e.g. http://localhost:8000/v1.
        model: the model's name there.
        concurrency: questions under way at once.
        retries: repetitions of a question after a lost connection, a time-out, or status 408, 409, 429 or 5xx, with
            growing waits (or as long as the server asks for).
        timeout: seconds to wait for one answer.
        votes: answers to ask for; one is drawn at temperature 0, more at temperature 1.
        price_in: dollars per million prompt tokens.
        price_out: dollars per million completion tokens.
    """

    url: str
    model: str
    concurrency: int = 16
    retries: int = 5
    timeout: float = 120.0
    votes: int = 1
    price_in: float = 0.0
    price_out: float = 0.0


class Endpoint(Generic[RowT]):
    """A server with a memory: the same question with the same content is asked once."""

    def __init__(self, config: EndpointConfig, question: Question[RowT], answers: AnswerFile) -> None:
        need("openai", "openai")
        from openai import OpenAI

        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "none")
        self._client = OpenAI(
            base_url=config.url, api_key=key, max_retries=config.retries, timeout=config.timeout, organization=""
        )
        self.question = question
        self._config, self._answers = config, answers
        self._wants_chance = config.votes == 1 and question.closed
        self._lock = threading.Lock()
        self._failed_in_a_row = 0
        self.usage = Usage()

    def ask(self, rows: Iterable[RowT]) -> Iterator[tuple[RowT, Answer | Failure]]:
        """Every row with the server's answer or why there is none, in order.

        Raises:
            InputError: the server refuses the key, the model or the form of the questions, or is gone.
        """
        waiting: deque[tuple[RowT, str, _Future | Answer]] = deque()
        asked: dict[str, _Future] = {}
        with ThreadPoolExecutor(self._config.concurrency) as pool:
            try:
                for row in rows:
                    waiting.append((row, *self._begin(row, asked, pool.submit)))
                    if len(waiting) > _LOOK_AHEAD * self._config.concurrency:
                        yield self._end(*waiting.popleft(), asked)
                while waiting:
                    yield self._end(*waiting.popleft(), asked)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _begin(
        self, row: RowT, asked: dict[str, _Future], submit: Callable[..., _Future]
    ) -> tuple[str, _Future | Answer]:
        prompt = self.question.prompt(row)
        key = question_key(self.question, prompt, [self._config.model, self._config.votes])
        known = self._answers.get(key)
        if known is not None:
            with self._lock:
                self.usage = replace(self.usage, remembered=self.usage.remembered + 1)
            return key, known
        if key not in asked:
            asked[key] = submit(self._request, key, prompt)
        return key, asked[key]

    def _end(
        self, row: RowT, key: str, future: _Future | Answer, asked: dict[str, _Future]
    ) -> tuple[RowT, Answer | Failure]:
        if isinstance(future, Answer):
            return row, future
        answer = future.result()
        asked.pop(key, None)
        if isinstance(answer, Answer):
            self._failed_in_a_row = 0
        else:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= FAILURES_IN_A_ROW:
                raise InputError(
                    f"{self._config.url}: the last {FAILURES_IN_A_ROW} rows got no answer; the last: "
                    f"{answer.reason}. What was answered is kept: run the command again when the server "
                    "is well."
                )
        return row, answer

    def _request(self, key: str, prompt: Prompt) -> Answer | Failure:
        import openai

        config = self._config
        try:
            if isinstance(prompt, str):
                return self._continued(key, self._client.completions.create(**self._text_body(prompt)))
            completion = self._client.chat.completions.create(**self._body(prompt))
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise InputError(
                f"{config.url}: refused ({_short(error)}). Check the address and the model's name; the key is read "
                f"from {' or '.join(KEY_VARIABLES)}."
            ) from error
        except openai.APITimeoutError:
            return Failure(f"no answer: none from {config.url} within {config.timeout:g} s, {config.retries + 1} times")
        except openai.APIConnectionError as error:
            return Failure(f"no connection: to {config.url} ({error.__cause__ or error})")
        except openai.APIStatusError as error:
            return Failure(f"status {error.status_code}: {_short(error)}")
        except openai.OpenAIError as error:
            return Failure(f"unusable answer: {_short(error)}")
        return self._taken(key, completion)

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        config, question = self._config, self.question
        body: dict[str, Any] = {
            "model": config.model,
            "messages": prompt,
            "temperature": 0.0 if config.votes == 1 else 1.0,
            "max_tokens": question.longest_answer,
            "n": config.votes,
            "logprobs": self._wants_chance,
        }
        if question.schema is not None:
            schema = {"name": question.name, "strict": True, "schema": question.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _text_body(self, prompt: str) -> dict[str, Any]:
        choices = getattr(self.question, "choices", None)
        # Held to the choices, a server lists them all among the likeliest tokens, and nothing else.
        form = {"structured_outputs": {"choice": list(choices)}} if choices else {}
        return {
            "model": self._config.model,
            "prompt": prompt,
            "temperature": 0.0,
            "max_tokens": 1,
            "logprobs": _LIKELIEST_TOKENS,
            "extra_body": form,
        }

    def _continued(self, key: str, completion: Any) -> Answer | Failure:
        try:
            content = json.dumps(completion.choices[0].logprobs.top_logprobs[0])
            self.question.value(content)
        except (AttributeError, IndexError, TypeError):
            return Failure("no log probabilities: the server sent none of the likeliest next tokens")
        except AnswerError as error:
            return Failure(str(error))
        return self._kept(key, (content,), None, completion.usage)

    def _taken(self, key: str, completion: Any) -> Answer | Failure:
        choices = completion.choices or []
        texts = tuple(choice.message.content or "" for choice in choices)
        if not texts or not all(texts):
            return Failure("empty answer: the server sent no text")
        if any(choice.finish_reason == "length" for choice in choices):
            return Failure(f"cut off: the answer is longer than {self.question.longest_answer} tokens")
        try:
            values = [self.question.value(text) for text in texts]
            logged = getattr(choices[0].logprobs, "content", None) if self._wants_chance else None
            chance = value_chance(texts[0], values[0], [(t.token, t.logprob) for t in logged]) if logged else None
        except AnswerError as error:
            return Failure(str(error))
        return self._kept(key, texts, chance, completion.usage)

    def _kept(self, key: str, texts: tuple[str, ...], chance: float | None, used: Any) -> Answer:
        answer = Answer(texts, chance, used.prompt_tokens if used else 0, used.completion_tokens if used else 0)
        self._answers.put(key, answer)
        with self._lock:
            self._count(answer)
        return answer

    def _count(self, answer: Answer) -> None:
        before, config = self.usage, self._config
        cost = (answer.tokens_in * config.price_in + answer.tokens_out * config.price_out) / 1e6
        self.usage = replace(
            before,
            asked=before.asked + 1,
            tokens_in=before.tokens_in + answer.tokens_in,
            tokens_out=before.tokens_out + answer.tokens_out,
            cost=before.cost + cost,
        )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
