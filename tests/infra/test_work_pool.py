"""The work pool of Kubernetes jobs: a worker with the rights it needs and no more, and the job it makes of a run."""

from __future__ import annotations

import shutil
import subprocess
from copy import deepcopy
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
import yaml

from flows.deployments import read_description
from flows.registration import with_additions
from tests.infra.manifests import (
    OUR_IMAGE,
    WORK_POOL,
    environment,
    of_kind,
    resources,
    secret_references,
    work_pool,
    work_pool_resources,
)

SUPPORTED = ("1.30", "1.37")
AUTH = {"secretKeyRef": {"name": "beyond-iid-prefect", "key": "PREFECT_AUTH_STRING"}}


def the(kind: str) -> dict[str, Any]:
    (found,) = [one for one in work_pool_resources() if one["kind"] == kind]
    return found


def worker() -> dict[str, Any]:
    (found,) = the("Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("version", SUPPORTED)
def test_objects_satisfy_the_schemas_strictly(version: str) -> None:
    for one in work_pool_resources():
        kubernetes_validate.validate(one, version, strict=True)
    patch = yaml.safe_load((WORK_POOL / "deploy.yaml").read_text())
    (job,) = [one for one in of_kind("Job") if one["metadata"]["name"] == patch["metadata"]["name"]]
    (patched,) = patch["spec"]["template"]["spec"]["containers"]
    assert patched["name"] in {one["name"] for one in job["spec"]["template"]["spec"]["containers"]}


def test_worker_may_only_make_jobs_and_watch_them() -> None:
    rules = {(group, kind): set(rule["verbs"]) for rule in the("Role")["rules"] for group in rule["apiGroups"]
             for kind in rule["resources"]}  # fmt: skip
    watching = {"get", "list", "watch"}
    assert rules == {
        ("batch", "jobs"): watching | {"create", "delete", "patch"},
        **{("", kind): watching for kind in ("pods", "pods/log", "pods/status", "events")},
    }
    account = the("ServiceAccount")["metadata"]["name"]
    assert the("RoleBinding")["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    assert the("RoleBinding")["roleRef"]["name"] == the("Role")["metadata"]["name"]
    pod = the("Deployment")["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (account, True)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert worker()["securityContext"]["readOnlyRootFilesystem"] is True
    assert set(secret_references(the("Deployment"))) == {("beyond-iid-prefect", "PREFECT_AUTH_STRING")}


def test_worker_serves_the_pool_and_reaches_prefect_and_the_kubernetes_api() -> None:
    command = worker()["args"]
    assert command[command.index("--pool") + 1] == work_pool()["name"]
    assert command[command.index("--type") + 1] == "kubernetes"
    labels = the("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels["beyond-iid/uses-prefect"] == "true"
    policy = the("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert {one["port"] for rule in policy["egress"] for one in rule["ports"]} == {443, 6443}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_overlay_builds_with_the_flow_runs_image_equal_to_the_workers() -> None:
    built = subprocess.run(["kubectl", "kustomize", str(WORK_POOL)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    objects = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(built.stdout)}
    assert len(objects) == len(resources()) + len(work_pool_resources()) + 1, "and the config map"

    def container(kind: str, name: str) -> dict[str, Any]:
        return dict(objects[kind, name]["spec"]["template"]["spec"]["containers"][0])

    given = environment(container("Job", "beyond-iid-deploy"))
    assert given["BEYOND_IID_WORK_POOL"] == work_pool()["name"]
    assert given["BEYOND_IID_IMAGE"] == container("Deployment", "beyond-iid-work-pool")["image"]
    assert given["BEYOND_IID_IMAGE"].startswith(f"{OUR_IMAGE}:")
    assert objects["Deployment", "beyond-iid-driver"]["spec"]["replicas"] == 0


def test_job_of_a_flow_run_is_valid_asks_for_resources_and_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prefect_kubernetes", reason="the extra kubernetes is not installed")
    for name, value in environment(worker()).items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "hidden-word")
    job = job_of_a_flow_run()
    for misplaced in ("parallelism", "completions"):  # by Prefect's own template; Kubernetes drops them
        del job["spec"]["template"]["spec"][misplaced]
    for version in SUPPORTED:
        kubernetes_validate.validate(job, version, strict=True)
    assert "hidden-word" not in str(job)
    pod = job["spec"]["template"]
    (flow,) = pod["spec"]["containers"]
    (node,) = pod["spec"]["initContainers"]
    assert environment(flow)["PREFECT_API_AUTH_STRING"] == AUTH
    assert environment(flow)["PREFECT__FLOW_RUN_ID"]
    assert flow["image"] == node["image"] == "registry/beyond-iid:1"
    for container in (flow, node):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    assert work_pool()["labels"].items() <= pod["metadata"]["labels"].items()


def job_of_a_flow_run() -> dict[str, Any]:
    """What the real worker hands to the Kubernetes API."""
    import anyio
    from prefect.client.schemas.objects import FlowRun
    from prefect.settings import temporary_settings
    from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

    pool = next(one for one in read_description().work_pools if one.type == "kubernetes")
    template = with_additions(deepcopy(KubernetesWorker.get_default_base_job_template()), pool)
    variables = {**pool.job_variables, "image": "registry/beyond-iid:1", "namespace": "beyond-iid"}

    async def made() -> dict[str, Any]:
        configuration = await KubernetesWorkerJobConfiguration.from_template_and_values(template, variables)
        configuration.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="a-run"))
        await KubernetesWorker(pool.name)._replace_env_variable_with_secret(
            env_variable_name="PREFECT_API_AUTH_STRING",
            configuration=configuration,
            secret_name=environment(worker())["PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME"],
            secret_key=environment(worker())["PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_KEY"],
        )
        return dict(configuration.job_manifest)

    with temporary_settings():
        return anyio.run(made)
