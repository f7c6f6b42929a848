"""The `benchmarks` block of an experiment: which measures each category has beside held-out loss and exact match."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.benchmarks.checkers.sandbox import Limits
from tasks.benchmarks.scores import ACCURACY, HELD_OUT_METRICS, SHARE, Metric, MetricName, agreed
from tasks.errors import InputError
from tasks.forms import Form

_METRIC = "What the score is called; measures of one name must agree on direction and unit."
_ITEMS = (
    "JSON lines (also .gz) with prompt or messages, and answer. Default: the category's own held-out rows of the phase."
)
_NEW_TOKENS = "Longest generated answer, in tokens; a longer one is cut there and judged as it is."
RATING = "points of 10"
"""Unit of a judge's ratings."""


class _Generated(Form):
    """What measures of generated answers share."""

    items: str | None = Field(None, min_length=1, description=_ITEMS)
    max_new_tokens: int = Field(256, ge=1, le=32768, title="Longest answer", description=_NEW_TOKENS)


class _Checked(_Generated):
    """A share of right answers, by a checker."""

    metric: MetricName = Field(ACCURACY, description=_METRIC)

    @property
    def measured(self) -> Metric:
        """Name, direction and unit."""
        return Metric(self.metric, True, SHARE)


class NumericMeasure(_Checked):
    """Share of answers that end on the reference's number."""

    kind: Literal["numeric"] = Field("numeric", description="The answer's final number against the reference's.")


class ChoiceMeasure(_Checked):
    """Share of answers that choose the reference's letter."""

    kind: Literal["choice"] = Field("choice", description="The letter that the answer chooses against the reference's.")
    letters: str = Field("ABCD", pattern=r"^[A-Z]{2,26}$", description="The letters on offer.")


class PatternMeasure(_Checked):
    """Share of answers that match a regular expression."""

    kind: Literal["pattern"] = Field("pattern", description="A regular expression that the answer must match.")
    pattern: str = Field(
        min_length=1,
        description="Python's notation; {reference} stands for the reference answer, taken literally.",
    )
    whole: bool = Field(False, description="Whether the whole answer must match, outer white space aside.")
    ignore_case: bool = Field(False, description="Whether capitals and small letters are alike.")


class CodeLimits(Form):
    """What a program in an answer may use."""

    seconds: float = Field(10.0, gt=0, le=3600, description="Wall-clock seconds.")
    memory_bytes: int = Field(1 << 30, ge=64 << 20, description="Address space of each process.")
    processes: int = Field(8, ge=1, le=1024, description="Processes and threads at once.")
    file_bytes: int = Field(64 << 20, gt=0, description="All files together.")

    @property
    def limits(self) -> Limits:
        """The same as the sandbox takes it."""
        return Limits(self.seconds, self.memory_bytes, self.processes, self.file_bytes)


class CodeMeasure(_Checked):
    """Share of programs in answers that pass unit tests."""

    kind: Literal["code"] = Field("code", description="Unit tests on the program in the answer, in a sandbox.")
    items: str = Field(
        min_length=1,
        description="JSON lines (also .gz) with prompt or messages, and tests: Python statements such as asserts.",
    )
    limits: CodeLimits = Field(CodeLimits(), description="What a program may use.")


class LmEvalMeasure(Form):
    """A task of lm-eval."""

    kind: Literal["lm-eval"] = Field("lm-eval", description="A task of lm-eval: local YAML, or of its catalogue.")
    task: str = Field(min_length=1, description="The task's name.")
    task_folder: str | None = Field(None, min_length=1, description="Folder with the task's YAML; default: catalogue.")
    value: str = Field(
        min_length=1, description="Which of the task's values: metric and filter, e.g. exact_match,flexible-extract."
    )
    num_fewshot: int | None = Field(None, ge=0, title="Few-shot examples", description="Default: the task's own.")
    limit: int | None = Field(None, ge=1, description="Only this many documents, the first ones; default: all.")
    chat_template: bool = Field(True, description="Whether prompts go through the model's chat template.")
    allow_code: bool = Field(
        False, description="Let the folder's YAML name Python functions, which then run on the workers."
    )
    max_new_tokens: int | None = Field(
        None, ge=1, le=32768, title="Longest answer", description="In tokens; default: the task's own."
    )
    metric: MetricName = Field(ACCURACY, description=_METRIC)
    higher_is_better: bool = Field(True, description="The value's direction; must be the task's own.")
    unit: str = Field(SHARE, min_length=1, max_length=64, description="The value's unit.")

    @property
    def measured(self) -> Metric:
        """Name, direction and unit."""
        return Metric(self.metric, self.higher_is_better, self.unit)


