"""A judge behind OpenAI's protocol whose verdicts follow a rule: the other side for tests of the judge."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.tasks.inference.http_server import served

TOKENS_IN, TOKENS_OUT = 50, 7
Texts = dict[str, str]
"""Title → text, as the judge is shown them."""


@dataclass
class JudgeServer:
    """A running server.

    Attributes:
        rule: shown texts → what the reply's message holds, or a status.
        key: what it asks for; None: nothing.
        requests: bodies it was sent.
    """

    rule: Callable[[Texts], str | int]
    key: str | None = None
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)


def shown(body: dict[str, Any]) -> Texts:
    """The texts of the user's message, by the titles between its longest rules."""
    text = body["messages"][-1]["content"]
    rule = max(re.findall("=+", text), key=len)
    parts = re.split(rf"(?:^|\n\n){rule} (.+) {rule}\n", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@contextmanager
def serve(server: JudgeServer) -> Iterator[JudgeServer]:
    with served(lambda _, key, body: _reply(server, key, body)) as server.url:
        yield server


def _reply(server: JudgeServer, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    with server._lock:
        server.requests.append(body)
    if server.key is not None and key != f"Bearer {server.key}":
        return 401, {"error": {"message": "wrong key"}}
    said = server.rule(shown(body))
    if isinstance(said, int):
        return said, {"error": {"message": "as planned"}}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT},
    }
