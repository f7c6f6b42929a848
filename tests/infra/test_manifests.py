"""Container, compose and Kubernetes files: valid by their schemas, without secrets, without rights, closed networks."""

from __future__ import annotations

import copy
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.infra.manifests import (
    COMPOSE,
    CONTAINER,
    KUBERNETES,
    by_name,
    compose,
    containers,
    environment,
    kustomization,
    of_kind,
    pod_templates,
    resources,
    secret_references,
    services,
)

SUPPORTED = ("1.30", "1.37")
"""Kubernetes releases whose schemas every object must satisfy."""


@pytest.mark.parametrize("version", SUPPORTED)
def test_kubernetes_objects_satisfy_the_schemas_strictly(version: str) -> None:
    checked = [one for one in resources() if one["kind"] != "RayCluster"]
    assert len(checked) >= 20
    for one in checked:
        kubernetes_validate.validate(one, version, strict=True)
    for template in pod_templates().values():
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": template},
            version,
            strict=True,
        )


def test_kubernetes_schema_check_refuses_a_misspelled_field() -> None:
    claim = copy.deepcopy(of_kind("PersistentVolumeClaim")[0])
    claim["spec"]["accesModes"] = claim["spec"].pop("accessModes")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(claim, SUPPORTED[-1], strict=True)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_file_satisfies_the_schema(name: str) -> None:
    checked = subprocess.run(
        [
            str(Path(sys.executable).parent / "check-jsonschema"),
            "--builtin-schema",
            "vendor.compose-spec",
            str(COMPOSE / name),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_compose_publishes_ports_on_loopback_only() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service or service.get("privileged") for service in services().values())
    assert "ports" not in services()["postgres"]


def test_every_long_running_service_restarts_and_tells_its_health() -> None:
    once = {"roles", "deploy"}
    for name, service in services().items():
        assert service["restart"] == ("on-failure" if name in once else "unless-stopped"), name
        assert ("healthcheck" in service) == (name not in once), name
    for component, container in containers().items():
        jobs = {"db-roles", "deploy"}
        by_operator = {"ray-head", "ray-worker"}  # KubeRay adds Ray's own probes
        assert ("livenessProbe" in container) == (component not in jobs | by_operator), component


def test_every_pod_runs_without_rights() -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind("ServiceAccount")}
    assert not of_kind("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    for component, template in pod_templates().items():
        spec = template["spec"]
        assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert not any("hostPath" in volume for volume in spec["volumes"])
        container = containers()[component]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, component
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), component
        assert "memory" in container["resources"]["limits"], component
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], component


def test_every_mount_volume_claim_and_map_exists() -> None:
    claims = {one["metadata"]["name"]: one for one in of_kind("PersistentVolumeClaim")}
    maps = {one["name"] for one in kustomization()["configMapGenerator"]}
    for one in kustomization()["configMapGenerator"]:
        assert all((KUBERNETES / name).is_file() for name in one["files"])
    own = {claim["metadata"]["name"] for one in of_kind("StatefulSet") for claim in one["spec"]["volumeClaimTemplates"]}
    for component, template in pod_templates().items():
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        mounted = {mount["name"] for mount in containers()[component]["volumeMounts"]}
        assert set(volumes) <= mounted <= set(volumes) | own, component
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in {None, *claims}
            assert volume.get("configMap", {}).get("name") in {None, *maps}
    (shared,) = claims.values()
    assert shared["spec"]["accessModes"] == ["ReadWriteMany"]
    for service in services().values():
        for volume in service.get("volumes", []):
            place = volume.split(":")[0]
            exists = (COMPOSE / place).exists() if place.startswith(".") else place in compose()["volumes"]
            assert exists, volume
        assert set(service.get("networks", [])) <= set(compose()["networks"])
        assert set(service.get("secrets", [])) <= set(compose()["secrets"])
        assert set(service.get("depends_on", {})) <= set(services())


def test_no_file_holds_a_secret() -> None:
    files = [path for folder in (COMPOSE, KUBERNETES, CONTAINER) for path in folder.iterdir()]
    assert len(files) > 10
    assert not of_kind("Secret")
    for path in files:
        text = by_name(path.read_text())
        assert "PRIVATE KEY" not in text
        for word in re.findall(r"://[^\s/:@]+:([^\s@]+)@", text):
            assert re.fullmatch(r"\$\(\w+\)", word), f"{path}: a password in an address"
        for name, value in re.findall(r"(?:^|\s)(\w*(?:PASSWORD|AUTH_STRING|AUTH_TOKEN))(?:: |=)(\S+)", text):
            assert re.fullmatch(r'"?\$\(?\w+\)?"?', value), f"{path}: {name}"
    for component, container in containers().items():
        for name, value in environment(container).items():
            secret = re.search("PASSWORD|AUTH_STRING|AUTH_TOKEN", name)
            assert isinstance(value, dict) == bool(secret), (component, name)


def test_ray_holds_no_secret_but_its_token_and_reaches_neither_postgres_nor_prefect() -> None:
    for component in ("ray-head", "ray-worker"):
        assert list(secret_references(pod_templates()[component])) == []
        assert environment(containers()[component]) == {}
        labels = pod_templates()[component]["metadata"]["labels"]
        assert not any(label.startswith("beyond-iid/uses-") for label in labels)
    head = services()["ray-head"]
    assert set(re.findall(r"\$\{(\w+)", str(head))) == {"RAY_AUTH_TOKEN", "GIT_SHA"}
    assert head["environment"]["RAY_AUTH_MODE"] == "token"
    assert "database" not in head["networks"]
    assert "secrets" not in head


def test_network_is_closed_except_for_what_is_opened() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (names,) = policies["names"]["egress"]
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in names["to"], "NodeLocal DNSCache"
    assert {one["port"] for one in names["ports"]} == {53}
    labels = {name: template["metadata"]["labels"] for name, template in pod_templates().items()}

    def reaches(client: str, server: str, port: int) -> bool:
        """Both ends must allow it: some policy of the client's egress, and some of the server's ingress."""

        def matches(selector: dict[str, Any], pod: str) -> bool:
            return selector.get("matchLabels", {}).items() <= labels[pod].items()

        def opens(here: str, there: str, direction: str, peers: str) -> bool:
            return any(
                matches(spec["podSelector"], here)
                and any(
                    any("podSelector" in peer and matches(peer["podSelector"], there) for peer in rule[peers])
                    and port in [p["port"] for p in rule.get("ports", [{"port": port}])]
                    for rule in spec.get(direction, [])
                )
                for spec in policies.values()
            )

        return opens(client, server, "egress", "to") and opens(server, client, "ingress", "from")

    using = dict.fromkeys(("prefect-server", "driver", "db-roles", "metrics"), (5432, "postgres"))
    for client, (port, server) in using.items():
        assert reaches(client, server, port), client
    assert reaches("driver", "prefect-server", 4200)
    assert reaches("deploy", "prefect-server", 4200)
    for here, there in itertools.permutations(("driver", "ray-head", "ray-worker"), 2):
        assert reaches(here, there, 6379)
    for client in ("ray-head", "ray-worker", "deploy"):
        assert not reaches(client, "postgres", 5432)
    for client in ("ray-head", "ray-worker", "db-roles", "metrics"):
        assert not reaches(client, "prefect-server", 4200)
