"""`make browser`: an experiment started from its form in a real browser, and looked at until it is done.

Starts the services in a state folder of its own, registers the deployments, fills the form, follows the run's pages,
saves the pictures of docs/, stops what it started. Exit code 1, and the page's text, if something is not shown.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.browser.webdriver import Browser, browser, require_chromium

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).parent / "beyond-iid"
NAME = "from-the-ui"
MEASURE = f"measure-{NAME}"
FORM = {
    "Experiment": NAME,
    "Epochs": "1",
    "Random steps": "1",
    "Measure per category": "60",
    "Validate per category": "60",
}
"""What is typed, by the inputs' labels; everything else stays the quick start's."""
_SECONDS = 1800
_FIND_INPUT = """
const labels = [...document.querySelectorAll('.p-label')];
const found = labels.find(l => l.innerText.split('\\n')[0].replace(' (Optional)', '').trim() === arguments[0]);
return found ? found.querySelector('input, textarea') : null;
"""
_FIND_TEXT = """
const all = [...document.querySelectorAll(arguments[0])];
return all.find(one => one.innerText.trim() === arguments[1]) ?? null;
"""
_FIND_LEAF = """
const all = [...document.querySelectorAll('main *, body *')].filter(one => !one.children.length && one.offsetParent);
return all.find(one => one.innerText.trim() === arguments[0]) ?? null;
"""


@contextmanager
def services() -> Iterator[str]:
    """The services of a new state folder, with the deployments registered; the address of the UI."""
    with tempfile.TemporaryDirectory(prefix="beyond-iid-browser-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # as root, Postgres runs as an account of its own
        environment = {**os.environ, "BEYOND_IID_HOME": str(Path(folder) / "home")}
        environment = {key: value for key, value in environment.items() if not key.startswith("PREFECT_")}

        def command(*words: str) -> str:
            done = subprocess.run([PROGRAM, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True)
            return done.stdout

        try:
            states = json.loads(command("up", "--json"))
            command("deploy")
            yield next(one["address"] for one in states if one["name"] == "prefect")
        finally:
            command("down")


def start_from_the_form(window: Browser, ui: str, pictures: Path) -> str:
    """Fill the form of the deployment `experiment` and submit it; the id of the flow run."""
    deployment = httpx.get(f"{ui}/api/deployments/name/experiment/experiment", trust_env=False).json()["id"]
    picture_size(window, 1000)
    window.open(f"{ui}/deployments/deployment/{deployment}/run")
    for label, text in FORM.items():
        window.fill(window.wait(f"the input {label!r}", lambda name=label: window.script(_FIND_INPUT, name)), text)
    window.script("document.querySelectorAll('*').forEach(one => { if (one.scrollTop) one.scrollTop = 0 })")
    for label, text in FORM.items():
        held = window.script("return arguments[0].value", window.script(_FIND_INPUT, label))
        assert held == text, f"{label}: the form holds {held!r}"
    window.picture(pictures / "form.png")
    window.click(window.wait("a button to submit", lambda: window.script(_FIND_TEXT, "button", "Submit")))
    return window.wait("the run that was started", lambda: started(ui))


def started(ui: str) -> str | None:
    """The flow run that the form started."""
    wanted = {"deployments": {"name": {"any_": ["experiment"]}}}
    found: list[dict[str, Any]] = httpx.post(f"{ui}/api/flow_runs/filter", json=wanted, trust_env=False).json()
    return str(found[0]["id"]) if found else None


def watch(window: Browser, ui: str, run: str, pictures: Path) -> None:
    """Follow the run's pages while it is under way: its links, its fan-out, the tables, the effects so far."""
    picture_size(window, 860)
    fan_out = MEASURE.replace("-", " ", 1)
    shown(window, f"{ui}/runs/flow-run/{run}", f"{fan_out}(?!-)", tab="Subflow Runs")
    window.click(window.wait(f"a link to {fan_out!r}", lambda: window.script(_FIND_TEXT, "a", fan_out)))
    window.wait("the fan-out's page", lambda: run not in window.call("GET", "/url"))
    page = window.call("GET", "/url").split("?")[0]
    listed = [f"{MEASURE}-{name}" for name in ("progress", "runs", "effects", "ray-dashboard")]
    shown(window, page, *listed, tab="Artifacts")
    print("The fan-out's page lists progress, runs, effects and a link to Ray's dashboard.")
    shown(window, artifact(ui, f"{MEASURE}-progress"), f"{MEASURE}-progress", "%")
    effects = artifact(ui, f"{MEASURE}-effects")
    shown(window, effects, "Preliminary", "nats per token", r"\d ± \d")
    window.picture(pictures / "effects-so-far.png")
    print("The effects come in.")
    shown(window, artifact(ui, f"{MEASURE}-runs"), r"[1-9]\d* of \d+ runs finished", "CPU-s", "loss")
    window.picture(pictures / "runs.png")
    print("The table shows the runs.")


