"""The engines of `beyond-iid tag`, each made from the command's options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from infra.ray_cluster import ray_cluster
from infra.services import use_services
from infra.settings import load_settings
from tasks.errors import InputError
from tasks.inference.answers import AnswerFile
from tasks.inference.endpoint import Endpoint, EndpointConfig
from tasks.inference.vllm_batches import VllmBatches
from tasks.inference.vllm_config import VllmConfig
from tasks.pool.instruction import Instruction
from tasks.tagging.categories import Categories, read_categories
from tasks.tagging.classifier import SAMPLE_ROWS, ClassifierTagger, train_classifier
from tasks.tagging.embedding import EmbeddingTagger, load_embedder
from tasks.tagging.free_tags import FreeTagger, generate_tags, organize_tags, write_vocabulary
from tasks.tagging.labelled import read_labelled
from tasks.tagging.model_tagger import Asked, ModelTagger
from tasks.tagging.normalization import NormalizationRules
from tasks.tagging.outcome import Tagger
from tasks.tagging.pool_rows import UntaggedRow, UntaggedSource, sample, untagged_rows
from tasks.tagging.questions import TaggingQuestion, category_question, tags_question
from tasks.tagging.tagged_files import companion
from tasks.tagging.workers import Workers

AUTO = "auto"

Watch = Callable[[str], AbstractContextManager[Callable[[int], None]]]
"""A title → a context with a callback for the number of rows done."""


@dataclass(frozen=True)
class EngineOptions:
    """What the command line says about the engine; see `beyond-iid tag --help`.

    Attributes:
        categories: a file, or `AUTO`.
        processes: processor cores to use; None takes all that this process may use.
        server: for the engine endpoint.
        unlabelled: files of rows that the classifier learns from without labels.
        free_tags: free tags, normalized and mapped, instead of a choice from the list.
        first_level: categories to find in free tags where there is no list.
        rules: of the normalization of free tags.
        vllm: for the engine vllm.
    """

    engine: Literal["classifier", "embedding", "endpoint", "vllm"]
    categories: str
    processes: int | None
    labelled: Path | None
    unlabelled: tuple[str, ...]
    features: Literal["lexical", "embedding", "both"]
    embedding_model: Path | None
    server: EndpointConfig
    free_tags: bool
    first_level: int
    rules: NormalizationRules
    vllm: VllmConfig = field(default_factory=VllmConfig)


@dataclass(frozen=True)
class Engine:
    """A tagger that is ready.

    Attributes:
        tagger: tags the rows of the source that it was made for.
        name: written into every row.
        report: what it has to say when all is done, for summary.json.
    """

    tagger: Tagger
    name: str
    report: Callable[[], dict[str, Any]]


def make_engine(options: EngineOptions, source: UntaggedSource, out: Path, watch: Watch, stack: ExitStack) -> Engine:
    """Train, load or connect what the options ask for.

    Args:
        options: the engine and its settings.
        source: the rows that will be tagged; free tags read them once before.
        out: the tagged pool; answers and vocabulary lie beside it.
        watch: shows progress of reading ahead.
        stack: holds what must be closed after tagging.

    Raises:
        InputError: an option is missing or contradicts another, or a file or package is.
    """
    _check(options)
    listed = None if options.categories == AUTO else read_categories(Path(options.categories))
    if options.engine == "classifier":
        return _classifier(options, source, listed, watch, stack)
    if options.engine == "embedding" and listed is not None:
        embedder = load_embedder(options.embedding_model, _processes(options))
        return Engine(EmbeddingTagger(listed, embedder), "embedding", dict)
    if options.free_tags or listed is None:
        return _free_tags(options, source, listed, out, watch, stack)
    question = category_question(listed, as_json=options.engine == "endpoint")
    model = _model(options, question, source, out, watch, stack)
    return Engine(ModelTagger(listed, model, question), _name(options), lambda: {"usage": asdict(model.usage)})


def _check(options: EngineOptions) -> None:
    engine = options.engine
    if engine == "classifier" and options.labelled is None:
        raise InputError("--engine classifier needs --labelled FILE: a pool file with a category for each row.")
    if engine != "classifier" and options.labelled is not None:
        raise InputError(f"--labelled goes with --engine classifier; {engine} learns from no labels.")
    if engine == "embedding" and options.categories == AUTO:
        raise InputError("--engine embedding needs --categories FILE: names with one line of description each.")
    if engine == "endpoint" and not (options.server.url and options.server.model):
        raise InputError("--engine endpoint needs --endpoint URL and --model NAME.")
    if engine == "vllm" and not options.vllm.model:
        raise InputError("--engine vllm needs --model FOLDER or NAME: an instruction-tuned language model.")
    if options.free_tags and engine not in ("endpoint", "vllm"):
        raise InputError("--free-tags goes with --engine endpoint or vllm; the other engines write no tags.")


def _processes(options: EngineOptions) -> int:
    if options.processes is not None:
        return options.processes
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _classifier(
    options: EngineOptions, source: UntaggedSource, listed: Categories | None, watch: Watch, stack: ExitStack
) -> Engine:
    if options.labelled is None:
        raise ValueError("the classifier has no labelled rows")
    read = read_labelled(options.labelled, None if listed is None else listed.names)
    labelled = read.rows
    names = tuple(sorted({row.category for row in labelled})) if listed is None else listed.names
    cores = _processes(options)
    embedder = None if options.features == "lexical" else load_embedder(options.embedding_model, cores)
    with watch("Reading") as advance:
        unlabelled = sample(
            replace(source, paths=options.unlabelled, native_field=None), SAMPLE_ROWS, seed=0, on_row=advance
        )
    # An embedding model uses all cores by itself, and would be copied into every process.
    workers = stack.enter_context(Workers(cores if embedder is None else 1))
    trained = train_classifier(labelled, unlabelled, names, options.features, embedder, workers)
    agreement = trained.agreement
    report = {
        "labelled": {"file": str(options.labelled), **read.report()},
        "cross_validation": {
            "labelled_rows": len(labelled),
            "agreement": agreement.share,
            "standard_error": agreement.standard_error,
            "mean_confidence": float(agreement.confidence.mean()),
        },
    }
    return Engine(ClassifierTagger(trained, workers), f"classifier {options.features}", lambda: report)


def _model(
    options: EngineOptions,
    question: TaggingQuestion,
    source: UntaggedSource,
    out: Path,
    watch: Watch,
    stack: ExitStack,
) -> Asked:
    """A server to be asked row by row, or vLLM's answers to all rows."""
    answers = stack.enter_context(AnswerFile(companion(out, "answers.jsonl")))
    if options.engine == "endpoint":
        return Endpoint(options.server, question, answers)
    batches = stack.enter_context(VllmBatches(options.vllm, question, answers, companion(out, "questions").absolute()))
    with watch("Asking") as advance, _ray():
        batches.answer(_usable(source), advance)
    return batches


