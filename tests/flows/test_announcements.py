"""What is said where an event sets off nothing: the server did not take it, or no automation waits for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import get_client
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.announcements import DATASET_LANDED, EXPERIMENT_MEASURED, announce, hand_on, is_answered
from flows.cli.land import _announced
from tasks.errors import RunError


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    with temporary_settings({PREFECT_API_URL: url}):
        yield url


@pytest.fixture
def server(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        yield prefect_server


@pytest.mark.usefixtures("nobody")
def test_chain_that_stops_says_what_to_start_by_hand() -> None:
    with pytest.raises(RunError, match=r"(?s)small_v1 are stored.*optimize/optimize with name=small_v1 by hand"):
        hand_on(EXPERIMENT_MEASURED, "small_v1", "optimize/optimize")


@pytest.mark.usefixtures("server")
def test_landing_that_no_automation_waits_for_says_so() -> None:
    assert announce(DATASET_LANDED, "words")
    assert not is_answered(DATASET_LANDED)
    assert "beyond-iid deploy" in _announced("words")

    waiting = AutomationCore(
        name="test: data landed",
        trigger=EventTrigger(posture=Posture.Reactive, expect={DATASET_LANDED}, threshold=1, within=0),
        actions=[DoNothing()],
    )
    with get_client(sync_client=True) as client:
        identity = client.create_automation(waiting)
        try:
            assert is_answered(DATASET_LANDED)
            assert not is_answered(EXPERIMENT_MEASURED)
            assert "run again after the quiet period" in _announced("words")
            client.update_automation(identity, waiting.model_copy(update={"enabled": False}))
            assert not is_answered(DATASET_LANDED), "switched off"
        finally:
            client.request("DELETE", "/automations/{id}", path_params={"id": identity})


@pytest.mark.usefixtures("nobody")
def test_landing_without_a_server_is_left_to_the_sweep() -> None:
    said = _announced("words")
    assert "did not take the event" in said
    assert "sweep" in said
