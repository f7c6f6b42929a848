"""`tag`: give every row of a pool a category and a confidence, no services needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.cli.options import ENDPOINT_PANEL, Concurrency, OverwriteFlag, PriceIn, PriceOut, Retries, Timeout

if TYPE_CHECKING:
    from tasks.tagging.confusion import Confusion
    from tasks.tagging.pool_rows import UntaggedSource
    from tasks.tagging.run import TaggingSummary

EngineName = Literal["classifier", "embedding", "endpoint", "vllm"]
FeatureName = Literal["lexical", "embedding", "both"]

_CLASSIFIER = "Classifier"
_MODEL = "Language model (endpoint, vllm)"
_VLLM = "vLLM"
_FREE = "Free tags (endpoint, vllm)"


def tag(  # noqa: PLR0913, PLR0917 - one option each
    data: Annotated[list[str], typer.Option(help="JSON lines or Parquet files; * and ** match names; repeatable.")],
    engine: Annotated[EngineName, typer.Option(help="What tags: see docs/tagging.md.")],
    out: Annotated[Path, typer.Option(help="The tagged pool, .jsonl or .jsonl.gz; companions lie beside it.")],
    categories: Annotated[
        str,
        typer.Option(
            help="YAML, JSON (name: one line) or CSV (category,description); auto: those of the labelled rows "
            "(classifier) or found in free tags (endpoint, vllm)."
        ),
    ] = "auto",
    format_: Annotated[str, typer.Option("--format", help="auto, chat, alpaca or sharegpt.")] = "auto",
    id_field: Annotated[str, typer.Option(help="Field that holds the id; optional in the data.")] = "id",
    minimum_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Rows below it go to OUT's .low-confidence.jsonl.")
    ] = 0.0,
    compare_with: Annotated[
        str | None, typer.Option(help="Field with native labels: prints and writes the confusion table.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processor cores to use; default: all.", show_default=False)
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option(rich_help_panel=_CLASSIFIER, help="Pool file with categories; 20 rows of each do.")
    ] = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_CLASSIFIER, help="Rows to learn from without labels; default: the pool itself."),
    ] = None,
    features: Annotated[FeatureName, typer.Option(rich_help_panel=_CLASSIFIER, help="What it looks at.")] = "lexical",
    embedding_model: Annotated[
        Path | None, typer.Option(help="Folder of a sentence-transformers model; default: the offline MiniLM.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(rich_help_panel=_MODEL, help="Its name at the server; vllm: a folder, or a name on the hub."),
    ] = None,
    votes: Annotated[
        int, typer.Option(min=1, rich_help_panel=_MODEL, help="Answers a row; 1: confidence from log probabilities.")
    ] = 1,
    engines: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=_VLLM, help="Copies of the model; default: what the GPUs hold, else 1."),
    ] = None,
    tensor_parallel: Annotated[int, typer.Option(min=1, rich_help_panel=_VLLM, help="GPUs that share a copy.")] = 1,
    vllm_option: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_VLLM, help="Engine argument of vLLM, e.g. max_model_len=8192; repeatable."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(rich_help_panel=ENDPOINT_PANEL, help="Base address, e.g. http://localhost:8000/v1.")
    ] = None,
    concurrency: Concurrency = 16,
    retries: Retries = 5,
    timeout: Timeout = 120,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
    free_tags: Annotated[
        bool,
        typer.Option("--free-tags", rich_help_panel=_FREE, help="Free tags, then mapped; --categories auto means it."),
    ] = False,
    first_level: Annotated[
        int, typer.Option(min=2, rich_help_panel=_FREE, help="Categories to find with --categories auto.")
    ] = 12,
    minimum_tag_rows: Annotated[
        int, typer.Option(min=1, rich_help_panel=_FREE, help="Tags of fewer rows are dropped.")
    ] = 20,
    tag_similarity: Annotated[
        float, typer.Option(min=0, max=1, rich_help_panel=_FREE, help="Tags merge from this cosine on.")
    ] = 0.9,
    overwrite: OverwriteFlag = False,
) -> None:
    """Give every row of a pool a category and a confidence.

    Rows without a tag go to OUT's .rejected.jsonl with the reason. The endpoint's key is read from
    BEYOND_IID_ENDPOINT_KEY or OPENAI_API_KEY. Run the same command again to continue after an interruption.
    """
    from flows.tagging import EngineOptions, make_engine
    from tasks.inference.endpoint import EndpointConfig
    from tasks.inference.vllm_config import VllmConfig, read_options
    from tasks.tagging.normalization import NormalizationRules
    from tasks.tagging.pool_rows import untagged_rows
    from tasks.tagging.run import TaggingOutput, tag_pool

    _check_files(out, data, labelled, unlabelled, categories, overwrite)
    source = _source(data, format_, id_field, compare_with)
    server = EndpointConfig(endpoint or "", model or "", concurrency, retries, timeout, votes, price_in, price_out)
    rules = NormalizationRules(minimum_tag_rows, tag_similarity)
    options = EngineOptions(
        engine,
        categories,
        processes,
        labelled,
        tuple(unlabelled or data),
        features,
        embedding_model,
        server,
        free_tags,
        first_level,
        rules,
        VllmConfig(model or "", votes, engines, tensor_parallel, read_options(vllm_option or ())),
    )
    with ExitStack() as stack:
        made = make_engine(options, source, out, _progress, stack)
        with _progress("Tagging") as advance:
            output = TaggingOutput(out, minimum_confidence, made.name, made.report, ", ".join(data))
            summary = tag_pool(untagged_rows(source), made.tagger, output, advance)
    for line in _report_lines(made.report()):
        print(line)
    if summary.confusion.total:
        print(_confusion_text(summary.confusion))
    print(_counts_text(summary, out, minimum_confidence))


def _check_files(
    out: Path, data: list[str], labelled: Path | None, unlabelled: list[str] | None, categories: str, overwrite: bool
) -> None:
    from flows.pool_results import check_results, files_of, tag_results

    results = tag_results(out)
    inputs = {
        "--data": files_of("--data", data),
        "--labelled": files_of("--labelled", [str(labelled)]) if labelled else (),
        "--unlabelled": files_of("--unlabelled", unlabelled or ()),
        "--categories": (Path(categories),) if categories != "auto" else (),
    }
    check_results(results, inputs, overwrite)


def _source(pool: list[str], format_: str, id_field: str, native: str | None) -> UntaggedSource:
    from typing import get_args

    from tasks.errors import InputError
    from tasks.pool.config import RowFormat
    from tasks.tagging.pool_rows import UntaggedSource

    known = get_args(RowFormat)
    for one in known:
        if one == format_:
            return UntaggedSource(tuple(pool), one, id_field, native)
    raise InputError(f"--format {format_}: unknown; expected {', '.join(known)}.")


def _counts_text(summary: TaggingSummary, out: Path, minimum: float) -> str:
    """What became of the rows, and which files hold them."""
    from tasks.tagging.tagged_files import LOW_CONFIDENCE, REJECTED, companion

    lines = [
        f"{summary.kept.total():,} rows in {len(summary.kept)} categories; {summary.low.total():,} below confidence "
        f"{minimum:g}, {summary.rejected.total():,} without a tag. In {out}"
    ]
    for name, rows in ((LOW_CONFIDENCE, summary.low), (REJECTED, summary.rejected)):
        if rows:
            lines.append(f"  {rows.total():,} rows in {companion(out, name)}")
    if not summary.kept:
        lines.append(
            f"{out} is empty: the largest confidence of any row is {summary.highest:.6g}. Lower --minimum-confidence."
        )
    if repeated := summary.ids.repeated():
        lines.append(f"{repeated:,} rows repeat the id of an earlier row; whoever reads the pool keeps the first only.")
    return "\n".join(lines)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int], None]]:
    """Rows done, on standard error; nothing where no one watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} rows"),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=None)

        def advance(number: int) -> None:
            if number % 100 == 0:
                progress.update(bar, completed=number)

        yield advance


