"""`select`: a training set of a given size from a pool, by quality or by a control."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.cli.options import ENDPOINT_PANEL, Concurrency, JsonFlag, OverwriteFlag, PriceIn, PriceOut, Retries, Timeout
from flows.cli.steps import given, steps_on_screen

if TYPE_CHECKING:
    from tasks.inference.usage import Usage
    from tasks.selection.candidates import Candidates
    from tasks.selection.model_scorers import ScorerConfig
    from tasks.selection.select import Selected

_FIELDS = ("complexity", "quality")
_ENDPOINT_ONLY = ("endpoint", "concurrency", "retries", "timeout", "price_in", "price_out")
_SCORER_ONLY = ("scorer_engine", *_ENDPOINT_ONLY, "vllm_option", "complexity_template", "quality_template")
_DEITA_ONLY = ("scorer", *_SCORER_ONLY, "similarity", "vectors", "embedding_model")


def select(  # noqa: PLR0913, PLR0917 - one option each
    context: typer.Context,
    data: Annotated[list[str], typer.Option(help="JSON lines or Parquet files; * and ** match names; repeatable.")],
    size: Annotated[int, typer.Option(min=1, help="Rows to take.")],
    out: Annotated[Path, typer.Option(help="Folder for pool, reserve, passed_over.jsonl and summary.json.")],
    method: Annotated[
        Literal["deita", "random", "length"],
        typer.Option(
            help="deita: complexity × quality, then unlike rows only. Controls: random; length: long answers."
        ),
    ] = "deita",
    scorer: Annotated[
        str | None,
        typer.Option(help="Causal model that grades (folder or name). Without it the fields complexity and quality."),
    ] = None,
    scorer_engine: Annotated[
        Literal["transformers", "vllm", "endpoint"], typer.Option(help="What runs the scorer.")
    ] = "transformers",
    endpoint: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ENDPOINT_PANEL, help="Base address of the scorer's server: http://localhost:8000/v1."
        ),
    ] = None,
    concurrency: Concurrency = 16,
    retries: Retries = 5,
    timeout: Timeout = 120,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
    vllm_option: Annotated[
        list[str] | None, typer.Option(help="Engine argument of vLLM, e.g. tensor_parallel_size=2; repeatable.")
    ] = None,
    complexity_template: Annotated[
        Path | None, typer.Option(help="Text with {prompt}, as the scorer knows it.")
    ] = None,
    quality_template: Annotated[Path | None, typer.Option(help="Text with {prompt} and {answer}.")] = None,
    similarity: Annotated[
        float, typer.Option(min=-1, max=1, help="Cosine to a taken row from which a row is passed over (deita).")
    ] = 0.9,
    vectors: Annotated[
        Path | None, typer.Option(help="NumPy file with a vector for each row, in order. Without it: a sentence model.")
    ] = None,
    embedding_model: Annotated[
        Path | None, typer.Option(help="Folder of a sentence-transformers model; default: the packaged MiniLM.")
    ] = None,
    max_per_category: Annotated[int | None, typer.Option(min=1, help="Most rows of one category.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Order of equal scores; the draw of random.")] = 0,
    row_format: Annotated[
        Literal["auto", "chat", "alpaca", "sharegpt"], typer.Option("--format", help="How rows hold conversations.")
    ] = "auto",
    category_field: Annotated[str, typer.Option(help="Field with the category, where rows have one.")] = "category",
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Choose rows; what is passed over is listed with its reason, what is left becomes the reserve."""
    import json

    from flows.pool_results import check_results, files_of, select_results
    from tasks.hygiene.lines import pool_files
    from tasks.hygiene.usable import check_categories
    from tasks.pool.config import FilesSource
    from tasks.selection.candidates import read_candidates
    from tasks.selection.grades import read_templates
    from tasks.selection.select import Wish, choose, control_scores, stored_vectors, summary, write_selected

    _check_options(context, method, scorer, scorer_engine, endpoint)
    inputs = {
        "--data": files_of("--data", data),
        "--vectors": (vectors,),
        "--complexity-template": (complexity_template,),
        "--quality-template": (quality_template,),
    }
    check_results(select_results(out), inputs, overwrite)
    grader = None
    if scorer is not None:
        server = ServerOptions(endpoint or "", concurrency, retries, timeout, price_in, price_out)
        grader = _grader(scorer, scorer_engine, server, vllm_option)
    pool_files(tuple(data))
    templates = read_templates(complexity_template, quality_template)
    source = FilesSource(paths=("-",), format=row_format, category_field=category_field)
    fields = _FIELDS if method == "deita" and scorer is None else ()
    with steps_on_screen() as steps:
        rows = read_candidates(tuple(data), source, fields, lambda done, total: steps("Reading", done, total))
        _check_usable(rows, fields)
        if max_per_category is not None or given(context, ["category_field"]):
            check_categories(rows.index, category_field)
        wish = Wish(size, seed, max_per_category, similarity)
        usage = None
        if method == "deita":
            stored = None if vectors is None else stored_vectors(vectors, len(rows.index))
            scores, usage = _deita_scores(rows, grader, out, templates, steps)
            batches = stored or _embedded(rows, embedding_model, size, steps)
            chosen = choose(rows, scores, wish, batches, steps)
        else:
            chosen = choose(rows, control_scores(rows, method), wish, steps=steps)
        write_selected(chosen, out, steps, usage)
    print(json.dumps(summary(chosen, usage), ensure_ascii=False) if as_json else _text(chosen, out, usage))


