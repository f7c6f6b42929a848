"""Deployments: what deployments/prefect.yaml describes, brought to a Prefect server; the same again changes nothing."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from flows.config import ExperimentConfig
from flows.experiment_file import load_experiment
from infra.settings import load_settings
from tasks.errors import InputError
from tasks.forms import Form, problems

_PLACE = Path("deployments") / "prefect.yaml"
_CHECKOUT = Path(__file__).resolve().parent.parent / _PLACE
FILE = _CHECKOUT if _CHECKOUT.exists() else _PLACE
"""The file beside this code; for an installed package, as in the container, that of the working folder."""

_ENVIRONMENT = re.compile(r"\{\{\s*\$([A-Za-z_]\w*)\s*\}\}")


class WorkPool(Form):
    """Where flow runs are executed.

    `labels`, `container` and `pod` are added to what Prefect's own template for Kubernetes jobs says of pods.
    """

    name: str
    type: Literal["process", "kubernetes"]
    description: str = ""
    job_variables: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    container: dict[str, Any] = Field(default_factory=dict)
    pod: dict[str, Any] = Field(default_factory=dict)


class Limit(Form):
    """How many runs of a deployment may be under way, and what becomes of one more."""

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"


class PoolName(Form):
    """A work pool's name."""

    name: str


class Deployment(Form):
    """One flow with parameters, schedules and triggers; `experiment` names the file that its parameter `config` is."""

    name: str
    entrypoint: str
    description: str
    experiment: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()
    concurrency_limit: Limit | None = None
    work_pool: PoolName
    schedules: tuple[dict[str, Any], ...] = ()
    triggers: tuple[dict[str, Any], ...] = ()


class Description(Form):
    """All of prefect.yaml."""

    name: str
    work_pools: tuple[WorkPool, ...]
    deployments: tuple[Deployment, ...]


def read_description(path: Path = FILE) -> Description:
    """Read and check the file, and put experiment files in the place of their names.

    Raises:
        InputError: naming the file, the key and what was expected.
    """
    try:
        content = Description.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Name the file with --file.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {error.error_count()} problem(s)\n{problems(error)}") from None
    filled = tuple(_filled(one, path.parent) for one in content.deployments)
    return content.model_copy(update={"deployments": filled})


def _filled(deployment: Deployment, folder: Path) -> Deployment:
    if deployment.experiment is None:
        return deployment
    config = load_experiment(folder / deployment.experiment)
    return deployment.model_copy(update={"parameters": {"config": config.model_dump(mode="json")}})


def in_work_pool(description: Description, name: str) -> Description:
    """Only this work pool, with every deployment moved to it and its variables' environment filled in.

    Raises:
        InputError: unknown pool, or an environment variable that it needs is not set.
    """
    pools = {pool.name: pool for pool in description.work_pools}
    if name not in pools:
        raise InputError(f"There is no work pool {name!r} in prefect.yaml; it has: {', '.join(pools)}.")
    pool = pools[name]
    variables = {key: _from_environment(value, pool.name) for key, value in pool.job_variables.items()}
    moved = tuple(one.model_copy(update={"work_pool": PoolName(name=name)}) for one in description.deployments)
    return description.model_copy(
        update={"work_pools": (pool.model_copy(update={"job_variables": variables}),), "deployments": moved}
    )


def _from_environment(value: Any, pool: str) -> Any:
    found = _ENVIRONMENT.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return value
    if found[1] not in os.environ:
        raise InputError(f"The work pool {pool} needs the environment variable {found[1]}; set it and deploy again.")
    return os.environ[found[1]]


def with_quiet_period(description: Description, seconds: int) -> Description:
    """Let automations that wait for the end of a burst wait this long.

    Raises:
        InputError: under 10 s, the shortest that Prefect knows.
    """
    if seconds < 10:
        raise InputError(f"--quiet {seconds}: expected at least 10 seconds, the shortest that Prefect's triggers know.")

    def changed(trigger: dict[str, Any]) -> dict[str, Any]:
        return {**trigger, "within": seconds} if trigger.get("posture") == "Proactive" else trigger

    deployments = tuple(
        one.model_copy(update={"triggers": tuple(map(changed, one.triggers))}) for one in description.deployments
    )
    return description.model_copy(update={"deployments": deployments})


def added(description: Description, deployment: Deployment) -> Description:
    """The description with one more deployment."""
    return description.model_copy(update={"deployments": (*description.deployments, deployment)})


def of_experiment(description: Description, config: ExperimentConfig, name: str, cron: str | None) -> Deployment:
    """A deployment of one's own experiment: its settings as the form's defaults, run once at a time.

    Raises:
        InputError: the name is one of the file's own deployments.
    """
    base = _base(description, "experiment", name)
    return base.model_copy(
        update={
            "name": name,
            "description": f"The experiment {config.name}. {base.description}",
            "parameters": {"config": config.model_dump(mode="json")},
            "concurrency_limit": Limit(limit=1),
            "schedules": ({"slug": "own", "cron": cron, "timezone": "UTC"},) if cron else (),
        }
    )


def of_folder(description: Description, parameters: Mapping[str, Any], name: str, seconds: int) -> Deployment:
    """A deployment that watches one's own folder or bucket.

    Raises:
        InputError: the name is one of the file's own deployments, or the interval is under 10 s.
    """
    if seconds < 10:
        raise InputError(f"--every {seconds}: expected at least 10 seconds between two looks.")
    base = _base(description, "watch-folder", name)
    (look,) = base.schedules
    return base.model_copy(
        update={
            "name": name,
            "parameters": dict(parameters),
            "schedules": ({**look, "interval": seconds, "active": True},),
        }
    )


def _base(description: Description, kind: str, name: str) -> Deployment:
    if any(one.name == name for one in description.deployments):
        raise InputError(f"{name!r} is a deployment of prefect.yaml. Give another name with --name.")
    return next(one for one in description.deployments if one.name == kind)


def code_version() -> str:
    """The commit of the checkout that this code is in, with "-dirty" where files differ from it.

    Outside a checkout: the commit that the image was built from (BEYOND_IID_GIT_SHA), else the package's version.
    """
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD") if git("ls-files", "__init__.py") else None
    if not commit:
        return load_settings().git_sha or package_version("beyond-iid")
    return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
