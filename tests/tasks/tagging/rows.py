"""Small pools for the tests of tagging."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

from tasks.pool.instruction import Instruction

WORDS = {
    "cooking": ["boil", "fry", "bake", "onion", "soup", "pan", "oven", "salt", "pepper", "dish", "flour", "butter"],
    "sailing": ["mast", "sail", "wind", "harbor", "anchor", "deck", "tide", "hull", "rope", "crew", "storm", "keel"],
    "banking": ["loan", "credit", "interest", "account", "deposit", "branch", "teller", "bond", "rate", "fee", "vault"],
}
SHARED = ["the", "a", "of", "to", "in", "we", "how", "what", "please", "tell", "about", "it", "with", "and"]


def instruction(prompt: str, answer: str = "yes", category: str = "untagged", identifier: str = "") -> Instruction:
    return Instruction(identifier or prompt, (("user", prompt), ("assistant", answer)), category)


def made_up(per_category: int, seed: int) -> list[Instruction]:
    """Rows of three subjects, each a few words of its subject among words of all; order by chance."""
    generator = random.Random(seed)
    rows = [
        instruction(
            " ".join(generator.sample(words, 3) + generator.sample(SHARED, 8)), category=category,
            identifier=f"{category} {number}",
        )
        for category, words in WORDS.items()
        for number in range(per_category)
    ]  # fmt: skip
    generator.shuffle(rows)
    return rows


def write_pool(path: Path, rows: Iterable[Instruction], field: str = "subject") -> Path:
    """JSON lines without a category; the true one under another name."""
    with path.open("w") as stream:
        for row in rows:
            messages = [{"role": role, "content": content} for role, content in row.messages]
            stream.write(json.dumps({"id": row.id, "messages": messages, field: row.category}) + "\n")
    return path
