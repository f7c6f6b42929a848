"""`clean`: duplicates, near duplicates, benchmark items, languages and lengths out of a pool, before it is tagged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import JsonFlag, OverwriteFlag
from flows.cli.steps import checked, given, steps_on_screen


def clean(  # noqa: PLR0913, PLR0917 - one option each
    context: typer.Context,
    data: Annotated[list[str], typer.Option(help="JSON lines or Parquet files; * and ** match names; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for pool, reserve, rejected.jsonl, report and summary.json.")],
    benchmark: Annotated[
        list[str] | None, typer.Option(help="File with benchmark items that no row may hold; repeatable.")
    ] = None,
    near_duplicates: Annotated[
        float, typer.Option(help="Jaccard index of word n-grams from which two rows are near duplicates; 0: no check.")
    ] = 0.8,
    near_words: Annotated[int, typer.Option(help="Words in such an n-gram.")] = 3,
    overlap: Annotated[
        float, typer.Option(help="Share of a benchmark item's n-grams in a row from which the row is dropped.")
    ] = 0.5,
    overlap_words: Annotated[int, typer.Option(help="Words in such an n-gram.")] = 8,
    language: Annotated[list[str] | None, typer.Option(help="Keep only rows in this language (en, de, zh, …).")] = None,
    min_characters: Annotated[int | None, typer.Option(help="Shortest conversation.")] = None,
    max_characters: Annotated[int | None, typer.Option(help="Longest conversation.")] = None,
    reserve: Annotated[int, typer.Option(help="Rows of each category to set apart.")] = 0,
    row_format: Annotated[str, typer.Option("--format", help="chat, alpaca, sharegpt, or auto.")] = "auto",
    category_field: Annotated[str, typer.Option(help="Field with the category, where rows have one.")] = "category",
    seed: Annotated[int, typer.Option(help="Seed of signatures and reserve.")] = 0,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Clean a pool: every dropped row is listed with its reason."""
    import json

    from flows.pool_results import check_results, clean_results, files_of
    from tasks.hygiene.clean import judge, summary, write_cleaned
    from tasks.hygiene.config import Hygiene
    from tasks.hygiene.contamination import read_items
    from tasks.hygiene.lines import pool_files

    limits = checked(
        Hygiene,
        format=row_format,
        category_field=category_field,
        near_duplicates=near_duplicates or None,
        near_words=near_words,
        overlap=overlap,
        overlap_words=overlap_words,
        languages=tuple(language) if language else None,
        min_characters=min_characters,
        max_characters=max_characters,
        reserve=reserve,
        seed=seed,
    )
    inputs = {"--data": files_of("--data", data), "--benchmark": files_of("--benchmark", benchmark or ())}
    check_results(clean_results(out), inputs, overwrite)
    pool_files(tuple(data))
    items = read_items(tuple(benchmark)) if benchmark else ()
    with steps_on_screen() as steps:
        cleaned = judge(tuple(data), limits, items, steps, bool(given(context, ["category_field"])))
        write_cleaned(cleaned, out, steps)
    found = summary(cleaned)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    kept, apart = int(cleaned.kept.sum() - cleaned.reserved.sum()), int(cleaned.reserved.sum())
    print(f"{kept} of {len(cleaned.index)} rows kept, {apart} more in reserve. In {out}")
    for kind, rows in cleaned.dropped().items():
        print(f"  {rows:>9} dropped: {kind}")
    if cleaned.unchecked:
        print(f"{len(cleaned.unchecked)} benchmark items are too short to be looked for; summary.json names them.")
    if repeated := found["repeated_ids"]:
        print(f"{repeated} rows repeat the id of an earlier row; whoever reads the pool keeps the first only.")
