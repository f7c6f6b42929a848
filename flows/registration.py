"""Registration: deployments, work pools and automations on a Prefect server are made equal to their description."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import construct_schedule
from prefect.events.schemas.automations import AutomationCore
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from flows.deployments import Deployment, Description, WorkPool


@dataclass(frozen=True)
class Registered:
    """What became of one thing on the server.

    Attributes:
        kind: work pool, deployment or automation.
        name: its name there.
        outcome: "created", "updated" or "unchanged".
        id: its id there.
    """

    kind: str
    name: str
    outcome: str
    id: UUID


def register(description: Description, version: str) -> tuple[Registered, ...]:
    """Bring everything described to the server of PREFECT_API_URL; what is there and equal is not touched.

    What a person has switched on or off there (schedules, automations) stays so.
    """
    found: list[Registered] = []
    with get_client(sync_client=True) as client:
        pools = {pool.name: pool for pool in description.work_pools}
        found += [_work_pool(client, pool) for pool in pools.values()]
        for deployment in description.deployments:
            done = _deployment(client, deployment, pools[deployment.work_pool.name], version)
            found.append(done)
            found += [_automation(client, trigger, done.id) for trigger in deployment.triggers]
    return tuple(found)


def _work_pool(client: SyncPrefectClient, pool: WorkPool) -> Registered:
    template = _job_template(client, pool)
    try:
        existing = client.read_work_pool(pool.name)
    except ObjectNotFound:
        existing = None
    if existing and (pool.type == "process" or existing.base_job_template == template):
        return Registered("work pool", pool.name, "unchanged", existing.id)
    made = client.create_work_pool(
        WorkPoolCreate(
            name=pool.name, type=pool.type, description=pool.description or None, base_job_template=template
        ),
        overwrite=True,
    )
    return Registered("work pool", pool.name, "updated" if existing else "created", made.id)


def _job_template(client: SyncPrefectClient, pool: WorkPool) -> dict[str, Any]:
    """Prefect's own template of the pool's type, with what the description adds to container and pod."""
    known = [worker for package in client.read_worker_metadata().values() for worker in package.values()]
    template: dict[str, Any] = deepcopy(
        next(worker["default_base_job_configuration"] for worker in known if worker["type"] == pool.type)
    )
    return with_additions(template, pool) if pool.type == "kubernetes" else template


def with_additions(template: dict[str, Any], pool: WorkPool) -> dict[str, Any]:
    """Prefect's template of a Kubernetes job with the pool's labels, container and pod in it."""
    template = deepcopy(template)
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]
    pod["metadata"] = {"labels": pool.labels}
    pod["spec"].update(pool.pod)
    pod["spec"]["containers"][0].update(pool.container)
    return template


def _deployment(client: SyncPrefectClient, deployment: Deployment, pool: WorkPool, version: str) -> Registered:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment.entrypoint)
    wanted: dict[str, Any] = {
        "version": version,
        "description": " ".join(deployment.description.split()),
        "entrypoint": deployment.entrypoint,
        "parameters": deployment.parameters,
        "parameter_openapi_schema": parameter_schema(flow.fn).model_dump_for_openapi(),
        "enforce_parameter_schema": True,
        "tags": list(deployment.tags),
        "job_variables": pool.job_variables,
        "work_pool_name": pool.name,
    }
    name = f"{flow.name}/{deployment.name}"
    existing = _existing(client, name)
    schedules = [_schedule(one, existing) for one in deployment.schedules]
    limit = deployment.concurrency_limit
    if existing and _same(existing, wanted, schedules, deployment):
        return Registered("deployment", name, "unchanged", existing.id)
    identifier = client.create_deployment(
        flow_id=client.create_flow(flow),
        name=deployment.name,
        schedules=schedules,
        concurrency_limit=limit.limit if limit else None,
        concurrency_options=ConcurrencyOptions(collision_strategy=limit.collision_strategy) if limit else None,
        **wanted,
    )
    return Registered("deployment", name, "updated" if existing else "created", identifier)


def _existing(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _schedule(described: dict[str, Any], existing: DeploymentResponse | None) -> DeploymentScheduleCreate:
    rest = {key: value for key, value in described.items() if key not in ("slug", "active", "parameters")}
    slug = described["slug"]
    switched = {one.slug: one.active for one in existing.schedules} if existing else {}
    return DeploymentScheduleCreate(
        schedule=construct_schedule(**rest),
        slug=slug,
        active=switched.get(slug, described.get("active", True)),
        parameters=described.get("parameters", {}),
    )


def _same(
    existing: DeploymentResponse,
    wanted: dict[str, Any],
    schedules: list[DeploymentScheduleCreate],
    deployment: Deployment,
) -> bool:
    limit = deployment.concurrency_limit
    there = existing.global_concurrency_limit
    strategy = existing.concurrency_options.collision_strategy.value if existing.concurrency_options else None
    return (
        all(_plain(getattr(existing, key)) == _plain(value) for key, value in wanted.items())
        and (there.limit if there else None) == (limit.limit if limit else None)
        and (not limit or strategy == limit.collision_strategy)
        and _told(existing.schedules) == _told(schedules)
    )


def _told(schedules: Any) -> list[Any]:
    """What decides when runs start, in any order."""
    return sorted(
        json.dumps([one.slug, one.schedule.model_dump(mode="json"), one.parameters], sort_keys=True)
        for one in schedules
    )


def _automation(client: SyncPrefectClient, trigger: dict[str, Any], deployment_id: UUID) -> Registered:
    described = DeploymentEventTrigger.model_validate(trigger)
    described.set_deployment_id(deployment_id)
    wanted = described.as_automation()
    wanted.owner_resource = f"prefect.deployment.{deployment_id}"
    existing = next(iter(client.read_automations_by_name(wanted.name)), None)
    if existing is None:
        return Registered("automation", wanted.name, "created", client.create_automation(wanted))
    wanted.enabled = existing.enabled
    if _content(existing) == _content(wanted):
        return Registered("automation", wanted.name, "unchanged", existing.id)
    client.update_automation(existing.id, AutomationCore.model_validate(wanted.model_dump(exclude={"owner_resource"})))
    return Registered("automation", wanted.name, "updated", existing.id)


def _content(automation: AutomationCore) -> Any:
    # The server keeps the owner to itself.
    fields = set(AutomationCore.model_fields) - {"owner_resource"}
    content = automation.model_dump(mode="json", include=fields)
    for key in ("after", "expect", "for_each"):
        content["trigger"][key] = sorted(content["trigger"][key])
    content["trigger"].pop("id", None)
    return content


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, sort_keys=True, default=str))
