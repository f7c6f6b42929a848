from __future__ import annotations

from tests.tasks.effects.conftest import planted_world, thinned

__all__ = ["planted_world", "thinned"]
