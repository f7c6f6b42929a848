"""Files of a tagged pool: what was tagged, what is too uncertain, what has no tag; whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.pool.instruction import Instruction, RejectedRow
from tasks.tagging.outcome import Tag

LOW_CONFIDENCE, REJECTED, CONFUSION, SUMMARY = "low-confidence.jsonl", "rejected.jsonl", "confusion.csv", "summary.json"
COMPANIONS = (LOW_CONFIDENCE, REJECTED, CONFUSION, SUMMARY)
"""Names of the files that appear with the tagged pool, or go where they would hold nothing."""
ANSWERS, VOCABULARY, QUESTIONS = "answers.jsonl", "vocabulary", "questions"
"""Names of what a language model's engine keeps beside it: a file and two folders."""

_ENDINGS = (".jsonl.gz", ".ndjson.gz", ".jsonl", ".ndjson")


def companion(out: Path, name: str) -> Path:
    """A file beside the tagged pool: `tagged.jsonl` and "confusion.csv" give `tagged.confusion.csv`.

    Raises:
        InputError: `out` is not named as JSON lines.
    """
    for ending in _ENDINGS:
        if out.name.endswith(ending) and out.name != ending:
            return out.with_name(f"{out.name.removesuffix(ending)}.{name}")
    raise InputError(
        f"--out {out}: the tagged pool is written as JSON lines; expected a name ending in {', '.join(_ENDINGS)}."
    )


def tagged_line(instruction: Instruction, tag: Tag, tagger: str, native: str = "") -> str:
    """One JSON object: id, category, confidence, tagger, source, messages; tags and native_category where they exist.

    The line is a row of chat format for `tasks.pool.reader.read_pool`.
    """
    row: dict[str, Any] = {
        "id": instruction.id,
        "category": tag.category,
        "confidence": round(tag.confidence, 6),
        "tagger": tagger,
        "source": instruction.source,
        "messages": [{"role": role, "content": content} for role, content in instruction.messages],
    }
    if tag.tags:
        row["tags"] = list(tag.tags)
    if native:
        row["native_category"] = native
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def rejected_line(row: RejectedRow) -> str:
    """One JSON object: file, line, reason."""
    return json.dumps({"file": row.file, "line": row.line, "reason": row.reason}, ensure_ascii=False)
