"""Settings come from BEYOND_IID_ variables; wrong ones are named, their values are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from infra.ray_cluster import ClusterCapacity, ray_cluster
from infra.settings import load_settings


def test_load_settings_reads_variables_and_derives_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEYOND_IID_HOME", str(tmp_path))
    monkeypatch.setenv("BEYOND_IID_DATABASE_URL", "postgresql://me:hidden-word@db/results")
    settings = load_settings()
    assert settings.artifact_folder == tmp_path / "artifacts"
    assert "hidden-word" not in repr(settings)


def test_load_settings_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEYOND_IID_DATABASE_URL", "")
    assert load_settings().database_url is None


@pytest.mark.parametrize(
    ("cpus", "gpus", "per_run", "expected"),
    [(8, 0, (1, 0), 8), (8, 2, (1, 0.5), 4), (3, 8, (2, 1), 1), (64, 8, (4, 2), 4)],
)
def test_slots_count_runs_that_fit(cpus: float, gpus: float, per_run: tuple[float, float], expected: int) -> None:
    assert ClusterCapacity(cpus, gpus, 1).slots(*per_run) == expected


def test_slots_too_large_run_says_what_the_cluster_holds() -> None:
    with pytest.raises(ConfigurationError, match="2 CPUs and 1 GPUs, but the Ray cluster holds 8 CPUs and 0 GPUs"):
        ClusterCapacity(8, 0, 1).slots(2, 1)


def test_ray_cluster_client_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Ray Client is not supported"), ray_cluster("ray://head:10001"):
        pass
