"""The image and what its containers find: the same packages for all, folders that can be written, the shared volume."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
import yaml

from flows.cli.main import app
from flows.config import Resources
from flows.deployments import code_version
from flows.run_board import ray_options
from tests.infra.manifests import (
    COMPOSE,
    CONTAINER,
    OUR_IMAGE,
    ROOT,
    containers,
    environment,
    image_environment,
    pod_templates,
    services,
    work_pool,
)


def test_driver_has_the_image_of_the_gpu_workers_with_every_optional_part_that_a_flow_uses() -> None:
    assert containers()["driver"]["image"] == containers()["ray-worker"]["image"] == OUR_IMAGE
    gpu = yaml.safe_load((COMPOSE / "compose.gpu.yaml").read_text())["services"]
    text = (CONTAINER / "Containerfile").read_text()
    (default,) = re.findall(r'^ARG EXTRAS="([\w,-]+)"$', text, re.MULTILINE)
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(default.split(",")) <= set(optional)
    assert {"vllm", "lm-eval", "tagging", "kubernetes"} <= set(default.split(","))
    ours = {name: one for name, one in services().items() if one["image"] == OUR_IMAGE}
    assert set(gpu) == set(ours), "each service of the image is built with the same parts"
    for name, service in ours.items():
        with_gpu, without = gpu[name]["build"]["args"]["EXTRAS"], service["build"]["args"]["EXTRAS"]
        assert with_gpu == default, name
        assert set(without.split(",")) == set(default.split(",")) - {"vllm"}, name
        arguments = {*gpu[name]["build"]["args"], *service["build"]["args"]}
        assert arguments <= set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))


def mounts_of(name: str) -> dict[str, str]:
    """Where something is mounted in a compose service → its options, or the volume's name."""
    found = dict(one.partition(":")[::2] for one in services()[name]["tmpfs"])
    return found | {one.split(":")[1]: one.split(":")[0] for one in services()[name].get("volumes", [])}


def emptied(component: str) -> set[str]:
    """Where a pod has a folder of its own that can be written."""
    volumes = {one["name"] for one in pod_templates()[component]["spec"]["volumes"] if "emptyDir" in one}
    return {one["mountPath"] for one in containers()[component]["volumeMounts"] if one["name"] in volumes}


def test_prefects_ui_is_copied_to_a_folder_that_can_be_written() -> None:
    place = Path(image_environment()["PREFECT_SERVER_UI_STATIC_DIRECTORY"])
    assert services()["prefect-server"]["read_only"], "its default among the packages cannot be written"
    for writable in (set(mounts_of("prefect-server")), emptied("prefect-server")):
        assert any(place.is_relative_to(folder) for folder in writable)
    for server in (services()["prefect-server"]["environment"], environment(containers()["prefect-server"])):
        assert "PREFECT_SERVER_UI_STATIC_DIRECTORY" not in server


def test_folders_that_operators_are_compiled_into_allow_running_them() -> None:
    for name in ("ray-head", "driver"):
        for folder in ("/home/beyond", "/tmp"):
            assert "exec" in mounts_of(name)[folder].split(","), (name, folder)


def test_what_comes_from_the_hub_lies_on_the_shared_volume() -> None:
    place = Path(image_environment()["HF_HOME"])
    assert place.is_relative_to("/data")
    for name in ("ray-head", "driver"):
        assert mounts_of(name)["/data"] == "data"
    for component in ("ray-head", "ray-worker", "driver"):
        (volume,) = [one["name"] for one in containers()[component]["volumeMounts"] if one["mountPath"] == "/data"]
        volumes = {one["name"]: one for one in pod_templates()[component]["spec"]["volumes"]}
        assert volumes[volume]["persistentVolumeClaim"] == {"claimName": "beyond-iid-shared"}


def test_only_drivers_and_ray_nodes_have_the_artifact_store() -> None:
    for name, service in services().items():
        if service["image"] == OUR_IMAGE and name != "prefect-server":
            assert (mounts_of(name)["/data"] == "data") == (name in {"ray-head", "driver"}), name
    for component in ("db-roles", "deploy", "metrics"):
        assert "/data" in emptied(component), component


def test_drivers_nodes_carry_the_label_that_keeps_runs_away() -> None:
    ((key, value),) = ray_options(Resources(workers_per_run=2))["label_selector"].items()
    label = f"--labels={key}={value.removeprefix('!')}"
    assert value.startswith("!")
    script = (CONTAINER / "driver").read_text().replace("\\\n", " ")
    (sidecar,) = work_pool()["pod"]["initContainers"]
    for command in (re.search(r"ray start .*", script).group().split(), sidecar["args"]):
        assert {label, "--num-cpus=0", "--num-gpus=0"} <= set(command), command


def test_the_commit_reaches_the_image_and_is_the_version_outside_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in services().values():
        if service["image"] == OUR_IMAGE:
            assert service["build"]["args"]["GIT_SHA"] == "${GIT_SHA:-}"
    assert image_environment()["BEYOND_IID_GIT_SHA"] == "$GIT_SHA"
    monkeypatch.setenv("BEYOND_IID_GIT_SHA", "0123abc")
    monkeypatch.setenv("PATH", "/nonexistent")  # no git, as in the container
    assert code_version() == "0123abc"
    monkeypatch.delenv("BEYOND_IID_GIT_SHA")
    assert code_version() == version("beyond-iid")


def test_what_the_deploy_job_registers_is_for_its_owner_to_choose() -> None:
    options = {one.envvar: one for one in typer.main.get_command(app).commands["deploy"].params if one.envvar}
    for job in (services()["deploy"]["environment"], environment(containers()["deploy"])):
        assert set(options) <= set(job)
        for name, option in options.items():
            assert job[name] in (str(option.default), f"${{{name}:-{option.default}}}")
