"""Numbers on their way into and out of the database: NaN in the value types is NULL in the tables."""

from __future__ import annotations

import math


def to_null(value: float) -> float | None:
    """NULL for "not identified"; any other number unchanged, in double precision."""
    number = float(value)
    return None if math.isnan(number) else number


def from_null(value: float | None) -> float:
    """NaN for "not identified"."""
    return math.nan if value is None else value
