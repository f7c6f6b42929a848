"""The described deployments: forms that explain themselves, defaults that can be submitted, mistakes that are named."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from flows.cancellation import close_cancelled
from flows.deployments import FILE, Deployment, code_version, in_work_pool, of_experiment, read_description
from flows.deployments import with_quiet_period as with_quiet
from flows.experiment_file import load_experiment
from infra.errors import ConfigurationError
from tasks.errors import InputError
from tests.flows.command import Command

ROOT = Path(__file__).resolve().parents[2]
DESCRIBED = read_description()
NUMBERS = {"integer", "number"}
BOUNDS = {"minimum", "exclusiveMinimum", "enum", "const"}


def form(deployment: Deployment) -> dict[str, Any]:
    """What the server stores for the UI to draw."""
    flow: Any = load_flow_from_entrypoint(deployment.entrypoint)
    return dict(parameter_schema(flow.fn).model_dump_for_openapi())


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of the form and of every group in it, with what it inherits from a group it refers to."""
    groups = schema.get("definitions", {})
    for place, group in (("", schema), *groups.items()):
        for key, field in group.get("properties", {}).items():
            yield f"{place}.{key}", {**groups.get(field.get("$ref", "").split("/")[-1], {}), **field}


def parts(field: Any) -> Iterator[dict[str, Any]]:
    """The field's schema and all those in it."""
    if isinstance(field, dict):
        yield field
        for key in ("anyOf", "oneOf", "prefixItems"):
            for one in field.get(key, []):
                yield from parts(one)
        for key in ("items", "additionalProperties"):
            yield from parts(field.get(key))


@pytest.mark.parametrize("deployment", DESCRIBED.deployments, ids=lambda one: one.name)
def test_form_explains_every_field_at_every_level(deployment: Deployment) -> None:
    named = dict(fields(form(deployment)))
    assert not [key for key, field in named.items() if not field.get("title") or not field.get("description")]
    open_ended = [
        key
        for key, field in named.items()
        for part in parts(field)
        if part.get("type") in NUMBERS and not BOUNDS & set(part) and not key.endswith("options")
    ]  # what vLLM takes as its own options is vLLM's to bound
    assert not open_ended
    nameless = [
        key
        for key, field in named.items()
        for choice in field.get("anyOf", [])
        if "oneOf" in choice and not choice.get("title")
    ]  # a choice among choices is a button with its title
    assert not nameless
    if "ExperimentConfig" in str(deployment.parameters) or deployment.experiment:
        assert len(named) > 60
        assert named["ExperimentConfig.name"]["pattern"]
        assert set(named["Recipe.schedule"]["enum"]) == {"constant", "linear", "cosine"}


@pytest.mark.parametrize("deployment", DESCRIBED.deployments, ids=lambda one: one.name)
def test_form_can_be_submitted_as_it_is_shown(deployment: Deployment) -> None:
    flow: Any = load_flow_from_entrypoint(deployment.entrypoint)
    flow.validate_parameters(deployment.parameters)
    schema = form(deployment)
    errors = list(Draft202012Validator({**schema, "$defs": schema.get("definitions", {})}).iter_errors(
        deployment.parameters))  # fmt: skip
    assert not errors


@pytest.mark.parametrize("deployment", DESCRIBED.deployments, ids=lambda one: one.name)
def test_cancelled_run_of_every_flow_is_closed(deployment: Deployment) -> None:
    flow: Any = load_flow_from_entrypoint(deployment.entrypoint)
    assert close_cancelled in flow.on_cancellation_hooks


def test_defaults_are_the_quick_start() -> None:
    quickstart = load_experiment(ROOT / "deployments" / "experiments" / "quickstart.yaml")
    shown = next(one for one in DESCRIBED.deployments if one.name == "experiment").parameters["config"]
    assert shown == quickstart.model_dump(mode="json")


def test_version_is_the_commit_of_the_checkout() -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if head.returncode:
        assert code_version()[0].isdigit(), "no checkout: the package's version"
    else:
        assert code_version().removesuffix("-dirty") == head.stdout.strip()


def test_kubernetes_pool_takes_its_image_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEYOND_IID_IMAGE", raising=False)
    with pytest.raises(InputError, match="BEYOND_IID_IMAGE"):
        in_work_pool(DESCRIBED, "beyond-iid-kubernetes")
    monkeypatch.setenv("BEYOND_IID_IMAGE", "registry/beyond-iid:1")
    monkeypatch.setenv("BEYOND_IID_NAMESPACE", "lab")
    moved = in_work_pool(DESCRIBED, "beyond-iid-kubernetes")
    (pool,) = moved.work_pools
    assert (pool.job_variables["image"], pool.job_variables["namespace"]) == ("registry/beyond-iid:1", "lab")
    assert {one.work_pool.name for one in moved.deployments} == {pool.name}
    with pytest.raises(InputError, match="beyond-iid-kubernetes"):
        in_work_pool(DESCRIBED, "other")


def test_quiet_period_reaches_the_bursts_trigger_only() -> None:
    triggers = [trigger for one in with_quiet(DESCRIBED, 33).deployments for trigger in one.triggers]
    assert [t["within"] for t in triggers if t["posture"] == "Proactive"] == [33]
    assert all("within" not in t for t in triggers if t["posture"] == "Reactive")
    with pytest.raises(InputError, match="at least 10"):
        with_quiet(DESCRIBED, 9)


def test_own_experiment_does_not_replace_a_described_deployment() -> None:
    config = load_experiment(ROOT / "deployments" / "experiments" / "quickstart.yaml")
    with pytest.raises(InputError, match="--name"):
        of_experiment(DESCRIBED, config, "experiment", None)
    own = of_experiment(DESCRIBED, config, "quickstart", "0 3 * * *")
    assert own.concurrency_limit is not None
    assert (own.concurrency_limit.limit, own.concurrency_limit.collision_strategy) == (1, "ENQUEUE")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("pause", True, "pause"), ("concurrency_limit", {"limit": 0}, "limit"), ("experiment", "none.yaml", "none.yaml")],
)
def test_mistake_in_the_description_is_named(tmp_path: Path, key: str, value: Any, words: str) -> None:
    content = yaml.safe_load(FILE.read_text())
    content["deployments"][0][key] = value
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=words):
        read_description(tmp_path / "prefect.yaml")


def test_deploy_without_a_server_says_how_to_start_one(command: Command) -> None:
    done = command.run("deploy")
    assert done.returncode == ConfigurationError.exit_code
    assert "beyond-iid up" in done.stderr
