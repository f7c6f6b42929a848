"""Deita's scorers by engine: transformers in this process, vLLM in this process, or a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.errors import RunError
from tasks.inference.answers import AnswerFile, Failure
from tasks.inference.endpoint import Endpoint, EndpointConfig
from tasks.inference.questions import AnswerError
from tasks.inference.usage import Usage
from tasks.inference.vllm_process import close_engine, open_engine
from tasks.selection.grades import GRADES, CausalScorer, Floats, Scorer, grade_tokens

_LONGEST_QUESTION = 2048
_QUESTIONS_AT_ONCE = 256


@dataclass(frozen=True)
class ScorerConfig:
    """A model that grades and where it runs.

    Attributes:
        engine: transformers and vllm run in this process; endpoint is a server with the completions of OpenAI's
            protocol and their log probabilities (vLLM's has both).
        model: folder or name on the hub; endpoint: its name there.
        url: base address of the server, for the engine endpoint.
        concurrency, retries, timeout, price_in, price_out: see `tasks.inference.endpoint.EndpointConfig`.
        options: for vllm, its engine arguments, e.g. tensor_parallel_size, dtype.
    """

    engine: Literal["transformers", "vllm", "endpoint"]
    model: str
    url: str = ""
    concurrency: int = 16
    retries: int = 5
    timeout: float = 120.0
    price_in: float = 0.0
    price_out: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def open_scorer(config: ScorerConfig, answers: Path) -> Iterator[Scorer]:
    """The scorer of the configuration, closed at the end.

    Args:
        config: what to open.
        answers: file where a server's answers are kept, so that a second run does not ask again.

    Raises:
        InputError: the model, a package or the server is not there.
        RunError: vLLM cannot run the model.
    """
    if config.engine == "transformers":
        yield CausalScorer(config.model)
    elif config.engine == "vllm":
        scorer = VllmScorer(config.model, config.options)
        try:
            yield scorer
        finally:
            scorer.close()
    else:
        server = EndpointConfig(
            config.url,
            config.model,
            config.concurrency,
            config.retries,
            config.timeout,
            price_in=config.price_in,
            price_out=config.price_out,
        )
        with AnswerFile(answers) as kept:
            yield EndpointScorer(Endpoint(server, GradeQuestion(), kept))


class VllmScorer:
    """A causal language model in vLLM: the log probabilities of the six grades as the next token, all six always."""

    def __init__(self, model: Path | str, options: Mapping[str, Any] | None = None) -> None:
        """Load a model; see `tasks.selection.grades.CausalScorer` for what it must have.

        Raises:
            InputError: vLLM is not installed, or a grade is not one token.
            RunError: vLLM cannot run the model.
        """
        self._engine = open_engine(model, {"max_num_seqs": _QUESTIONS_AT_ONCE, **(options or {})})
        self._tokenizer = self._engine.get_tokenizer()
        self._grades = grade_tokens(self._tokenizer, model)
        # One place is the grade's.
        self._longest = min(_LONGEST_QUESTION, self._engine.model_config.max_model_len - 1)

    def logits(self, questions: Sequence[str]) -> Floats:
        """See `Scorer`; a longer question keeps its end, with the place of the grade."""
        from vllm import SamplingParams

        asked = [{"prompt_token_ids": self._tokenizer(text)["input_ids"][-self._longest :]} for text in questions]
        wanted = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=self._grades, detokenize=False)
        done = self._engine.generate(asked, wanted, use_tqdm=False)
        return np.array([[one.outputs[0].logprobs[0][grade].logprob for grade in self._grades] for one in done])

    def close(self) -> None:
        """End the engine and give its memory back."""
        engine, self._engine = self._engine, None
        if engine is not None:
            close_engine(engine)


@dataclass(frozen=True)
class GradeQuestion:
    """The next token after a text, held to the six grades (see `tasks.inference.questions.ChoiceQuestion`)."""

    name: str = "grade"
    schema: None = None
    choices: tuple[str, ...] = GRADES
    closed: bool = True
    longest_answer: int = 1

    def prompt(self, row: str) -> str:
        """The text as it stands."""
        return row

    def value(self, content: str) -> list[float]:
        """Log probability of each grade.

        Raises:
            AnswerError: one is missing.
        """
        found = {token.strip(): chance for token, chance in json.loads(content).items()}
        if lacking := [grade for grade in GRADES if grade not in found]:
            raise AnswerError(
                f"grades missing: the server's {len(found)} likeliest next tokens lack {', '.join(lacking)}; all six "
                "are needed"
            )
        return [float(found[grade]) for grade in GRADES]


class EndpointScorer:
    """A causal language model behind a server."""

    def __init__(self, endpoint: Endpoint[str]) -> None:
        self._endpoint = endpoint
        self._question = GradeQuestion()

    @property
    def usage(self) -> Usage:
        """What was asked and what it took."""
        return self._endpoint.usage

    def logits(self, questions: Sequence[str]) -> Floats:
        """See `Scorer`.

        Raises:
            RunError: a question got no grade; what was answered is kept.
            InputError: see `Endpoint.ask`.
        """
        found = []
        for _, answer in self._endpoint.ask(questions):
            if isinstance(answer, Failure):
                raise RunError(
                    f"The scorer gave no grade: {answer.reason}. What was answered is kept: run the command again."
                )
            found.append(self._question.value(answer.contents[0]))
        return np.array(found).reshape(-1, len(GRADES))
