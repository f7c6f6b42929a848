"""What was asked of a language model, and what it took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """What was asked and what it took.

    Attributes:
        asked: rows that the model answered in this run.
        remembered: rows whose answer was there already.
        tokens_in: prompt tokens of the rows asked.
        tokens_out: completion tokens of the rows asked.
        cost: dollars of these tokens.
    """

    asked: int = 0
    remembered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
