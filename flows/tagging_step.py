"""The step `tagging` of an experiment: each part of the pool is tagged once per content, options and model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.pool_blocks import ClassifierTagging, EndpointTagging, Tagging, VllmTagging
from flows.pool_files import Part, PoolFiles, Steps
from flows.tagging import AUTO, EngineOptions, make_engine
from tasks.errors import InputError
from tasks.fingerprint import file_sha256, fingerprint, folder_sha256
from tasks.inference.endpoint import EndpointConfig
from tasks.inference.vllm_config import VllmConfig, model_identity
from tasks.pool.config import RowSource
from tasks.pool.instruction import RejectedRow
from tasks.pool.rows import count_rows, expand_paths
from tasks.tagging.normalization import NormalizationRules
from tasks.tagging.pool_rows import UntaggedSource, untagged_rows
from tasks.tagging.run import TaggingOutput, tag_pool
from tasks.tagging.tagged_files import companion

VERSION = "1"
"""Changes whenever the same rows, options and model would get other tags."""
LOW_CONFIDENCE = "low confidence"
"""Kind of reason of rows that are set apart."""

_DECIDES_NO_TAG = {
    "classifier": {"labelled", "unlabelled", "categories", "embedding_model"},
    "embedding": {"categories", "embedding_model"},
    "endpoint": {"categories", "embedding_model", "url", "concurrency", "retries", "timeout", "price_in", "price_out"},
    "vllm": {"categories", "embedding_model", "model", "engines", "tensor_parallel"},
}
"""Keys that name files, whose contents count instead, or how fast and at what price."""
_ONE_PROCESS_BYTES = 64 << 20
"""Starting further processes takes longer than tagging so much text."""
_ROWS_PER_UPDATE = 100


@dataclass(frozen=True)
class Tagged:
    """Parts of a pool with categories.

    Attributes:
        files: the tagged parts.
        identity: fingerprint of each part: content, options, model.
        report: counts of all parts together, for the report.
    """

    files: PoolFiles
    identity: tuple[str, ...]
    report: dict[str, Any]


def tag_files(raw: PoolFiles, tagging: Tagging, store: Path, steps: Steps) -> Tagged:
    """Tag what was not tagged before with the same options.

    Args:
        raw: the pool's files; categories that their rows have are not looked at.
        tagging: engine and options.
        store: the artifact store.
        steps: progress.

    Raises:
        InputError: an option, file, model or server is missing or wrong; or no row has a category with the confidence
            that is asked for.
    """
    learnt_from = _learnt_from(raw, tagging)
    asked = {"version": VERSION, **_options_identity(tagging, learnt_from)}
    sorting = [tagging.minimum_confidence, tagging.compare_with]
    questions = [fingerprint({**asked, "files": part.sha256()}) for part in raw.parts]
    identities = [fingerprint([question, *sorting]) for question in questions]
    folders = [store / "tagged" / identity for identity in identities]
    for number, (part, folder) in enumerate(zip(raw.parts, folders, strict=True), start=1):
        if not companion(folder / "tagged.jsonl", "summary.json").exists():
            if isinstance(tagging, EndpointTagging | VllmTagging):
                _share_answers(store / "tagged" / f"{questions[number - 1]}.answers.jsonl", folder / "tagged.jsonl")
            where = f"Tagging part {number} of {len(raw.parts)}" if len(raw.parts) > 1 else "Tagging"
            _tag(raw, part, tagging, learnt_from, folder / "tagged.jsonl", lambda *n, t=where: steps(t, *n))
    # A part may be without a single sure row.
    found = [
        Part(part.mark, (folder / "tagged.jsonl",))
        for part, folder in zip(raw.parts, folders, strict=True)
        if _holds_rows(folder / "tagged.jsonl")
    ]
    if not found:
        raise InputError(
            f"{raw.name}: no row was tagged with a confidence of {tagging.minimum_confidence:g} or more. Lower "
            "tagging.minimum_confidence, or give better categories, labelled rows or another model."
        )
    summaries = [json.loads(companion(folder / "tagged.jsonl", "summary.json").read_text()) for folder in folders]
    rows = RowSource(format="chat", **{key: getattr(raw.rows, key) for key in ("categories", "max_per_category")})
    return Tagged(replace(raw, parts=tuple(found), rows=rows), tuple(identities), tagging_report(summaries))


def _holds_rows(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def tagging_rejects(store: Path, identity: tuple[str, ...]) -> Iterator[RejectedRow]:
    """Rows without a tag, with the reason, then rows of low confidence (line: in the file that holds them)."""
    for one in identity:
        out = store / "tagged" / one / "tagged.jsonl"
        for name in ("rejected.jsonl", "low-confidence.jsonl"):
            path = companion(out, name)
            if not path.exists():
                continue
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    row = json.loads(line)
                    if "reason" in row:
                        yield RejectedRow(**row)
                    else:
                        reason = f"{LOW_CONFIDENCE}: {row['confidence']:.3f} for {row['category']}"
                        yield RejectedRow(str(path), number, reason)


def tagging_report(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of several parts together: rows, categories, confidences, confusion; what each engine said, part by part.

    Args:
        summaries: the parts' summary.json.
    """
    categories: Counter[str] = Counter()
    low: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    confusion: Counter[tuple[str, str]] = Counter()
    for summary in summaries:
        categories.update(summary["categories"])
        low.update(summary["low_confidence"])
        rejected.update(summary["rejected"])
        for native, category, n in (summary["native_labels"] or {"counts": []})["counts"]:
            confusion[native, category] += n
    return {
        "tagger": summaries[0]["tagger"],
        "minimum_confidence": summaries[0]["minimum_confidence"],
        "parts": len(summaries),
        "categories": dict(sorted(categories.items())),
        "low_confidence": dict(sorted(low.items())),
        "rejected": dict(rejected.most_common()),
        "confidences": [sum(tenths) for tenths in zip(*(one["confidences"] for one in summaries), strict=True)],
        "confusion": [[*pair, n] for pair, n in sorted(confusion.items())],
        "cross_validation": summaries[0].get("cross_validation"),
        "usage": [one["usage"] for one in summaries if "usage" in one],
    }


