"""`land` and `rerun`: take in data sets, and repeat what is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.experiments import Name, run_to_the_end
from flows.cli.steps import checked

if TYPE_CHECKING:
    from flows.config import ExperimentConfig

_SHOWN_ROWS = 5


def land(  # noqa: PLR0913, PLR0917 (a command's options)
    place: Annotated[str, typer.Argument(help="A file, a folder, or an address such as s3://bucket/folder.")],
    dataset: Annotated[str, typer.Option(help="The name to land under; pools read it with kind: landed.")],
    format_: Annotated[str, typer.Option("--format", help="auto, chat, alpaca or sharegpt.")] = "auto",
    category_field: Annotated[str, typer.Option(help="Field that holds the category.")] = "category",
    id_field: Annotated[str, typer.Option(help="Field that holds the id; optional in the data.")] = "id",
    category: Annotated[
        list[str] | None, typer.Option(help="Keep only this category; may be given several times.")
    ] = None,
    max_per_category: Annotated[int | None, typer.Option(help="Keep at most this many rows of a category.")] = None,
    untagged: Annotated[
        bool, typer.Option("--untagged", help="Rows may lack a category: experiments with the key tagging give one.")
    ] = False,
) -> None:
    """Check a data set, take a snapshot, and announce it: the experiments that use it run again with it.

    The same content again changes nothing.
    """
    rows = {
        "format": format_,
        "category_field": category_field,
        "id_field": id_field,
        "categories": category,
        "max_per_category": max_per_category,
    }
    from flows.data_files import Place
    from flows.landing import land as take_in
    from flows.workspace import workspace
    from tasks.errors import InputError
    from tasks.pool.config import LandedSource, RowSource

    checked(LandedSource, dataset=dataset)
    source, there = checked(RowSource, **rows), Place(place)
    files = there.files()
    if not files:
        raise InputError(f"{place}: holds no data files; expected .jsonl, .ndjson, .json (also .gz) or .parquet.")
    try:
        with workspace() as opened:
            landing = take_in(opened, there, files, dataset, source, untagged)
    except OSError as error:
        raise InputError(f"{place}: cannot be copied ({error}).") from error
    print(landing)
    for row in landing.rejected[:_SHOWN_ROWS]:
        print(f"  rejected: {row.file}, line {row.line}: {row.reason}")
    if len(landing.rejected) > _SHOWN_ROWS:
        print(f"  … and {len(landing.rejected) - _SHOWN_ROWS} more: {landing.file.with_suffix('.rejected.jsonl')}")
    if landing.new:
        print(_announced(dataset))


def rerun(
    name: Name,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log lines.")] = False,
) -> None:
    """Repeat what failed or is missing of an experiment, with the settings it was recorded with."""

    def recorded() -> ExperimentConfig:
        from flows.recorded import recorded_config

        return recorded_config(name)

    run_to_the_end(recorded, verbose)


def _announced(dataset: str) -> str:
    """Tell the Prefect server, if there is one; what happens next."""
    from infra.services import driver_environment
    from infra.settings import load_settings

    sweep = "The hourly sweep of the deployment on-dataset answers it."
    if "PREFECT_API_URL" not in os.environ:
        os.environ.update(driver_environment(load_settings().home_folder))
    if "PREFECT_API_URL" not in os.environ:
        return f"No Prefect server is running, so nothing starts now (beyond-iid up). {sweep}"
    from flows.announcements import DATASET_LANDED, announce, is_answered

    if announce(DATASET_LANDED, dataset):
        if is_answered(DATASET_LANDED):
            return "Announced: the experiments that use it run again after the quiet period."
        return (
            f"Announced, but no automation of the Prefect server at {os.environ['PREFECT_API_URL']} waits for data "
            "sets, so nothing starts now. `beyond-iid deploy` registers it, and the hourly sweep, which answers what "
            "has landed before."
        )
    return f"The Prefect server at {os.environ['PREFECT_API_URL']} did not take the event. {sweep}"
