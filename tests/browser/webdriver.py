"""A headless Chromium through chromedriver's own protocol (W3C WebDriver over HTTP on loopback)."""

from __future__ import annotations

import base64
import io
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from PIL import Image

_T = TypeVar("_T")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)
MISSING = (
    "make browser needs Chromium and its driver, and found no {program}. On Debian and Ubuntu: "
    "apt-get install chromium chromium-driver"
)


class Browser:
    """One window."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client, self._session = client, session

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One command of the protocol."""
        reply = self._client.request(method, f"/session/{self._session}{path}", json=body if method == "POST" else None)
        value = reply.json()["value"]
        if reply.is_error:
            raise RuntimeError(f"{path}: {value['error']}: {value['message'].splitlines()[0]}")
        return value

    def open(self, address: str) -> None:
        """Go to a page."""
        self.call("POST", "/url", {"url": address})

    def script(self, text: str, *arguments: Any) -> Any:
        """The value that JavaScript returns in the page."""
        return self.call("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def text(self) -> str:
        """What the page shows."""
        return str(self.script("return document.body.innerText"))

    def fill(self, element: dict[str, str], text: str) -> None:
        """Put a text in the place of an input's content, as a person does: click, select, type."""
        place = f"/element/{element[_ELEMENT]}"
        self.script("arguments[0].scrollIntoView({block: 'center'})", element)
        self.call("POST", f"{place}/click", {})
        self.call("POST", f"{place}/value", {"text": "\ue009a\ue000" + text})  # Control+A, then the text

    def click(self, element: dict[str, str]) -> None:
        """Click where a person would."""
        self.script("arguments[0].scrollIntoView({block: 'center'})", element)
        self.call("POST", f"/element/{element[_ELEMENT]}/click", {})

    def wait(self, what: str, found: Callable[[], _T | None], seconds: float = 60) -> _T:
        """Wait for what the page is to show.

        Raises:
            RuntimeError: it does not, within `seconds`; with the page's text.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = found()
            if value:
                return value
            time.sleep(0.5)
        raise RuntimeError(f"The page did not show {what} within {seconds:g} s. It shows:\n{self.text()}")

    def size(self, width: int, height: int) -> None:
        """Set the page's size, in pixels."""
        self.call("POST", "/window/rect", {"width": width, "height": height})

    def picture(self, path: Path) -> None:
        """Save what the window shows, in 256 colors."""
        content = base64.b64decode(self.call("GET", "/screenshot"))
        Image.open(io.BytesIO(content)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def require_chromium() -> tuple[str, str]:
    """Where Chromium and its driver are.

    Raises:
        SystemExit: one is not installed; says what to install.
    """
    found = {program: shutil.which(program) for program in ("chromium", "chromedriver")}
    for program, path in found.items():
        if path is None:
            raise SystemExit(MISSING.format(program=program))
    return str(found["chromium"]), str(found["chromedriver"])


@contextmanager
def browser() -> Iterator[Browser]:
    """A window of a browser of its own, gone at the end with all it wrote."""
    chromium, driver = require_chromium()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
                _wait_until_up(client)
                options = {"binary": chromium, "args": [*_OPTIONS, f"--user-data-dir={folder}"]}
                wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
                reply = client.post("/session", json=wanted).json()["value"]
                if "sessionId" not in reply:
                    raise RuntimeError(f"Chromium did not start: {reply['message'].splitlines()[0]}")
                window = Browser(client, reply["sessionId"])
                chromium_processes = psutil.Process(process.pid).children(recursive=True)
                try:
                    yield window
                finally:
                    _end(window, chromium_processes)
        finally:
            process.terminate()
            process.wait(30)


def _end(window: Browser, processes: list[psutil.Process]) -> None:
    """Close the browser, also where its driver is gone and cannot do it."""
    with suppress(httpx.HTTPError, RuntimeError):
        window.call("DELETE", "")
    _, left = psutil.wait_procs(processes, timeout=5)
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def _wait_until_up(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get("/status")
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
