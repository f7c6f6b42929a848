"""A worker's log: written on the worker into the run's folder, read from there by the task that waits for the run.

Workers know neither Prefect nor its address, so their lines travel through the artifact store. The file is bounded, and
nothing that looks like a credential is written to it.
"""

from __future__ import annotations

import logging
import os
import re
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

LOG_FILE = "worker.log"
TRACEBACK_FILE = "traceback.txt"
LOG_BYTES = 256 * 1024
"""Size at which a run's log takes no further lines; the next attempt starts it afresh then."""
LINE_CHARACTERS = 2000
"""Longest line; the rest is cut off."""

_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_NAMED = re.compile(
    r"(?i)\b((?:[\w-]*(?:password|passwd|secret|api[_-]?key|access[_-]?token|auth[_-]?token))|authorization)"
    r"(\s*[=:]\s*)(?:bearer\s+|basic\s+)?[^\s,;]+"
)
_HUGGING_FACE = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
_SECRET_VARIABLE = re.compile(
    r"(?i)token|password|passwd|secret|api_?key|auth_string|credential|(database|connection)_url"
)
_NAMES_A_PLACE = re.compile(r"(?i)_(path|file|folder|dir)$")
_URL_OPTION = re.compile(r"[?&]password=([^&]+)")
_SHORTEST_SECRET = 8


def without_secrets(text: str) -> str:
    """The text with credentials replaced by ***: those in URLs, named ones, and those that the environment holds."""
    text = _URL_CREDENTIALS.sub("***@", without_known_secrets(text))
    return _HUGGING_FACE.sub("***", _NAMED.sub(r"\1\2***", text))


def without_known_secrets(text: str) -> str:
    """The text with the credentials that this process's environment holds replaced by ***; all else stays as it is."""
    found = {
        secret
        for name, value in os.environ.items()
        if _SECRET_VARIABLE.search(name) and not _NAMES_A_PLACE.search(name)
        for secret in (value, *_parts(name, value))
        if len(secret) >= _SHORTEST_SECRET
    }
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _parts(name: str, value: str) -> Iterator[str]:
    """What is secret by itself: the password in a URL, as it is written and as it is meant; that after user:."""
    if "://" in value:
        yield from map(unquote, _URL_OPTION.findall(value))
        credentials = value.partition("://")[2].partition("/")[0].rpartition("@")[0]
    else:
        credentials = value if name.upper().endswith("AUTH_STRING") else ""
    password = credentials.partition(":")[2]
    yield from (password, unquote(password))


def write_line(folder: Path, level: int, text: str) -> None:
    """Append one line to the log in `folder`: time (UTC), level, text; the last line that fits says so."""
    path = folder / LOG_FILE
    size = path.stat().st_size if path.exists() else 0
    if size >= LOG_BYTES:
        return
    line = " ".join(without_secrets(text).split())[:LINE_CHARACTERS]
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    full = f"{stamp} {logging.getLevelName(level)} {line}\n"
    if size + len(full.encode()) >= LOG_BYTES:
        full = f"{stamp} WARNING the log is full ({LOG_BYTES // 1024} KiB); what follows is left out\n"
        full += " " * max(0, LOG_BYTES - size - len(full.encode()) - 1) + "\n"
    with path.open("a", encoding="utf-8") as log:
        log.write(full)


def write_traceback(folder: Path, error: BaseException) -> Path:
    """Write an error's traceback, without credentials, into `folder`; returns the file."""
    path = folder / TRACEBACK_FILE
    path.write_text(without_secrets("".join(traceback.format_exception(error))), encoding="utf-8")
    return path


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Send warnings and errors that anything in this process logs to the run's log as well; errors with a traceback."""
    if (folder / LOG_FILE).exists() and (folder / LOG_FILE).stat().st_size >= LOG_BYTES:
        (folder / LOG_FILE).unlink()
    (folder / TRACEBACK_FILE).unlink(missing_ok=True)
    handler, root = _FolderHandler(folder), logging.getLogger()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            logging.captureWarnings(True)
            yield
    except Exception as error:
        path = write_traceback(folder, error)
        text = str(error).strip().splitlines()
        write_line(folder, logging.ERROR, f"{type(error).__name__}: {text[0] if text else ''} (traceback: {path})")
        raise
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)


class _FolderHandler(logging.Handler):
    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self._folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_line(self._folder, record.levelno, f"{record.name}: {record.getMessage()}")
        except Exception:
            self.handleError(record)


class LogTail:
    """Reads what a run's log gained since the last look."""

    def __init__(self, folder: Path) -> None:
        """Start at the log's present end: what is there belongs to an earlier attempt."""
        self._path = folder / LOG_FILE
        self._position = self._size()

    def lines(self, most: int) -> list[tuple[int, str]]:
        """(level, text) of the complete new lines; of more than `most`, the last ones and how many were left out."""
        size = self._size()
        if size < self._position:
            self._position = 0  # a new attempt began the log afresh
        if size == self._position:
            return []
        with self._path.open("rb") as log:
            log.seek(self._position)
            content = log.read(size - self._position)
        complete = content.rfind(b"\n") + 1
        self._position += complete
        found = [_parsed(line) for line in content[:complete].decode("utf-8", "replace").splitlines() if line.strip()]
        if len(found) <= most:
            return found
        left_out = (logging.INFO, f"{len(found) - most} lines are left out here; all are in {self._path}")
        return [left_out, *found[-most:]]

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0


def _parsed(line: str) -> tuple[int, str]:
    parts = line.split(" ", 3)
    if len(parts) < 4:
        return logging.INFO, line
    level = logging.getLevelNamesMapping().get(parts[2], logging.INFO)
    return level, f"{parts[1]} {parts[3]}"
