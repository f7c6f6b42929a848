"""Ray nodes on this machine with token authentication: each has its own raylet and its own loopback address."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_START_SECONDS = 90


@dataclass
class RayNodes:
    """A cluster whose nodes can be killed.

    Attributes:
        address: of the head.
        token: what everybody needs.
        nodes: processes of `ray start`; everything a node runs descends from its own. The head's is the first.
    """

    folder: Path
    address: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use the cluster."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "BEYOND_IID_RAY_ADDRESS": self.address}

    def add(self, cpus: int) -> None:
        """Start a node; the first becomes the head."""
        number = len(self.nodes) + 1
        port = self.address.split(":")[1]
        place = (
            ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self.folder}"]
            if number == 1
            else [f"--address={self.address}"]
        )
        with (self.folder / f"node{number}.log").open("wb") as log:
            self.nodes.append(
                subprocess.Popen(
                    [
                        str(Path(sys.executable).parent / "ray"),
                        "start",
                        "--block",
                        "--disable-usage-stats",
                        f"--node-ip-address=127.0.0.{number}",
                        f"--num-cpus={cpus}",
                        "--num-gpus=0",
                        "--object-store-memory=100000000",
                        *place,
                    ],
                    env={**os.environ, **self.environment, **_QUICK_TO_NOTICE},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        self._wait_until_up(number)

    def kill(self, number: int) -> None:
        """SIGKILL for everything on a node at once, as when its machine is lost."""
        node = self.nodes[number]
        try:
            everything = [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]
        except psutil.NoSuchProcess:
            return
        for process in everything:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        node.wait(30)

    def _wait_until_up(self, number: int) -> None:
        log = self.folder / f"node{number}.log"
        deadline = time.monotonic() + _START_SECONDS
        while b"Ray runtime started" not in log.read_bytes():
            assert self.nodes[-1].poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


# A lost node is noticed within about two seconds instead of half a minute.
_QUICK_TO_NOTICE = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


@contextmanager
def ray_nodes(folder: Path, *cpus: int) -> Iterator[RayNodes]:
    """A cluster with one node per entry of `cpus`; ends with everything it started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cluster = RayNodes(folder, f"127.0.0.1:{port}")
    try:
        for one in cpus:
            cluster.add(one)
        yield cluster
    finally:
        for number in reversed(range(len(cluster.nodes))):
            cluster.kill(number)
