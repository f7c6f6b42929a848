"""Training rows that hold a held-out prompt: found as benchmark items are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tasks.hygiene.config import Limits
from tasks.hygiene.contamination import BenchmarkItem, Finder
from tasks.hygiene.conversations import conversations
from tasks.hygiene.lines import RawBlock
from tasks.hygiene.shingles import words_of
from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction, Pool, RejectedRow
from tasks.pool.storage import instruction_json

REASON = "holds a held-out prompt"
"""Kind of reason of the training rows that leave."""

_ROWS = 4096
_SOURCE = FilesSource(paths=("-",), format="chat")


def without_held_out(train: Pool, held_out: Iterable[Instruction], limits: Limits) -> Pool:
    """The training rows that hold no held-out prompt; those that do are rejected (line: place in `train`, from 1).

    A row holds a prompt if it has at least `overlap` of its runs of `overlap_words` words anywhere, or if the prompts'
    runs of `near_words` words have a Jaccard index of `near_duplicates` or more. Prompts of fewer than 4 words are not
    looked for.
    """
    prompts = tuple(
        BenchmarkItem(row.id, 0, "\n".join(text for role, text in row.messages[:-1] if role != "system"))
        for row in held_out
    )
    near = 2.0 if limits.near_duplicates is None else limits.near_duplicates
    finder = Finder(prompts, limits.overlap, limits.overlap_words, near, limits.near_words)
    kept: list[Instruction] = []
    rejected = list(train.rejected)
    for start in range(0, len(train.instructions), _ROWS):
        rows = train.instructions[start : start + _ROWS]
        data = "\n".join(map(instruction_json, rows)).encode()
        block = RawBlock(np.arange(1, len(rows) + 1), data, None, 0)
        found = {contact.row: contact for contact in finder.find(words_of(conversations(block, _SOURCE)))[::-1]}
        for place, row in enumerate(rows):
            contact = found.get(place)
            if contact is None:
                kept.append(row)
                continue
            prompt = prompts[contact.item].file
            reason = f'{REASON}: that of "{prompt}", {contact.measure} {contact.value:.2f}'
            rejected.append(RejectedRow(train.name, start + place + 1, reason))
    return Pool(train.name, tuple(kept), tuple(rejected))
