"""Complexity and quality of rows: read from columns, or asked of a causal model that grades from 1 to 6.

Idea: Liu et al., What Makes Good Data for Alignment? (Deita), 2024: the grade is the expected value over the answer
tokens, not the likeliest token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError

Floats = NDArray[np.float64]
Messages = tuple[tuple[str, str], ...]

GRADES = ("1", "2", "3", "4", "5", "6")
"""The answers between which a scorer chooses."""


@dataclass(frozen=True)
class Templates:
    """What a scorer is asked. A scorer trained for another wording needs that wording.

    Attributes:
        complexity: holds {prompt}; the next token is the grade.
        quality: holds {prompt} and {answer}; the next token is the grade.
    """

    complexity: str = (
        "Grade how complex this instruction is, from 1 (simple) to 6 (complex).\nInstruction: {prompt}\nGrade: "
    )
    quality: str = (
        "Grade how good this answer to the instruction is, from 1 (poor) to 6 (excellent).\n"
        "Instruction: {prompt}\nAnswer: {answer}\nGrade: "
    )

    def __post_init__(self) -> None:
        """Raise InputError where a placeholder is missing."""
        for name, text, fields in (
            ("complexity", self.complexity, ("{prompt}",)),
            ("quality", self.quality, ("{prompt}", "{answer}")),
        ):
            lacking = [field for field in fields if field not in text]
            if lacking:
                raise InputError(f"the {name} template lacks {' and '.join(lacking)}; write it where the text belongs.")


def read_templates(complexity: Path | None, quality: Path | None) -> Templates:
    """Templates from text files; None keeps the built-in one.

    Raises:
        InputError: a file cannot be read, or lacks a placeholder.
    """
    texts = {}
    for name, path in (("complexity", complexity), ("quality", quality)):
        if path is not None:
            try:
                texts[name] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{path}: cannot be read ({error}); expected the {name} template.") from error
    return Templates(**texts)


class Scorer(Protocol):
    """Gives logits of the grades for questions, whatever engine computes them."""

    def logits(self, questions: Sequence[str]) -> Floats:
        """Logits of GRADES as the next token, (questions, 6), each question's up to a number of its own: log
        probabilities do as well.
        """
        ...


def expected_grade(logits: Floats) -> Floats:
    """Σ k·p(k) for k = 1…6, p the softmax over the six logits.

    Args:
        logits: (…, 6).

    Returns:
        Expected grade, 1…6, (…).

    Raises:
        ValueError: a logit is NaN or +∞, or all of a question's are −∞.
    """
    top = logits.max(axis=-1, keepdims=True)
    if not np.isfinite(top).all():
        raise ValueError("a scorer gave logits that are not finite")
    weights = np.exp(logits - top)
    return np.asarray((weights @ np.arange(1, len(GRADES) + 1)) / weights.sum(axis=-1))


def deita_score(messages: Messages, scorer: Scorer, templates: Templates) -> float:
    """Σ over the turns of a conversation of complexity × quality, each an expected grade."""
    return float(deita_scores([messages], scorer, templates)[0])


def deita_scores(rows: Sequence[Messages], scorer: Scorer, templates: Templates) -> Floats:
    """`deita_score` of several conversations with one call of the scorer, (rows,)."""
    questions: list[str] = []
    owner: list[int] = []
    for row, messages in enumerate(rows):
        for prompt, answer in turns(messages):
            owner.append(row)
            questions.append(_filled(templates.complexity, prompt=prompt))
            questions.append(_filled(templates.quality, prompt=prompt, answer=answer))
    grades = expected_grade(scorer.logits(questions)).reshape(-1, 2)
    return np.asarray(np.bincount(owner, weights=grades.prod(axis=1), minlength=len(rows)), dtype=np.float64)


def turns(messages: Messages) -> Iterator[tuple[str, str]]:
    """(user's text, assistant's text) of each turn; the system message counts to none."""
    spoken = [content for role, content in messages if role != "system"]
    return zip(spoken[::2], spoken[1::2], strict=True)


def _filled(template: str, **texts: str) -> str:
    # str.format would stumble over braces in the template, str.replace in turn over placeholders in the texts.
    parts = [template]
    for name, text in texts.items():
        field = "{" + name + "}"
        parts = [piece for part in parts for piece in _with_gap(part, field, text)]
    return "".join(str(part) for part in parts)


class _Text(str):
    """A text put in for a placeholder, in which no placeholder is looked for."""

    __slots__ = ()


def _with_gap(part: str, field: str, text: str) -> list[str]:
    if isinstance(part, _Text):
        return [part]
    pieces: list[str] = []
    for number, piece in enumerate(part.split(field)):
        pieces += [_Text(text), piece] if number else [piece]
    return pieces


def grade_tokens(tokenizer: Any, model: Path | str) -> list[int]:
    """Token of each grade, in their order.

    Raises:
        InputError: a grade is not one token of the tokenizer.
    """
    tokens = [tokenizer.encode(grade, add_special_tokens=False) for grade in GRADES]
    if several := [grade for grade, ids in zip(GRADES, tokens, strict=True) if len(ids) != 1]:
        raise InputError(f"scorer {model}: the grades {', '.join(several)} are not one token each. Take another model.")
    return [ids[0] for ids in tokens]


class CausalScorer:
    """A causal language model of transformers as the scorer: the next token's logits, nothing is generated."""

    def __init__(self, model: Path | str, batch_size: int = 16, max_tokens: int = 2048) -> None:
        """Load a model and its tokenizer; from a folder, without network.

        Args:
            model: folder, or a name on the hub.
            batch_size: questions per forward pass; changes no grade beyond float32 rounding.
            max_tokens: a longer question keeps its end, with the place of the grade.

        Raises:
            InputError: it cannot be loaded, or a grade is not one token of its tokenizer.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(model), padding_side="left")
            loaded: Any = AutoModelForCausalLM.from_pretrained(str(model), dtype="float32", trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"scorer {model}: cannot be loaded ({error}). Give a folder with model and tokenizer."
            ) from error
        self._model = loaded.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._batch_size, self._max_tokens = batch_size, max_tokens
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._grades = grade_tokens(self._tokenizer, model)

    def logits(self, questions: Sequence[str]) -> Floats:
        """See `Scorer`."""
        import torch

        encoded = [self._tokenizer(text)["input_ids"][-self._max_tokens :] for text in questions]
        found = np.empty((len(questions), len(GRADES)))
        order = sorted(range(len(encoded)), key=lambda k: len(encoded[k]))
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            batch = self._tokenizer.pad({"input_ids": [encoded[k] for k in chosen]}, return_tensors="pt")
            mask = batch["attention_mask"]
            places = (mask.cumsum(dim=1) - 1).clamp(min=0)
            with torch.inference_mode():
                last = self._model(
                    input_ids=batch["input_ids"].to(self._model.device),
                    attention_mask=mask.to(self._model.device),
                    position_ids=places.to(self._model.device),
                    use_cache=False,
                    logits_to_keep=1,
                ).logits[:, -1]
            found[chosen] = last[:, self._grades].double().cpu().numpy()
        return found
