"""Answers of a language model on disk, so that a row that was answered is never asked again."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tasks.errors import InputError


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        contents: the model's texts, one per vote.
        chance: what the model gave to its first text's value, 0…1; None where it was not asked or not told.
        tokens_in: prompt tokens as the model counted them.
        tokens_out: completion tokens that it counted.
    """

    contents: tuple[str, ...]
    chance: float | None
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that got no usable answer.

    Attributes:
        reason: why, as "kind: detail"; the kind is what summaries count.
    """

    reason: str


class AnswerFile:
    """Answers by their question's key, appended line by line; a line cut off by a crash is dropped at the next start.

    Every answer is handed to the system before `put` returns: it survives the death of this process at any moment.
    One process at a time. Memory does not grow with the answers: where each begins is kept in a temporary file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Raises: InputError if it cannot be written, another process has it open, or a line is not of this class."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error}). Choose another output.") from error
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._stream.close()
            raise InputError(
                f"{self.path}: another process is writing answers into it. Wait for it, or choose another output."
            ) from None
        # A database without a name is a temporary file that goes with its connection.
        self._places = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._places.execute("CREATE TABLE place (key TEXT PRIMARY KEY, start INTEGER) WITHOUT ROWID")
        try:
            self._size = self._index()
        except BaseException:
            self._close()
            raise
        self._stream.truncate(self._size)
        self._reader = self.path.open("rb")
        return self

    def _index(self) -> int:
        """Bytes of whole lines."""
        start = 0
        self._places.execute("BEGIN")
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    key, _ = _read(line)
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(
                        f"{self.path}, line {number}: no answer ({error}). Delete the line, or the file "
                        "to ask everything again."
                    ) from error
                self._remember(key, start)
                start += len(line)
        self._places.execute("COMMIT")
        return start

    def __exit__(self, *_: object) -> None:
        os.fsync(self._stream.fileno())
        self._reader.close()
        self._close()

    def _close(self) -> None:
        self._places.close()
        self._stream.close()

    def _remember(self, key: str, start: int) -> None:
        self._places.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (key, start))

    def get(self, key: str) -> Answer | None:
        """The answer to a question, if there is one."""
        with self._lock:
            found = self._places.execute("SELECT start FROM place WHERE key = ?", (key,)).fetchone()
            if found is None:
                return None
            self._reader.seek(found[0])
            line = self._reader.readline()
        return _read(line)[1]

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer."""
        line = json.dumps({"key": key, **asdict(answer)}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._stream.write(line)
            self._remember(key, self._size)
            self._size += len(line)


def _read(line: bytes) -> tuple[str, Answer]:
    row = json.loads(line)
    return row["key"], Answer(tuple(row["contents"]), row["chance"], row["tokens_in"], row["tokens_out"])
