"""The keys `hygiene`, `tagging` and `selection` of an experiment file: what is done to the pool first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from flows.designs import Block
from tasks.hygiene.config import Limits
from tasks.pool.config import LandedSource, PoolSource, SkillWorldSource

Features = Literal["lexical", "embedding", "both"]
_LIST = "File with the categories: YAML or JSON (name: one line of description) or CSV (category,description)."
_EMBEDDING_MODEL = "Folder of a sentence-transformers model; default: the offline MiniLM."


class PoolHygiene(Limits):
    """Rows that leave the pool before it is tagged."""

    benchmarks: tuple[str, ...] = Field(
        (), description="Files with benchmark items: a row that holds one leaves the pool (overlap, near_duplicates)."
    )
    held_out: bool = Field(
        True,
        title="Held-out rows",
        description="Look for the experiment's own held-out prompts in training rows, like benchmark items.",
    )


class _Tagging(Block):
    """What all engines share."""

    minimum_confidence: float = Field(
        0.0, ge=0, le=1, description="Rows below it are set apart, counted, and neither trained on nor held out."
    )
    compare_with: str | None = Field(
        None, min_length=1, description="Field with native labels: agreement and confusion are in the report."
    )


class ClassifierTagging(_Tagging):
    """A linear model that learns from a few labelled rows."""

    engine: Literal["classifier"] = Field("classifier", description="A linear model from a few labelled rows.")
    labelled: str = Field(description="Pool file with categories; 20 rows of each do.")
    categories: str | None = Field(None, description=f"{_LIST} Default: those of the labelled rows.")
    unlabelled: tuple[str, ...] | None = Field(
        None, min_length=1, description="Files of rows to learn from without labels; default: the pool (what landed "
        "first).",
    )  # fmt: skip
    features: Features = Field("lexical", description="What it looks at.")
    embedding_model: str | None = Field(None, description=_EMBEDDING_MODEL)


class EmbeddingTagging(_Tagging):
    """The category whose description is nearest in meaning."""

    engine: Literal["embedding"] = Field("embedding", description="The category whose description is nearest.")
    categories: str = Field(description=_LIST)
    embedding_model: str | None = Field(None, description=_EMBEDDING_MODEL)


class _LanguageModelTagging(_Tagging):
    """What engines share that ask a language model."""

    model: str = Field(min_length=1, description="The language model.")
    categories: str | None = Field(None, description=f"{_LIST} Default: found in free tags.")
    votes: int = Field(1, ge=1, description="Answers a row; 1: confidence from log probabilities.")
    free_tags: bool = Field(False, description="Free tags, then mapped to the categories; without a list always.")
    first_level: int = Field(12, ge=2, description="Categories to find where there is no list.")
    minimum_tag_rows: int = Field(20, ge=1, description="Tags of fewer rows are dropped.")
    tag_similarity: float = Field(0.9, ge=0, le=1, description="Tags merge from this cosine on.")
    embedding_model: str | None = Field(None, description=_EMBEDDING_MODEL)


class EndpointTagging(_LanguageModelTagging):
    """A language model behind a server of OpenAI's protocol; its key is read from the environment."""

    engine: Literal["endpoint"] = Field("endpoint", description="A server of OpenAI's protocol.")
    url: str = Field(min_length=1, description="Base address, e.g. http://localhost:8000/v1.")
    concurrency: int = Field(16, ge=1, description="Questions at once.")
    retries: int = Field(5, ge=0, description="Repetitions of a question, with growing waits.")
    timeout: float = Field(120.0, ge=0.1, description="Seconds for an answer.")
    price_in: float = Field(0.0, ge=0, description="Dollars per million prompt tokens.")
    price_out: float = Field(0.0, ge=0, description="Dollars per million completion tokens.")


class VllmTagging(_LanguageModelTagging):
    """A language model that vLLM runs on the cluster."""

    engine: Literal["vllm"] = Field("vllm", description="vLLM on the cluster: batch inference.")
    engines: int | None = Field(None, ge=1, description="Copies of the model; default: as many as the GPUs allow.")
    tensor_parallel: int = Field(1, ge=1, description="GPUs per copy.")
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="vLLM's own engine arguments, e.g. max_model_len."
    )


Tagging = Annotated[
    ClassifierTagging | EmbeddingTagging | EndpointTagging | VllmTagging,
    Field(discriminator="engine", title="Engine"),  # the title of a form's button
]
"""Any tagger; `engine` says which."""


