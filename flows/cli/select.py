"""`select`: a training set of a given size from a pool, by quality or by a control."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.cli.options import JsonFlag
from flows.cli.steps import result_folder, steps_on_screen

if TYPE_CHECKING:
    from tasks.selection.candidates import Candidates
    from tasks.selection.model_scorers import ScorerConfig
    from tasks.selection.select import Selected

_FIELDS = ("complexity", "quality")


def select(  # noqa: PLR0913, PLR0917 - one option each
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
        str | None, typer.Option(help="Base address of the scorer's server, e.g. http://localhost:8000/v1.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at once to the server.")] = 16,
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
    as_json: JsonFlag = False,
) -> None:
    """Choose rows; what is passed over is listed with its reason, what is left becomes the reserve."""
    import json

    from tasks.errors import InputError
    from tasks.hygiene.lines import pool_files
    from tasks.pool.config import FilesSource
    from tasks.selection.candidates import read_candidates
    from tasks.selection.grades import read_templates
    from tasks.selection.select import OUTPUTS, Wish, choose, control_scores, summary, write_selected

    if method != "deita" and (scorer or vectors or embedding_model or complexity_template or quality_template):
        raise InputError(f"--method {method} uses neither scorer nor vectors; leave these options out.")
    if scorer_engine == "endpoint" and not (scorer and endpoint):
        raise InputError("--scorer-engine endpoint needs --endpoint URL and --scorer NAME.")
    if scorer_engine == "vllm" and not scorer:
        raise InputError("--scorer-engine vllm needs --scorer FOLDER or NAME.")
    grader = None if scorer is None else _grader(scorer, scorer_engine, endpoint, concurrency, vllm_option)
    result_folder(out, pool_files(tuple(data))[0], OUTPUTS)
    templates = read_templates(complexity_template, quality_template)
    source = FilesSource(paths=("-",), format=row_format, category_field=category_field)
    fields = _FIELDS if method == "deita" and scorer is None else ()
    with steps_on_screen() as steps:
        rows = read_candidates(tuple(data), source, fields, lambda done, total: steps("Reading", done, total))
        _check_usable(rows, fields)
        wish = Wish(size, seed, max_per_category, similarity)
        if method == "deita":
            scores = _deita_scores(rows, grader, out, templates, steps)
            batches = _vectors(rows, vectors, embedding_model, size, steps)
            chosen = choose(rows, scores, wish, batches, steps)
        else:
            chosen = choose(rows, control_scores(rows, method), wish, steps=steps)
        write_selected(chosen, out, steps)
    print(json.dumps(summary(chosen), ensure_ascii=False) if as_json else _text(chosen, out))


def _check_usable(rows: Candidates, fields: tuple[str, ...]) -> None:
    from tasks.errors import InputError

    if rows.usable.any():
        return
    if fields and any(reason.startswith("no grade") for reason in rows.index.reasons):
        raise InputError(
            f"no row has numbers in the fields {' and '.join(fields)}. Add them, or give a model with --scorer, or "
            "choose --method random or length."
        )
    first = rows.index.reasons[rows.index.reason[0]] if len(rows.index) else "there is none"
    raise InputError(f"no row can be used; first: {first}. Expected chat, Alpaca or ShareGPT rows with an answer.")


def _grader(
    model: str,
    engine: Literal["transformers", "vllm", "endpoint"],
    url: str | None,
    concurrency: int,
    vllm_option: list[str] | None,
) -> ScorerConfig:
    from tasks.inference.vllm_config import read_options
    from tasks.selection.model_scorers import ScorerConfig

    return ScorerConfig(engine, model, url or "", concurrency, options=read_options(vllm_option or ()))


def _deita_scores(rows: Candidates, grader: ScorerConfig | None, out: Path, templates: Any, steps: Any) -> Any:
    from tasks.selection.select import column_scores, model_scores

    if grader is None:
        return column_scores(rows)
    from tasks.selection.model_scorers import open_scorer

    with open_scorer(grader, out.absolute().with_name(f"{out.name}.answers.jsonl")) as scorer:
        return model_scores(rows, scorer, templates, steps)


def _vectors(rows: Candidates, vectors: Path | None, model: Path | None, size: int, steps: Any) -> Any:
    from tasks.selection.select import embedded, stored_vectors

    if vectors is not None:
        return stored_vectors(vectors, len(rows.index))
    from tasks.tagging.embedding import load_embedder

    return embedded(rows, load_embedder(model), size, steps)


def _text(chosen: Selected, out: Path) -> str:
    from tasks.selection.select import summary

    found: Any = summary(chosen)
    lines = [f"{len(chosen.choice.taken)} of {found['usable']} usable rows taken. In {out}"]
    lines += [f"  {rows:>9}  {name or '(no category)'}" for name, rows in found["taken"].items()]
    lines.append(f"  {found['too_similar']:>9}  passed over: too similar to a better row")
    if found["over_max_per_category"]:
        lines.append(f"  {found['over_max_per_category']:>9}  passed over: their category has its number")
    return "\n".join(lines)
