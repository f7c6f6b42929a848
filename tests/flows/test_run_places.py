"""Where runs may be placed on a cluster with a driver's node: never there, whatever they take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray
from ray.cluster_utils import Cluster

from flows.config import Resources
from flows.run_board import ray_options

WAITING = Resources(workers_per_run=2)
"""Its task takes no CPU: the coordinator of several workers."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster of one driver's node, as infra/container/driver starts it."""
    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "labels": {"role": "driver"}, "include_dashboard": False}
    )
    ray.init(address=made.address, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def node() -> str:
    return str(ray.get_runtime_context().get_node_id())


def test_no_run_is_placed_on_a_drivers_node(cluster: Cluster) -> None:
    waiting = ray.remote(**ray_options(WAITING))(node)
    first = waiting.remote()
    assert not ray.wait([first], timeout=3)[0], "it waits rather than run beside a driver"
    worker = cluster.add_node(num_cpus=1).node_id
    assert ray.get(first, timeout=60) == worker
    assert {ray.get(waiting.remote(), timeout=60) for _ in range(10)} == {worker}
    assert ray.get(ray.remote(**ray_options(Resources()))(node).remote(), timeout=60) == worker