class JudgeMeasure(_Generated):
    """A language model's judgment on the answers."""

    kind: Literal["judge"] = Field("judge", description="A language model that judges the answers, at an endpoint.")
    mode: Literal["pairwise", "rating"] = Field(
        description="pairwise: the share won against the reference answer, asked in both orders, ties count half. "
        "rating: 1 to 10 points."
    )
    url: str = Field(pattern=r"^https?://", description="Base address of an OpenAI-compatible server, …/v1.")
    model: str = Field(min_length=1, description="The judge's name there.")
    metric: MetricName | None = Field(None, description=f"{_METRIC} Default: judge_win or judge_rating.")
    concurrency: int = Field(16, ge=1, le=1024, description="Questions under way at once.")
    retries: int = Field(5, ge=0, le=100, description="Repetitions of a question after trouble.")
    timeout: float = Field(120.0, gt=0, description="Seconds to wait for one judgment.")
    price_in: float = Field(0.0, ge=0, description="Dollars per million tokens sent.")
    price_out: float = Field(0.0, ge=0, description="Dollars per million tokens received.")
    judge_tokens: int = Field(512, ge=16, le=32768, description="Longest judgment, in tokens.")

    @property
    def measured(self) -> Metric:
        """Name, direction and unit."""
        default, unit = ("judge_win", SHARE) if self.mode == "pairwise" else ("judge_rating", RATING)
        return Metric(self.metric or default, True, unit)


GeneratedMeasure = NumericMeasure | ChoiceMeasure | PatternMeasure | CodeMeasure | JudgeMeasure
"""A measure of answers that this product generates (an lm-eval task brings its own prompts)."""

Measure = Annotated[GeneratedMeasure | LmEvalMeasure, Field(discriminator="kind")]
"""Any measure; `kind` says which."""

EngineName = Literal["auto", "transformers", "vllm"]


class Generation(Form):
    """How answers are generated: greedily, up to the model's end token."""

    engine: EngineName = Field(
        "auto",
        description="vllm: faster for many answers, where it is installed. auto: vllm where runs have a GPU and it is "
        "installed, else transformers.",
    )
    batch_size: int = Field(32, ge=1, le=4096, description="Answers generated at once by transformers.")


class Benchmarks(Form):
    """Measures per category, beside held-out loss and exact match, which every category has."""

    measures: dict[str, tuple[Measure, ...]] = Field(min_length=1, description="Category → its measures.")
    generation: Generation = Field(Generation(), description="How answers are generated.")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that is measured, held-out loss and exact match first."""
        named = (measure.measured for measures in self.measures.values() for measure in measures)
        return tuple(agreed((*HELD_OUT_METRICS, *named)).values())

    def changed(self, change: Callable[[Measure], Measure]) -> Benchmarks:
        """The same with every measure changed."""
        measures = {category: tuple(map(change, of)) for category, of in self.measures.items()}
        return self.model_copy(update={"measures": measures})

    def from_folder(self, folder: Path) -> Benchmarks:
        """The same with relative paths taken from a folder."""

        def absolute(measure: Measure) -> Measure:
            key = "task_folder" if isinstance(measure, LmEvalMeasure) else "items"
            path = getattr(measure, key)
            return measure if path is None else measure.model_copy(update={key: str((folder / path).resolve())})

        return self.changed(absolute)

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        reserved = {metric.name for metric in HELD_OUT_METRICS}
        for category, measures in self.measures.items():
            if not measures:
                raise ValueError(f"measures of {category!r}: there is none; give one, or leave the category out")
            names = [measure.measured.name for measure in measures]
            if taken := sorted(reserved & set(names)):
                raise ValueError(f"measures of {category!r}: {taken[0]!r} is measured anyway; choose another `metric`")
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(
                    f"measures of {category!r}: {twice[0]!r} stands there twice; give one of them another `metric`"
                )
        try:
            _ = self.metrics
        except InputError as error:
            raise ValueError(str(error)) from None
        return self