def finish(window: Browser, ui: str, run: str, pictures: Path) -> None:
    """Wait until the run's page says that it is completed; the links must be there."""
    picture_size(window, 500)
    deadline = time.monotonic() + _SECONDS
    while (state := httpx.get(f"{ui}/api/flow_runs/{run}", trust_env=False).json()["state_type"]) != "COMPLETED":
        assert state in {"RUNNING", "PENDING", "SCHEDULED"}, f"the run is {state}"
        assert time.monotonic() < deadline, f"the run is still {state} after {_SECONDS} s"
        time.sleep(2)
    shown(window, f"{ui}/runs/flow-run/{run}", f"{NAME}-report", tab="Artifacts")
    shown(window, f"{ui}/runs/flow-run/{run}", "Completed", NAME)
    time.sleep(5)  # the graph is drawn, and moves until it is
    window.picture(pictures / "experiment-run.png")
    print("The run's page says Completed, and links to the report.")


def artifact(ui: str, key: str) -> str:
    """The page of an artifact as it is now."""
    wanted = {"artifacts": {"key": {"any_": [key]}}}
    found = httpx.post(f"{ui}/api/artifacts/latest/filter", json=wanted, trust_env=False).json()
    return f"{ui}/artifacts/artifact/{found[0]['latest_id']}"


def shown(window: Browser, address: str, *patterns: str, tab: str | None = None) -> None:
    """Open a page (and one of its tabs), again and again, until it shows every pattern."""
    deadline = time.monotonic() + _SECONDS
    while True:
        window.open(address)
        if tab:
            window.click(window.wait(f"the tab {tab!r}", lambda: window.script(_FIND_LEAF, tab)))
        until = time.monotonic() + 6
        while time.monotonic() < until:
            if all(re.search(pattern, window.text()) for pattern in patterns):
                time.sleep(1)
                return
            time.sleep(0.5)
        if time.monotonic() > deadline:
            raise RuntimeError(f"{address} did not show {patterns}. It shows:\n{window.text()}")


def picture_size(window: Browser, height: int) -> None:
    """Let the page itself be 1400 pixels wide and this high, whatever the window adds."""
    window.size(1400, height)
    width, inner = window.script("return [innerWidth, innerHeight]")
    window.size(1400 + 1400 - width, height + height - inner)


def main() -> None:
    """All of it; the folder for the pictures may be given (default: docs/)."""
    require_chromium()
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    with services() as ui, browser() as window:
        print(f"Prefect's UI: {ui}")
        run = start_from_the_form(window, ui, pictures)
        print(f"Started from the form: {ui}/runs/flow-run/{run}")
        watch(window, ui, run, pictures)
        finish(window, ui, run, pictures)
    print(f"Pictures: {', '.join(one.name for one in sorted(pictures.glob('*.png')))} in {pictures}")


if __name__ == "__main__":
    main()