def _check_options(context: typer.Context, method: str, scorer: str | None, engine: str, endpoint: str | None) -> None:
    """Refuse options that would be ignored, and engines that lack something."""
    from tasks.errors import InputError

    if method != "deita" and (unused := given(context, _DEITA_ONLY)):
        raise InputError(
            f"--method {method} uses neither scorer nor vectors: {', '.join(unused)} would be ignored. Leave these "
            "options out, or choose --method deita."
        )
    if engine == "endpoint" and not (scorer and endpoint):
        raise InputError("--scorer-engine endpoint needs --endpoint URL and --scorer NAME.")
    if engine == "vllm" and not scorer:
        raise InputError("--scorer-engine vllm needs --scorer FOLDER or NAME.")
    if scorer is None and (unused := given(context, _SCORER_ONLY)):
        raise InputError(f"{', '.join(unused)} would be ignored: there is no --scorer. Give one, or leave these out.")
    for own, names in (("endpoint", _ENDPOINT_ONLY), ("vllm", ("vllm_option",))):
        if engine != own and (unused := given(context, names)):
            raise InputError(
                f"{', '.join(unused)} would be ignored: --scorer-engine is {engine}. Leave these options out, or give "
                f"--scorer-engine {own}."
            )
    if len(both := given(context, ("vectors", "embedding_model"))) == 2:
        raise InputError(f"{' and '.join(both)}: the vectors come from one of them. Leave one out.")


def _check_usable(rows: Candidates, fields: tuple[str, ...]) -> None:
    from tasks.errors import InputError
    from tasks.hygiene.usable import check_usable

    if rows.usable.any():
        return
    if fields and any(reason.startswith("no grade") for reason in rows.index.reasons):
        raise InputError(
            f"no row has numbers in the fields {' and '.join(fields)}. Add them, or give a model with --scorer, or "
            "choose --method random or length."
        )
    check_usable(rows.index)
    file, line = rows.index.place(0)
    raise InputError(
        f"no row can be used; first: {file}, line {line}: {rows.index.reasons[rows.index.reason[0]]}. Expected chat, "
        "Alpaca or ShareGPT rows with an answer."
    )


@dataclass(frozen=True)
class ServerOptions:
    """A server and how to use it; see `tasks.inference.endpoint.EndpointConfig`."""

    url: str
    concurrency: int
    retries: int
    timeout: float
    price_in: float
    price_out: float


def _grader(
    model: str,
    engine: Literal["transformers", "vllm", "endpoint"],
    server: ServerOptions,
    vllm_option: list[str] | None,
) -> ScorerConfig:
    from tasks.inference.vllm_config import read_options
    from tasks.selection.model_scorers import ScorerConfig

    return ScorerConfig(engine, model, **asdict(server), options=read_options(vllm_option or ()))


def _deita_scores(
    rows: Candidates, grader: ScorerConfig | None, out: Path, templates: Any, steps: Any
) -> tuple[Any, Usage | None]:
    from tasks.selection.select import column_scores, model_scores

    if grader is None:
        return column_scores(rows), None
    from flows.pool_results import select_answers
    from tasks.selection.model_scorers import EndpointScorer, open_scorer

    with open_scorer(grader, select_answers(out)) as scorer:
        scores = model_scores(rows, scorer, templates, steps)
        return scores, scorer.usage if isinstance(scorer, EndpointScorer) else None


def _embedded(rows: Candidates, model: Path | None, size: int, steps: Any) -> Any:
    from tasks.selection.select import embedded
    from tasks.tagging.embedding import load_embedder

    return embedded(rows, load_embedder(model), size, steps)


def _text(chosen: Selected, out: Path, usage: Usage | None) -> str:
    from tasks.selection.select import summary

    found: Any = summary(chosen)
    lines = [f"{len(chosen.choice.taken)} of {found['usable']} usable rows taken. In {out}"]
    lines += [f"  {rows:>9}  {name or '(no category)'}" for name, rows in found["taken"].items()]
    lines.append(f"  {found['too_similar']:>9}  passed over: too similar to a better row")
    if found["over_max_per_category"]:
        lines.append(f"  {found['over_max_per_category']:>9}  passed over: their category has its number")
    if repeated := found["repeated_ids"]:
        lines.append(f"{repeated} rows repeat the id of an earlier row; whoever reads the pool keeps the first only.")
    if usage:
        lines.append(
            f"{usage.asked:,} questions asked, {usage.remembered:,} answered before; {usage.tokens_in:,} + "
            f"{usage.tokens_out:,} tokens, ${usage.cost:.4f}"
        )
    return "\n".join(lines)
