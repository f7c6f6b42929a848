"""Where a pool comes from: the part of an experiment file that names its instructions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tasks.forms import Form

RowFormat = Literal["auto", "chat", "alpaca", "sharegpt"]
"""How a row holds its conversation; "auto" looks at each row's fields."""


DatasetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""The name that data sets land under; safe as a folder's name and in an address."""


class SkillWorldSource(Form):
    """The built-in generator of instructions whose dependencies are known by construction."""

    kind: Literal["skillworld"] = Field("skillworld", description="The built-in SkillWorld generator.")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Which world: decides its skills' details and its examples.")
    size_factor: float = Field(1.0, gt=0, le=1000, description="Multiplies the number of examples of every category.")


class RowSource(Form):
    """How rows become instructions, whatever they are read from."""

    format: RowFormat = Field(
        "auto",
        description="chat (messages), alpaca (instruction, input, output), sharegpt (conversations), "
        "or auto: what each row holds.",
    )
    category_field: str = Field("category", min_length=1, description="Field that holds the category.")
    id_field: str = Field(
        "id", min_length=1, description="Field that holds the id; a row without one is named after its content's hash."
    )
    source_field: str = Field("source", min_length=1, description="Field that says where a row came from; optional.")
    categories: tuple[str, ...] | None = Field(
        None, min_length=1, description="Keep only these categories; default: all. Rows of others count as rejected."
    )
    max_per_category: int | None = Field(
        None,
        ge=1,
        description="Keep at most this many rows of a category, chosen by content hash and so independent of the "
        "order of the rows; default: all.",
    )


class FilesSource(RowSource):
    """Files on this machine: JSON lines (.jsonl, .ndjson, .json; also .gz) and Parquet (.parquet)."""

    kind: Literal["files"] = Field("files", description="JSON lines or Parquet files.")
    paths: tuple[str, ...] = Field(
        min_length=1, description="Files, read in this order; * and ** match names; relative to the working folder."
    )


class HubSource(RowSource):
    """A Hugging Face data set: a name on the hub, a folder of data files, or a folder of `save_to_disk`."""

    kind: Literal["huggingface"] = Field("huggingface", description="A Hugging Face data set.")
    dataset: str = Field(min_length=1, description="Name on the hub, or a folder.")
    config: str | None = Field(None, description="Configuration (subset) of the data set, where it has several.")
    split: str = Field("train", min_length=1, description="Split to read.")
    revision: str | None = Field(
        None, description="Commit hash on the hub; set it so that the experiment can be repeated."
    )


class LandedSource(Form):
    """All data sets that have landed under one name, in the order in which they landed."""

    kind: Literal["landed"] = Field("landed", description="Data sets taken in with `beyond-iid land`.")
    dataset: DatasetName = Field(description="The name they landed under; letters, digits, '.', '_', '-'.")


PoolSource = Annotated[SkillWorldSource | FilesSource | HubSource | LandedSource, Field(discriminator="kind")]
"""Any source of a pool; `kind` says which."""