def _report_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    if (labelled := report.get("labelled")) and labelled["not_used"]:
        first = labelled["first_not_used"][0]
        lines.append(
            f"{labelled['not_used']:,} of {labelled['rows']:,} labelled rows not used; first: {labelled['file']}, line "
            f"{first['line']}: {first['reason']}"
        )
    if checked := report.get("cross_validation"):
        lines.append(
            f"Cross-validated agreement on {checked['labelled_rows']} labelled rows: {checked['agreement']:.1%} "
            f"(standard error {checked['standard_error']:.1%}); mean confidence {checked['mean_confidence']:.1%}"
        )
    if used := report.get("usage"):
        lines.append(
            f"{used['asked']:,} rows asked, {used['remembered']:,} answered before; {used['tokens_in']:,} + "
            f"{used['tokens_out']:,} tokens, ${used['cost']:.4f}"
        )
    return lines


def _confusion_text(confusion: Confusion) -> str:
    """The table with numbered columns, as wide as any terminal."""
    header, *rows = confusion.table()
    columns = header[1:-2]
    width = max(len(row[0]) for row in rows)
    cells = [len(str(max(int(cell) for row in rows for cell in row[1:-1]))) + 1] * len(columns)
    lines = [" " * width + "".join(f"{number:>{size}}" for number, size in enumerate(cells, start=0)) + "  agreement"]
    lines += [
        f"{row[0]:<{width}}"
        + "".join(f"{cell:>{size}}" for cell, size in zip(row[1:-2], cells, strict=True))
        + f"  {float(row[-1]):.1%} of {row[-2]}"
        for row in rows
    ]
    lines += [f"  column {number}: {name}" for number, name in enumerate(columns)]
    if not confusion.comparable:
        return "\n".join([*lines, "No native label is the name of a category, so there is no share of agreement."])
    lines.append(
        f"Agreement with native labels: {confusion.agreement:.2%} (standard error {confusion.standard_error:.2%}) of "
        f"{confusion.total:,} rows"
    )
    return "\n".join(lines)
