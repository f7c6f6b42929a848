"""A small server that speaks the part of OpenAI's protocol that tagging uses: the other side for tests."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.tasks.inference.http_server import served

TOKENS_IN, TOKENS_OUT = 40, 6


@dataclass
class Server:
    """A running server and what it has seen.

    Attributes:
        url: base address.
        answer: shown conversation → the value of the answer's field; an exception class `Trouble` is a status.
        asked: conversation → requests.
        most_at_once: largest number of requests under way together.
    """

    answer: Callable[[str], Any]
    delay: float = 0.0
    chance: float | None = 0.5
    key: str | None = None
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    requests: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)


class Trouble(Exception):
    """Makes the server answer with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@contextmanager
def serve(server: Server) -> Iterator[Server]:
    with served(lambda path, key, body: _reply(server, path, key, body)) as server.url:
        yield server


def shown_prompt(shown: str) -> str:
    """The user's part of what the model is shown."""
    return shown.split("[user]\n", 1)[1].split("\n\n[assistant]\n", 1)[0]


def _reply(server: Server, path: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if path not in ("/v1/chat/completions", "/v1/completions"):
        return 404, {"error": {"message": f"no {path} here"}}
    if server.key is not None and key != f"Bearer {server.key}":
        return 401, {"error": {"message": "wrong key"}}
    prompt = body["prompt"] if "prompt" in body else shown_prompt(body["messages"][-1]["content"])
    with server._lock:
        server.asked[prompt] += 1
        server.requests.append(body)
        server._at_once += 1
        server.most_at_once = max(server.most_at_once, server._at_once)
    try:
        time.sleep(server.delay)
        value = server.answer(prompt)
    except Trouble as trouble:
        return trouble.status, {"error": {"message": "as planned"}}
    finally:
        with server._lock:
            server._at_once -= 1
    return 200, _continuation(body, value) if "prompt" in body else _completion(server, body, value)


def _continuation(body: dict[str, Any], likeliest: dict[str, float]) -> dict[str, Any]:
    best = max(likeliest, key=lambda token: likeliest[token])
    logged = {"tokens": [best], "token_logprobs": [likeliest[best]], "top_logprobs": [likeliest], "text_offset": [0]}
    return {
        "id": "1",
        "object": "text_completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "text": best, "finish_reason": "length", "logprobs": logged}],
        "usage": {"prompt_tokens": TOKENS_IN, "completion_tokens": 1, "total_tokens": TOKENS_IN + 1},
    }


def _completion(server: Server, body: dict[str, Any], value: Any) -> dict[str, Any]:
    (field_name,) = body["response_format"]["json_schema"]["schema"]["required"]
    values = value if isinstance(value, tuple) else (value,) * body.get("n", 1)
    texts = [one if field_name not in ("category", "tags") else json.dumps({field_name: one}) for one in values]
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [_choice(server, body, place, text) for place, text in enumerate(texts)],
        "usage": {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT},
    }


def _choice(server: Server, body: dict[str, Any], place: int, text: str) -> dict[str, Any]:
    import math

    tokens = [text[i : i + 4] for i in range(0, len(text), 4)]
    logged = None
    if body.get("logprobs") and server.chance is not None:
        value = next(iter(json.loads(text).values()))
        start = text.index(value)
        inside = [i for i in range(len(tokens)) if 4 * i < start + len(value) and 4 * i + 4 > start]
        # Only the value's first token is uncertain; what is around it has a chance of one.
        content = [
            {"token": t, "logprob": math.log(server.chance) if i == inside[0] else 0.0, "top_logprobs": []}
            for i, t in enumerate(tokens)
        ]
        logged = {"content": content}
    return {
        "index": place,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "logprobs": logged,
    }
