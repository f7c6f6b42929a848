"""What `clean` drops and sets apart."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tasks.forms import Form
from tasks.pool.config import RowFormat


class Limits(Form):
    """Limits a row must keep to stay in the pool; None switches a check off."""

    near_duplicates: float | None = Field(
        0.8,
        gt=0,
        le=1,
        description="Drop a row whose word n-grams overlap with an earlier kept row's by this Jaccard index or more.",
    )
    near_words: int = Field(3, ge=1, le=20, description="Words in an n-gram of the near-duplicate check.")
    overlap: float = Field(
        0.5, gt=0, le=1, description="Drop a row that holds at least this share of a benchmark item's n-grams."
    )
    overlap_words: int = Field(8, ge=2, le=50, description="Words in an n-gram of the benchmark check.")
    languages: tuple[str, ...] | None = Field(
        None, min_length=1, description="Keep only rows in these languages (codes such as en, de, zh); default: all."
    )
    language_confidence: float = Field(
        0.5, ge=0, le=1, description="A row whose likeliest language is less sure than this is dropped."
    )
    min_characters: int | None = Field(None, ge=1, description="Shortest conversation, in characters.")
    max_characters: int | None = Field(None, ge=1, description="Longest conversation, in characters.")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of the MinHash permutations.")

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if self.min_characters and self.max_characters and self.min_characters > self.max_characters:
            raise ValueError(
                f"min_characters is {self.min_characters}, above max_characters {self.max_characters}; no row could "
                "stay. Lower one or raise the other"
            )
        return self


class Hygiene(Limits):
    """Limits, and how rows are read and set apart."""

    format: RowFormat = Field("auto", description="How rows hold their conversation; auto: what each row holds.")
    category_field: str = Field("category", min_length=1, description="Field that holds the category; may be missing.")
    source_field: str = Field("source", min_length=1, description="Field that says where a row came from; optional.")
    reserve: int = Field(0, ge=0, description="Rows of each category that are set apart, chosen by content hash.")
