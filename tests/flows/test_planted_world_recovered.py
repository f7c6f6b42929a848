"""Real fine-tunes of a planted world give its dependencies back (`make bench` does three worlds)."""

from __future__ import annotations

from tasks.pool.skillworld import skill_world
from tests.bench.recovery import measured_edges


def test_quickstart_measurement_of_a_planted_world_recovers_its_dependencies() -> None:
    graph = skill_world(1).graph
    recall, wrong = graph.recovery(measured_edges(1))
    assert recall >= 0.8
    assert len(wrong) <= 1
