"""Container, compose and Kubernetes files agree with the product: its commands, settings, secrets, images, versions."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import ray
import typer
import yaml
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_settings_fields
from ray.scripts.scripts import cli as ray_commands

from flows.cli.main import app
from infra.role_passwords import RolePasswords
from infra.secret_files import POSTGRES_HOSTS, write_secrets
from infra.settings import Settings
from tests.infra.manifests import (
    COMPOSE,
    CONTAINER,
    OUR_IMAGE,
    ROOT,
    WORK_POOL,
    RayCluster,
    by_name,
    compose,
    containers,
    environment,
    image_environment,
    kustomization,
    of_kind,
    pod_templates,
    resources,
    secret_references,
    services,
    work_pool,
)

PROGRAMS = Path(sys.executable).parent
GENERATED_SECRETS = {"beyond-iid-ray": {"auth_token"}}
"""Made by KubeRay for a RayCluster of this name."""
OPEN_TO_CHOICE = {"GIT_SHA", "BEYOND_IID_QUIET", "BEYOND_IID_WORK_POOL"}
"""Variables of the compose file that are no secrets and have a default."""


def test_ray_cluster_has_known_fields_and_rays_version_and_start_parameters() -> None:
    (cluster,) = of_kind("RayCluster")
    parsed = RayCluster.model_validate(cluster)
    assert parsed.spec.rayVersion == ray.__version__
    assert parsed.spec.authOptions.mode == "token"
    known = options_of("ray", "start")
    for group in (parsed.spec.headGroupSpec, *parsed.spec.workerGroupSpecs):
        assert {f"--{name}" for name in group.rayStartParams} <= known
    assert parsed.spec.headGroupSpec.rayStartParams["num-cpus"] == "0", "the head trains nothing"


def test_compose_wants_every_secret_and_has_a_default_for_none(tmp_path: Path) -> None:
    text = (COMPOSE / "compose.yaml").read_text()
    found = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    used = [one for one in found if one[0] not in OPEN_TO_CHOICE]
    assert used
    assert all(rest.startswith(":?") for _, rest in used), "unset and empty are refused"
    assert {name for name, _ in found} - {name for name, _ in used} == OPEN_TO_CHOICE
    assert not re.findall(r"\$(?!\{|\$)\w+", text)
    write_secrets(tmp_path / "secrets")
    given = dict(line.split("=", 1) for line in (tmp_path / "secrets" / "compose.env").read_text().splitlines())
    assert {name for name, _ in used} == set(given)
    for name in compose()["secrets"]:
        assert (Path(given["SECRETS_FOLDER"]) / name).is_file()


def test_every_referenced_secret_can_be_made_from_what_the_command_writes(tmp_path: Path) -> None:
    write_secrets(tmp_path)
    variables = {
        name: {line.split("=")[0] for line in (tmp_path / f"{name}.env").read_text().splitlines()}
        for name in ("postgres", "prefect")
    }
    available: dict[str, set[str]] = {
        **{f"beyond-iid-{name}": keys for name, keys in variables.items()},
        "beyond-iid-tls": {path.name for path in tmp_path.iterdir() if path.suffix in (".crt", ".key")},
        **GENERATED_SECRETS,
    }
    references = set(secret_references(resources()))
    assert {name for name, _ in references} == set(available)
    for name, key in references:
        assert key is None or key in available[name], (name, key)
    (cluster,) = of_kind("RayCluster")
    assert cluster["metadata"]["name"] in GENERATED_SECRETS


def test_addresses_lead_to_services_that_exist_and_the_certificate_is_for() -> None:
    ports = {one["metadata"]["name"]: {p["port"] for p in one["spec"]["ports"]} for one in of_kind("Service")}
    ports["beyond-iid-ray-head-svc"] = {6379}  # KubeRay: <cluster>-head-svc
    for component, container in containers().items():
        for name, value in environment(container).items():
            for host, port in hosts(value):
                assert port in ports[host], (component, name)
                assert host in POSTGRES_HOSTS or "postgres" not in host
    for service in services().values():
        for value in service.get("environment", {}).values():
            for host, _ in hosts(value):
                assert host in services(), value
                assert host in POSTGRES_HOSTS or "postgres" not in host


def hosts(value: Any) -> list[tuple[str, int]]:
    """Hosts with ports that a variable's text leads to, without loopback."""
    if not isinstance(value, str):
        return []
    text = by_name(value)
    found = re.findall(r"//(?:\S+@)?([\w.-]+)(?::(\d+))?", text) or re.findall(r"^([\w-]+):(\d+)$", text)
    return [(host, int(port or 5432)) for host, port in found if host != "127.0.0.1"]


