"""What a tagger gives back for a row, and what every tagger is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tasks.inference.answers import Failure
from tasks.pool.instruction import Instruction


@dataclass(frozen=True, slots=True)
class Tag:
    """A category for one instruction.

    Attributes:
        category: one of the tagger's categories.
        confidence: how sure the tagger is, 0…1; what it means is the tagger's to say.
        tags: the normalized free tags that led there; empty where the tagger picks from a list.
    """

    category: str
    confidence: float
    tags: tuple[str, ...] = ()


Outcome = Tag | Failure


class Tagger(Protocol):
    """Anything that tags a stream of instructions: in this process, on several, on a cluster, or at a server.

    A tagger reads ahead as far as its batches need and no further, so that a pool of any size passes through.
    """

    @property
    def categories(self) -> tuple[str, ...]:
        """Every category that it can give."""
        ...

    def tag(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Outcome]]:
        """Every instruction with its outcome, in the order of `rows`, each exactly once."""
        ...
