"""The pool's value types: one instruction, one rejected row, the pool, its split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tasks.fingerprint import canonical_json

UNTAGGED = "untagged"
"""The category of an instruction before it is tagged; no tagger looks at it."""

Message = tuple[str, str]
"""(role, content); role is "system", "user" or "assistant"."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One conversation with its category; the last message is the assistant's answer.

    Attributes:
        id: unique in its pool.
        messages: (role, content) pairs in order; the last is the assistant's.
        category: the category it counts to.
        source: where it came from (a data set's or task's name); free text, may be empty.
    """

    id: str
    messages: tuple[Message, ...]
    category: str
    source: str = ""

    @property
    def content_hash(self) -> str:
        """SHA-256 of the messages alone: equal conversations are duplicates whatever their id or category."""
        return hashlib.sha256(canonical_json([list(m) for m in self.messages]).encode()).hexdigest()

    @property
    def answer(self) -> str:
        """The assistant's last message: what the loss is computed on."""
        return self.messages[-1][1]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that did not enter the pool.

    Attributes:
        file: the file it was read from.
        line: 1-based line (JSONL) or row (Parquet, data sets) in that file.
        reason: why, as "kind: detail" or the kind alone.
    """

    file: str
    line: int
    reason: str

    @property
    def kind(self) -> str:
        """The part of the reason before the first colon: what summaries count."""
        return self.reason.partition(":")[0]


@dataclass(frozen=True)
class Pool:
    """Instructions in reading order, duplicates already removed.

    Attributes:
        name: a short name for people.
        instructions: what was kept.
        rejected: what was not, with reasons.
    """

    name: str
    instructions: tuple[Instruction, ...]
    rejected: tuple[RejectedRow, ...] = ()

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the sorted (content hash, id, category) of all rows: independent of their order."""
        digest = hashlib.sha256()
        for line in sorted(f"{i.content_hash} {i.id} {i.category}" for i in self.instructions):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    @property
    def categories(self) -> tuple[str, ...]:
        """Category names, sorted."""
        return tuple(sorted(self.counts()))

    def counts(self) -> dict[str, int]:
        """Examples per category."""
        return dict(Counter(i.category for i in self.instructions))

    def by_category(self) -> dict[str, tuple[Instruction, ...]]:
        """Instructions per category, in reading order, categories sorted."""
        groups: dict[str, list[Instruction]] = {c: [] for c in self.categories}
        for instruction in self.instructions:
            groups[instruction.category].append(instruction)
        return {c: tuple(rows) for c, rows in groups.items()}

    def by_id(self) -> dict[str, Instruction]:
        """Instructions by their id."""
        return {i.id: i for i in self.instructions}

    def subset(self, name: str, instructions: Iterable[Instruction]) -> Pool:
        """A pool of some of these instructions, without the reject list."""
        return Pool(name, tuple(instructions))


@dataclass(frozen=True)
class PoolSplit:
    """A pool cut into three parts that share no content hash.

    Attributes:
        train: what training sets are drawn from (baseline and reserve).
        measure: held-out examples for the interventions' scores.
        validate: other held-out examples, for the validation arms only.
    """

    train: Pool
    measure: Pool
    validate: Pool