def test_every_variable_is_a_setting() -> None:
    own = {f"BEYOND_IID_{name.upper()}" for model in (Settings, RolePasswords) for name in model.model_fields}
    own |= {option.envvar for option in typer.main.get_command(app).commands["deploy"].params if option.envvar}
    prefect = set(_get_settings_fields(PrefectSettings))
    sets = [service.get("environment", {}) for service in services().values()]
    sets += [environment(container) for container in containers().values()]
    names = {name for variables in (*sets, image_environment()) for name in variables}
    assert {name for name in names if name.startswith("BEYOND_IID_")} <= own
    assert {name for name in names if name.startswith("PREFECT_")} <= prefect


def test_every_command_parses_with_the_program() -> None:
    commands = [service["command"] for service in services().values() if service.get("image") == OUR_IMAGE]
    commands += [one["args"] for one in work_pool()["pod"]["initContainers"]]
    commands += [container.get("args", ["driver"]) for container in containers().values() if ours(container)]
    script = (CONTAINER / "driver").read_text().replace("\\\n", " ")
    commands += [
        shlex.split(line.rstrip(" &")) for line in re.findall(r"^\s*((?:ray|prefect) .*)", script, re.MULTILINE)
    ]
    commands += [re.search(r"ray start .*", script).group().split()[:-1]]
    seen = set()
    for command in commands:
        if command == ["driver"]:
            continue
        words = list(itertools.takewhile(lambda word: not word.startswith("-"), command))
        options = {word.split("=")[0] for word in command if word.startswith("--")}
        assert options <= options_of(*words), command
        seen.add(words[0])
    assert seen == {"beyond-iid", "prefect", "ray"}


def ours(container: dict[str, Any]) -> bool:
    return container["image"] == OUR_IMAGE


_HELP: dict[tuple[str, ...], set[str]] = {}


def options_of(program: str, *command: str) -> set[str]:
    """The long options that a command's own help names; of Ray also those that it hides."""
    key = (program, *command)
    if program == "ray":
        return {option for one in ray_commands.commands[command[0]].params for option in one.opts}
    if key not in _HELP:
        shown = subprocess.run(
            [str(PROGRAMS / program), *command, "--help"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "HOME": "/nonexistent", "TERM": "dumb"},
        )
        assert shown.returncode == 0, shown.stderr
        _HELP[key] = set(re.findall(r"--[a-z][\w-]*", shown.stdout))
    return _HELP[key]


def test_images_agree_with_each_other_and_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    overlay = yaml.safe_load((WORK_POOL / "kustomization.yaml").read_text())
    for layer in (kustomization(), overlay):
        assert layer["images"] == [{"name": OUR_IMAGE, "newTag": project["version"]}]
    used = {container["image"] for container in containers().values()}
    assert used == {OUR_IMAGE, services()["postgres"]["image"]}
    assert all(":" in service["image"] for service in services().values() if service["image"] != OUR_IMAGE)
    text = (CONTAINER / "Containerfile").read_text()
    uid = re.search(r"^USER (\d+):(\d+)$", text, re.MULTILINE).groups()
    for component, template in pod_templates().items():
        if ours(containers()[component]):
            assert template["spec"]["securityContext"]["runAsUser"] == int(uid[0]), component


def test_container_file_copies_what_exists_and_pins_by_the_constraints() -> None:
    text = (CONTAINER / "Containerfile").read_text()
    ignored = (CONTAINER / "Containerfile.dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        *sources, _ = [word for word in line.split() if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in ignored, source
    installs = re.findall(r"pip install (?:.(?!&&))*", text)
    assert all("-c constraints.txt" in one or one.endswith("--no-deps .") for one in installs), installs
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert f"torch=={pinned['torch']}" in text
    packages = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert {"flows", "tasks", "db", "infra"} <= packages
    assert all(f"COPY {name} {name}" in text for name in ("flows", "tasks", "db", "infra"))


def test_kubernetes_work_pool_refers_to_what_the_base_has() -> None:
    pool = work_pool()
    base = set(secret_references(resources()))
    assert set(secret_references(pool)) <= base
    claims = {one["metadata"]["name"] for one in of_kind("PersistentVolumeClaim")}
    assert {
        one["persistentVolumeClaim"]["claimName"] for one in pool["pod"]["volumes"] if "persistentVolumeClaim" in one
    } <= claims
    assert pool["pod"]["serviceAccountName"] in {one["metadata"]["name"] for one in of_kind("ServiceAccount")}
    driver = pod_templates()["driver"]["metadata"]["labels"]
    assert pool["labels"].items() <= driver.items(), "the network lets it through like a driver"
    given, expected = environment(pool["container"]), environment(containers()["driver"])
    assert given.items() <= expected.items()
