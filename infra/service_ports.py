"""Ports on loopback that stay the same from one start of the services to the next, unless somebody takes them."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path

from infra.errors import ConfigurationError

FIRST_CHOICE = {"prefect": 4200, "ray": 6379, "dashboard": 8265, "ray-client": 10001}
"""The usual port of each."""

_TRIES = 200


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of loopback (or on all addresses)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an ended connection's rest does not count
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


class Ports:
    """One home's ports: the fixed ones, else those of the last time, else the usual ones, else the next free ones."""

    def __init__(self, file: Path, fixed: Mapping[str, int]) -> None:
        """Read what was chosen the last time.

        Args:
            file: where the choice is remembered (JSON).
            fixed: ports, by name, that must be taken; no others are tried.
        """
        self._file = file
        self._fixed = dict(fixed)
        try:
            known = json.loads(file.read_text())
        except (OSError, ValueError):
            known = {}
        self._chosen = {name: int(known.get(name, port)) for name, port in FIRST_CHOICE.items()} | self._fixed

    def take(self, name: str) -> int:
        """The port to listen on now; remembered.

        Raises:
            ConfigurationError: a fixed port is in use, or no port is free.
        """
        first = self._chosen[name]
        if name in self._fixed:
            if not is_free(first):
                raise ConfigurationError(
                    f"Port {first} for {name} is in use. Free it, or choose another (--{name}-port)."
                )
            return self._remember(name, first)
        others = {port for other, port in self._chosen.items() if other != name}
        for port in range(first, min(first + _TRIES, 65536)):
            if port not in others and is_free(port):
                return self._remember(name, port)
        raise ConfigurationError(f"No port from {first} on is free for {name}. Choose one with --{name}-port.")

    def _remember(self, name: str, port: int) -> int:
        self._chosen[name] = port
        self._file.write_text(json.dumps(self._chosen))
        return port
