"""Rows and files for the hygiene tests."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

VOCABULARY = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in ("a", "e", "i", "o", "u") for c in ("n", "r", "st", "m")]


def row(prompt: str, answer: str = "yes", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "category": "a", **more}


def words(generator: random.Random, number: int) -> str:
    return " ".join(generator.choices(VOCABULARY, k=number))


def write(path: Path, rows: list[Any]) -> str:
    lines = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
