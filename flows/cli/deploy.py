"""`deploy`: flows, schedules and automations on the Prefect server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.deployments import Deployment, Description


def deploy(  # noqa: PLR0913, PLR0917 (a command's options)
    experiment: Annotated[
        Path | None, typer.Option(help="Also make a deployment of this experiment file (YAML), with its settings.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="When the experiment runs by itself, e.g. '0 3 * * *' (UTC).")
    ] = None,
    watch: Annotated[
        str | None, typer.Option(help="Also watch this folder or bucket: new and changed data files land.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The name that watched files land under; default: their first folder's.")
    ] = None,
    every: Annotated[int, typer.Option(help="Seconds between two looks at the watched folder.")] = 120,
    name: Annotated[str | None, typer.Option(help="Name of the further deployment; default: the experiment's.")] = None,
    quiet: Annotated[
        int,
        typer.Option(help="Seconds without a landing after which a burst is answered.", envvar="BEYOND_IID_QUIET"),
    ] = 60,
    work_pool: Annotated[
        str, typer.Option(help="beyond-iid (processes) or beyond-iid-kubernetes.", envvar="BEYOND_IID_WORK_POOL")
    ] = "beyond-iid",
    file: Annotated[Path | None, typer.Option(help="Description; default: this version's prefect.yaml.")] = None,
) -> None:
    """Register flows, schedules and automations with the Prefect server; the same again changes nothing.

    The server is that of `beyond-iid up`, or the one PREFECT_API_URL names.
    """
    from tasks.errors import InputError

    if experiment and watch:
        raise InputError("Give --experiment and --watch in two calls: each makes one further deployment.")
    if cron and not experiment:
        raise InputError("--cron needs --experiment: it says when that experiment runs.")
    with _prefect_server() as url:
        from flows import deployments
        from flows.registration import register

        described = deployments.read_description(file or deployments.FILE)
        if experiment:
            described = deployments.added(described, _experiment(described, experiment, name, cron))
        elif watch:
            described = deployments.added(described, _folder(described, watch, dataset, name, every))
        described = deployments.with_quiet_period(deployments.in_work_pool(described, work_pool), quiet)
        for one in register(described, deployments.code_version()):
            print(f"{one.outcome:>9}  {one.kind} {one.name}")
        print(f"Start them in the UI: {url.removesuffix('/api')}/deployments")


def _experiment(described: Description, file: Path, name: str | None, cron: str | None) -> Deployment:
    from flows.deployments import of_experiment
    from flows.experiment_file import load_experiment

    config = load_experiment(file)
    return of_experiment(described, config, name or config.name, cron)


def _folder(described: Description, place: str, dataset: str | None, name: str | None, every: int) -> Deployment:
    from flows.deployments import of_folder

    folder = place if "://" in place else str(Path(place).expanduser().resolve())
    parameters = {"folder": folder, "dataset": dataset}
    return of_folder(described, parameters, name or f"watch {dataset or Path(folder).name}", every)


@contextmanager
def _prefect_server() -> Iterator[str]:
    """The running server's address, before Prefect is imported: it reads its settings then.

    Raises:
        ConfigurationError: none is running; it would end with this command.
    """
    from infra.errors import ConfigurationError
    from infra.prefect_server import prefect_api
    from infra.services import use_services
    from infra.settings import load_settings

    home = load_settings().home_folder
    use_services(home)
    if "PREFECT_API_URL" not in os.environ:
        raise ConfigurationError(
            "No Prefect server is running here. Start the local services with `beyond-iid up`, or name a server with "
            "PREFECT_API_URL."
        )
    os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    with prefect_api(home) as url:
        yield url
