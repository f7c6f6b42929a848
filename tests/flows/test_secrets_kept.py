"""Planted credentials, quoted by an error, reach neither the terminal, nor the details file, nor the Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.monitor_log import without_known_secrets
from flows.workspace import workspace
from tasks.errors import RunError
from tests.flows.command import Command

PASSWORD, AUTH, TOKEN = "planted/word-1", "planted-word-2", "planted-word-3"
PLANTED = {
    "BEYOND_IID_DATABASE_URL": f"postgresql://me:{PASSWORD.replace('/', '%2F')}@127.0.0.1:1/results",
    "PREFECT_API_AUTH_STRING": f"admin:{AUTH}",
    "RAY_AUTH_TOKEN": TOKEN,
}
QUOTED = f"no entry with {PLANTED['BEYOND_IID_DATABASE_URL']}, {PASSWORD}, {AUTH}, {TOKEN}"
FAILING = """
import sys
from flows.cli import main
@main.app.command()
def fail(kind: str, text: str) -> None:
    raise {"expected": main.InfraError, "unexpected": ValueError}[kind](text)
sys.argv = ["beyond-iid", "fail", sys.argv[1], sys.argv[2]]
main.main()
"""


def without_planted(text: str) -> bool:
    return not any(word in text for word in ("word-1", "word-2", "word-3"))


@pytest.mark.parametrize("kind", ["expected", "unexpected"])
def test_command_line_quotes_no_credential(kind: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FAILING, kind, QUOTED],
        env={**os.environ, **PLANTED, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "no entry with" in ended.stderr
    assert without_planted(ended.stdout + ended.stderr)
    details = list(tmp_path.glob("beyond-iid-*.log"))
    assert len(details) == (kind == "unexpected")
    for path in details:
        text = path.read_text()
        assert "Traceback" in text
        assert "ValueError: no entry with" in text
        assert without_planted(text)


def test_password_alone_is_known_and_paths_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**PLANTED, "RAY_AUTH_TOKEN_PATH": "/secrets/ray_token"}.items():
        monkeypatch.setenv(name, value)
    assert without_known_secrets(f"wrong: {PASSWORD} {AUTH}") == "wrong: *** ***"
    example = "expected postgresql://user:password@host/database; see /secrets/ray_token"
    assert without_known_secrets(example) == example


def test_failed_flow_run_quotes_no_credential_on_the_server(
    command: Command, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PLANTED.items():
        if name != "BEYOND_IID_DATABASE_URL":  # the workspace would use it
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTHER_DATABASE_URL", PLANTED["BEYOND_IID_DATABASE_URL"])
    monkeypatch.setenv("BEYOND_IID_HOME", str(command.home))

    @flow
    def fails_inside() -> None:
        with workspace():
            raise ValueError(QUOTED)

    @flow
    def quotes() -> None:
        with workspace():
            fails_inside()

    with temporary_settings({PREFECT_API_URL: prefect_server}), get_client(sync_client=True) as client:
        known = {run.id for run in client.read_flow_runs()}
        with pytest.raises(RunError) as caught:
            quotes()
        APILogHandler().flush()
        runs = [run for run in client.read_flow_runs() if run.id not in known]
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id for run in runs]))
        logs = [line.message for line in client.read_logs(wanted, limit=200)]
    assert without_planted(str(caught.value))
    assert len(runs) == 2
    states = {run.name: str(run.state.message) for run in runs if run.state}
    assert all("no entry with" in message for message in states.values())
    assert any("Traceback" in line for line in logs)
    assert without_planted("".join(logs))
    assert without_planted("".join(states.values()))
