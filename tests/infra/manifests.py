"""The container, compose and Kubernetes files as data, and what KubeRay is known to accept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "infra" / "kubernetes"
COMPOSE = ROOT / "infra" / "compose"
CONTAINER = ROOT / "infra" / "container"

WORK_POOL = ROOT / "infra" / "kubernetes-work-pool"

OUR_IMAGE = "beyond-iid"


@cache
def kustomization() -> dict[str, Any]:
    return dict(yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text()))


@cache
def resources() -> list[dict[str, Any]]:
    """Every object of the kustomize base, in its order."""
    return [
        document
        for name in kustomization()["resources"]
        for document in yaml.safe_load_all((KUBERNETES / name).read_text())
    ]


@cache
def work_pool_resources() -> list[dict[str, Any]]:
    """What the overlay of the work pool adds to the base."""
    names = yaml.safe_load((WORK_POOL / "kustomization.yaml").read_text())["resources"]
    return [
        one for name in names if name != "../kubernetes" for one in yaml.safe_load_all((WORK_POOL / name).read_text())
    ]


@cache
def work_pool() -> dict[str, Any]:
    """The work pool of Kubernetes jobs as deployments/prefect.yaml describes it."""
    pools = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["work_pools"]
    (pool,) = [one for one in pools if one["type"] == "kubernetes"]
    return dict(pool)


@cache
def image_environment() -> dict[str, str]:
    """Variables that the image sets, by its container file."""
    text = (CONTAINER / "Containerfile").read_text().split("\nFROM ")[-1]
    return dict(re.findall(r"^(?:ENV|   ) (\w+)=(\S+)", text, re.MULTILINE))


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [one for one in resources() if one["kind"] in kinds]


@cache
def pod_templates() -> dict[str, dict[str, Any]]:
    """Pod templates by the name of their component."""
    found = [one["spec"]["template"] for one in of_kind("Deployment", "StatefulSet", "Job")]
    for cluster in of_kind("RayCluster"):
        found += [cluster["spec"]["headGroupSpec"]["template"]]
        found += [group["template"] for group in cluster["spec"]["workerGroupSpecs"]]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in found}


@cache
def containers() -> dict[str, dict[str, Any]]:
    """The one container of every pod, by component."""
    found = {}
    for component, template in pod_templates().items():
        (found[component],) = template["spec"]["containers"]
    return found


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """Variable → text, or the reference its value comes from."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", [])}


def secret_references(value: Any) -> Iterator[tuple[str, str | None]]:
    """(secret, key) wherever a manifest refers to one."""
    if isinstance(value, dict):
        if "secretKeyRef" in value:
            yield value["secretKeyRef"]["name"], value["secretKeyRef"]["key"]
        if "secretName" in value:
            items = value.get("items")
            yield from (
                ((value["secretName"], item["key"]) for item in items) if items else [(value["secretName"], None)]
            )
        if "secretRef" in value:
            yield value["secretRef"]["name"], None
        for inner in value.values():
            yield from secret_references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secret_references(inner)


@cache
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((COMPOSE / "compose.yaml").read_text()))


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


def by_name(text: str) -> str:
    """Compose's ${NAME:?message} as Kubernetes writes it: $(NAME)."""
    return re.sub(r"\$\{(\w+)[^}]*\}", r"$(\1)", text)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Head(_Strict):
    serviceType: Literal["ClusterIP"]
    rayStartParams: dict[str, str]
    template: dict[str, Any]


class _Group(_Strict):
    groupName: str
    replicas: int
    minReplicas: int
    maxReplicas: int
    rayStartParams: dict[str, str]
    template: dict[str, Any]


class _AuthOptions(_Strict):
    mode: Literal["disabled", "token"]


class _Spec(_Strict):
    rayVersion: str
    authOptions: _AuthOptions
    headGroupSpec: _Head
    workerGroupSpecs: list[_Group]


class RayCluster(_Strict):
    """The fields of KubeRay's RayCluster (ray.io/v1, reference of KubeRay 1.5 to 1.7) that are used here.

    No package carries KubeRay's own schema; this refuses misspelled and unknown fields, no more. The pod templates in
    it are checked against Kubernetes' schema.
    """

    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: dict[str, str]
    spec: _Spec
