"""Experiments that the database or the Prefect server knows: their configuration by name, and who uses which data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from pydantic import ValidationError

from db.events import experiments_on
from db.experiments import get_experiment
from flows.config import ExperimentConfig
from flows.workspace import Workspace, workspace
from tasks.errors import InputError
from tasks.forms import problems


def recorded_config(name: str) -> ExperimentConfig:
    """The configuration recorded last under this name.

    Raises:
        InputError: there is none, or another version of this product wrote it and it is no longer valid.
    """
    with workspace() as opened, opened.database.session() as session:
        return valid_config(name, get_experiment(session, name).config)


def valid_config(name: str, content: Mapping[str, Any]) -> ExperimentConfig:
    """The configuration, checked.

    Raises:
        InputError: it is no longer valid.
    """
    try:
        return ExperimentConfig.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"Experiment {name!r} is stored with settings that this version does not accept; run or deploy it again "
            f"from its file:\n{problems(error)}"
        ) from None


def experiments_using(opened: Workspace, dataset: str) -> dict[str, Mapping[str, Any]]:
    """Configurations by name of the experiments whose pool is this landed data set, sorted.

    A deployment's parameters are what its owner wants to be run; else the configuration recorded last counts.
    """
    with opened.database.session() as session:
        found = experiments_on(session, dataset)
    return dict(sorted({**found, **_deployed(dataset)}.items()))


def _deployed(dataset: str) -> dict[str, Mapping[str, Any]]:
    flows = FlowFilter(name=FlowFilterName(any_=["experiment"]))
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(flow_filter=flows, limit=200)
    configs = [deployment.parameters.get("config") for deployment in deployments if not deployment.paused]
    return {
        str(config["name"]): config
        for config in configs
        if isinstance(config, dict) and _pool(config) == ("landed", dataset) and "name" in config
    }


def _pool(config: Mapping[str, Any]) -> tuple[Any, Any]:
    pool = config.get("pool")
    return (pool.get("kind"), pool.get("dataset")) if isinstance(pool, dict) else (None, None)