@contextmanager
def _ray() -> Iterator[None]:
    """The cluster of the settings or of `beyond-iid up`; else one of this process that ends with it."""
    use_services(load_settings().home_folder)
    settings = load_settings()
    with ray_cluster(settings.ray_address, allow_insecure=settings.allow_insecure):
        yield


def _usable(source: UntaggedSource) -> Iterator[Instruction]:
    return (row.instruction for row in untagged_rows(source) if isinstance(row, UntaggedRow))


def _name(options: EngineOptions) -> str:
    model = options.server.model if options.engine == "endpoint" else options.vllm.model
    return f"{options.engine} {model}"


def _free_tags(
    options: EngineOptions,
    source: UntaggedSource,
    listed: Categories | None,
    out: Path,
    watch: Watch,
    stack: ExitStack,
) -> Engine:
    if (options.server if options.engine == "endpoint" else options.vllm).votes != 1:
        raise InputError("--votes goes with a choice from a list; free tags are asked for once.")
    embedder = load_embedder(options.embedding_model, _processes(options))
    model = _model(options, tags_question(), source, out, watch, stack)
    with watch("Tagging freely") as advance:
        raw = generate_tags(_usable(source), model, advance)
    tagging = organize_tags(raw, embedder, options.rules, options.first_level if listed is None else listed)
    write_vocabulary(tagging, companion(out, "vocabulary"))
    return Engine(FreeTagger(tagging), _name(options), lambda: {"usage": asdict(model.usage)})
