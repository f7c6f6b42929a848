"""Values on their way into and out of the database: NaN in the value types is NULL in the tables."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, ColumnElement, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute


def to_null(value: float) -> float | None:
    """NULL for "not identified"; any other number unchanged, in double precision."""
    number = float(value)
    return None if math.isnan(number) else number


def from_null(value: float | None) -> float:
    """NaN for "not identified"."""
    return math.nan if value is None else value


def among(column: InstrumentedAttribute[Any] | Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`column IN values` for any number of them: one array parameter, where IN binds one each and ends at 65,535."""
    return column == any_(literal(list(values), ARRAY(column.type)))
