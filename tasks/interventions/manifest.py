"""The ordered list of examples a training run must see, with its hash; read and written as JSON lines."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Manifest:
    """Example ids in training order, repetitions included: what the model must see, in exactly this order.

    Attributes:
        ids: instruction ids; an epoch's second pass appears again.
        stages: stage number (0-based) of each id, same length as `ids`; an epoch is a stage for plain training.
    """

    ids: tuple[str, ...]
    stages: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.stages):
            raise ValueError(f"{len(self.ids)} ids but {len(self.stages)} stage numbers")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over "stage<TAB>id<LF>" lines in order."""
        digest = hashlib.sha256()
        for identifier, stage in zip(self.ids, self.stages, strict=True):
            digest.update(f"{stage}\t{identifier}\n".encode())
        return digest.hexdigest()