def _tag(raw: PoolFiles, part: Part, tagging: Tagging, learnt_from: tuple[Path, ...], out: Path, steps: Any) -> None:
    total = sum(map(count_rows, part.files))

    @contextmanager
    def watch(_title: str) -> Iterator[Any]:
        yield lambda number: steps(number, max(number, total)) if number % _ROWS_PER_UPDATE == 0 else None

    source = _source(raw, part.files, tagging.compare_with)
    with ExitStack() as stack:
        options = _options(tagging, learnt_from, sum(path.stat().st_size for path in part.files))
        made = make_engine(options, source, out, watch, stack)
        with watch("Tagging") as advance:
            output = TaggingOutput(out, tagging.minimum_confidence, made.name, made.report, raw.name)
            tag_pool(untagged_rows(source), made.tagger, output, advance)
    steps(total, total)


def _share_answers(answers: Path, out: Path) -> None:
    """What a model answered holds for any minimum of confidence: nothing is asked twice."""
    link = companion(out, "answers.jsonl")
    if not link.is_symlink():
        out.parent.mkdir(parents=True, exist_ok=True)
        # Relative, so that the store can be moved.
        link.symlink_to(Path("..") / answers.name)


def _source(raw: PoolFiles, files: tuple[Path, ...], native: str | None) -> UntaggedSource:
    return UntaggedSource(tuple(map(str, files)), raw.rows.format, raw.rows.id_field, native, raw.rows.source_field)


def _learnt_from(raw: PoolFiles, tagging: Tagging) -> tuple[Path, ...]:
    """Rows that a classifier learns from without labels: what landed first stays the same when more lands."""
    if not isinstance(tagging, ClassifierTagging):
        return ()
    return expand_paths(tagging.unlabelled) if tagging.unlabelled else raw.parts[0].files


def _options(tagging: Tagging, learnt_from: tuple[Path, ...], size: int) -> EngineOptions:
    classifier = tagging if isinstance(tagging, ClassifierTagging) else None
    model = tagging if isinstance(tagging, EndpointTagging | VllmTagging) else None
    embedding_model = tagging.embedding_model
    server = EndpointConfig("", "", 1, 0, 1.0, 1, 0.0, 0.0)
    if isinstance(tagging, EndpointTagging):
        server = EndpointConfig(
            **{key: getattr(tagging, key) for key in ("url", "model", "concurrency", "retries", "timeout", "votes")},
            price_in=tagging.price_in,
            price_out=tagging.price_out,
        )
    vllm = VllmConfig()
    if isinstance(tagging, VllmTagging):
        keys = ("model", "votes", "engines", "tensor_parallel", "options")
        vllm = VllmConfig(**{key: getattr(tagging, key) for key in keys})
    return EngineOptions(
        engine=tagging.engine,
        categories=tagging.categories or AUTO,
        processes=1 if size < _ONE_PROCESS_BYTES else None,
        labelled=Path(classifier.labelled) if classifier else None,
        unlabelled=tuple(map(str, learnt_from)),
        features=classifier.features if classifier else "lexical",
        embedding_model=Path(embedding_model) if embedding_model else None,
        server=server,
        free_tags=model is not None and model.free_tags,
        first_level=model.first_level if model else 2,
        rules=NormalizationRules(model.minimum_tag_rows, model.tag_similarity) if model else NormalizationRules(),
        vllm=vllm,
    )


def _options_identity(tagging: Tagging, learnt_from: tuple[Path, ...]) -> dict[str, Any]:
    """Everything but the rows that decides their tags: options, and the contents of the files that they name."""
    apart = {"minimum_confidence", "compare_with"}
    options = tagging.model_dump(mode="json", exclude=apart | _DECIDES_NO_TAG[tagging.engine])
    identity: dict[str, Any] = {"options": options, "learnt_from": [file_sha256(path) for path in learnt_from]}
    if tagging.categories:
        identity["categories"] = file_sha256(Path(tagging.categories))
    if isinstance(tagging, ClassifierTagging):
        identity["labelled"] = file_sha256(Path(tagging.labelled))
    if isinstance(tagging, VllmTagging):
        identity["model"] = model_identity(tagging.model)
    if not isinstance(tagging, ClassifierTagging) or tagging.features != "lexical":
        folder = tagging.embedding_model
        identity["embedding_model"] = folder_sha256(Path(folder)) if folder else "MiniLM"
    return identity
