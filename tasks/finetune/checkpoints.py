"""Resumable checkpoints inside a run's folder: complete ones only, the newest kept."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tasks.finetune.spec_file import write_json

MARKER = "ledger.json"
"""Written into a checkpoint last: a checkpoint without it was cut short and is never resumed from."""

_NAME = re.compile(r"checkpoint-(\d+)")


def mark_complete(checkpoint: Path, ledger_state: dict[str, Any]) -> None:
    """Declare a checkpoint complete, with what training had done up to it, then remove all older ones."""
    write_json(checkpoint / MARKER, ledger_state)
    for other in _numbered(checkpoint.parent):
        if other != checkpoint:
            shutil.rmtree(other, ignore_errors=True)


def newest_complete(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete checkpoint and its ledger state; None where there is none."""
    for checkpoint in reversed(_numbered(folder)):
        marker = checkpoint / MARKER
        if marker.is_file():
            return checkpoint, json.loads(marker.read_text(encoding="utf-8"))
    return None


def _numbered(folder: Path) -> list[Path]:
    found = [(int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]
