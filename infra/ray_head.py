"""Whether the head of the connected Ray cluster still answers.

Ray itself ends a driver's process a minute after it lost the head, without a word and without any clean-up.
"""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from infra.errors import InfraError

_LOOK_SECONDS = 3.0
_PATIENCE_SECONDS = 20.0
_CONNECT_SECONDS = 2.0


class HeadWatch:
    """Notices in time that the cluster's head is gone, so that the driver can end in order; call from one thread."""

    def __init__(self, address: str, patience: float = _PATIENCE_SECONDS, pause: float = _LOOK_SECONDS) -> None:
        """Watch a head that answers now.

        Args:
            address: host:port of the cluster's memory (GCS).
            patience: seconds without an answer after which the head is gone for good.
            pause: seconds between two looks.
        """
        self._address, self._patience, self._pause = address, patience, pause
        self._next = 0.0
        self._silent_since: float | None = None

    def check(self) -> None:
        """Look every few seconds.

        Raises:
            InfraError: the head has not answered for too long.
        """
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._pause
        if self._answers():
            self._silent_since = None
            return
        self._silent_since = self._silent_since or now
        if now - self._silent_since >= self._patience:
            raise InfraError(
                f"The head of the Ray cluster at {self._address} is gone: nothing has answered there for "
                f"{now - self._silent_since:.0f} s. Run the same command again (where the cluster is not its own, once "
                "that is back): what has finished is stored, and nothing is trained twice."
            )

    def _answers(self) -> bool:
        parts = urlsplit(f"//{self._address}")
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_CONNECT_SECONDS):
                return True
        except (OSError, ValueError):
            return False


def connected_head() -> HeadWatch:
    """The watch over the cluster that this process is connected to."""
    import ray

    return HeadWatch(str(ray.get_runtime_context().gcs_address))
