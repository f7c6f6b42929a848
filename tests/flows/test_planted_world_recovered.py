"""Real fine-tunes of a planted world give its dependencies back (`make bench` does three worlds, with all seeds)."""

from __future__ import annotations

import pytest

from tasks.pool.skillworld import skill_world
from tests.bench.recovery import measured_edges


def test_quickstart_measurement_of_a_planted_world_recovers_its_dependencies(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    graph = skill_world(1).graph
    recall, wrong = graph.recovery(measured_edges(1, "design.seeds=[1, 2]"))
    assert recall >= 0.8
    assert len(wrong) <= 1
