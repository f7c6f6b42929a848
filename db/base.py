"""What all tables share: the declarative base, names of constraints, column and check shorthands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import CheckConstraint, DateTime, Double, ForeignKey, Identity, MetaData, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column


class Base(DeclarativeBase):
    """Declarative base of every table."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        str: Text,
        float: Double,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        list[float | None]: ARRAY(Double),
    }


class RunState(StrEnum):
    """Where a run is."""

    PLANNED = "planned"
    RUNNING = "running"
    FINISHED = "finished"
    """All its scores are there; never changes again."""
    FAILED = "failed"


class Phase(StrEnum):
    """What an intervention's runs are for."""

    MEASURE = "measure"
    VALIDATE = "validate"


class AnalysisKind(StrEnum):
    """Which flow drew conclusions."""

    OPTIMIZE = "optimize"
    VALIDATE = "validate"


Id = Annotated[int, mapped_column(Identity(always=True), primary_key=True)]
CategoryKey = Annotated[str, mapped_column(ForeignKey("category.name"), primary_key=True)]
Created = Annotated[datetime, mapped_column(server_default=func.now())]


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """The column holds one of these words."""
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=f"{column}_known")


def finite(*columns: str) -> CheckConstraint:
    """The columns hold finite numbers or NULL; NaN never enters the database."""
    return all_finite("finite", *columns)


def all_finite(name: str, *columns: str) -> CheckConstraint:
    """`finite` under a name of its own, for a table's second set of columns."""
    test = " AND ".join(f"abs({column}) < 'Infinity'::float8" for column in columns)
    return CheckConstraint(test, name=name)


def sha256(column: str) -> CheckConstraint:
    """The column is 64 lower-case hexadecimal digits."""
    return CheckConstraint(f"{column} ~ '^[0-9a-f]{{64}}$'", name=f"{column}_sha256")


def check(name: str, test: str) -> CheckConstraint:
    """A named condition on a row."""
    return CheckConstraint(test, name=name)