class Selection(Block):
    """The baseline's examples by quality or by a control; the rest of each category is the reserve of later stages."""

    method: Literal["deita", "random", "length"] = Field(
        "deita",
        description="deita: complexity × quality, then unlike rows only. Controls: random; length: long answers.",
    )
    size: int = Field(ge=1, description="Rows of the baseline, over all categories.")
    fields: tuple[str, str] = Field(
        ("complexity", "quality"),
        description="Fields of the pool's rows with the two grades, where there is no scorer.",
    )
    scorer: str | None = Field(None, description="Language model that grades: folder or name.")
    scorer_engine: Literal["transformers", "vllm", "endpoint"] = Field(
        "transformers", description="What runs the scorer; endpoint: a server of OpenAI's protocol."
    )
    scorer_url: str | None = Field(None, description="The server's base address, for scorer_engine endpoint.")
    scorer_concurrency: int = Field(16, ge=1, description="Questions at once to the server.")
    scorer_options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="vLLM's own engine arguments for the scorer, e.g. dtype."
    )
    complexity_template: str | None = Field(None, description="Text file with {prompt}, as the scorer knows it.")
    quality_template: str | None = Field(None, description="Text file with {prompt} and {answer}.")
    similarity: float = Field(0.9, ge=-1, le=1, description="Cosine to a taken row from which a row is passed over.")
    embedding_model: str | None = Field(None, description=_EMBEDDING_MODEL)
    max_per_category: int | None = Field(None, ge=1, description="Most rows of one category in the baseline.")
    reserve: int | None = Field(
        None, ge=0, description="Rows of each category in the reserve, best first; default: all that are usable."
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Order of equal scores; the draw of random.")

    @model_validator(mode="after")
    def _scored(self) -> Self:
        scoring = (self.scorer, self.complexity_template, self.quality_template, self.embedding_model)
        if self.method != "deita" and any(scoring):
            raise ValueError(f"method {self.method} uses neither scorer nor embeddings; leave these keys out")
        if self.scorer is None and (self.complexity_template or self.quality_template or self.scorer_url):
            raise ValueError("templates and scorer_url go with a scorer; name it, or leave them out")
        if (self.scorer_engine == "endpoint") != (self.scorer_url is not None):
            raise ValueError("scorer_url goes with scorer_engine endpoint, and that needs it")
        return self


PoolStep = PoolHygiene | ClassifierTagging | EmbeddingTagging | EndpointTagging | VllmTagging | Selection

_PATHS = (
    "labelled", "categories", "embedding_model", "scorer", "model", "complexity_template", "quality_template",
    "unlabelled", "benchmarks",
)  # fmt: skip
_PERHAPS = ("scorer", "model")
"""Keys that hold a folder or else a name; a server's model is always a name."""


def from_folder(step: PoolStep | None, folder: Path) -> Any:
    """The step with its relative paths counted from this folder; a name that is no folder there stays a name."""
    if step is None:
        return None

    def absolute(key: str, path: str) -> str:
        there = folder / Path(path).expanduser()
        if isinstance(step, EndpointTagging) and key == "model":
            return path
        return path if key in _PERHAPS and not there.exists() else str(there.resolve())

    changed: dict[str, Any] = {}
    for key in _PATHS:
        value = getattr(step, key, None)
        if value:
            changed[key] = (
                absolute(key, value) if isinstance(value, str) else tuple(absolute(key, one) for one in value)
            )
    return step.model_copy(update=changed)


def check_steps(
    pool: PoolSource, hygiene: PoolHygiene | None, tagging: Any, selection: Selection | None, baseline: Any
) -> None:
    """What these keys ask of each other.

    Raises:
        ValueError: they contradict each other or the pool.
    """
    given = [name for name, one in (("hygiene", hygiene), ("tagging", tagging), ("selection", selection)) if one]
    if given and isinstance(pool, SkillWorldSource):
        raise ValueError(
            f"{' and '.join(given)} go with a pool of kind files, huggingface or landed: the built-in world is clean, "
            "has its categories and its own baseline; leave these keys out"
        )
    if selection and (baseline.total is not None or baseline.shares != "pool"):
        raise ValueError(
            "selection decides the baseline: what it takes of each category is trained on; leave baseline.total and "
            "baseline.shares out"
        )
    free = isinstance(tagging, _LanguageModelTagging) and (tagging.free_tags or tagging.categories is None)
    if free and isinstance(pool, LandedSource):
        raise ValueError(
            "free tags are made of a whole pool, but landed data sets are tagged one by one, each once; give "
            "tagging.categories, and leave free_tags out"
        )
