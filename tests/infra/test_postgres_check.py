"""Wrong or unreachable databases: one clear message in time, never with the password."""

from __future__ import annotations

import socket
import time

import pytest

from infra.errors import ConfigurationError
from infra.postgres import check_database, redacted

_SECRET = "geheim-wort"


@pytest.fixture
def silent_port():
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_check_of_closed_port_names_place_and_fix(closed_port):
    with pytest.raises(ConfigurationError) as caught:
        check_database(f"postgresql://someone:{_SECRET}@127.0.0.1:{closed_port}/results")
    message = str(caught.value)
    for part in (
        "host 127.0.0.1",
        f"port {closed_port}",
        "'results'",
        "'someone'",
        "Expected:",
        "BEYOND_IID_DATABASE_URL",
    ):
        assert part in message
    assert _SECRET not in message
    assert caught.value.exit_code == 2


def test_check_of_silent_server_gives_up_after_five_seconds(silent_port):
    start = time.monotonic()
    with pytest.raises(ConfigurationError, match="not reachable") as caught:
        check_database(f"postgresql://u:{_SECRET}@127.0.0.1:{silent_port}/d")
    assert time.monotonic() - start < 6.5
    assert _SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (f"mysql://u:{_SECRET}@h/d", "'mysql'"),
        (f"postgresql://u:{_SECRET}@h", "names no database"),
        (f"no url at all {_SECRET}", "cannot be read"),
        (f"postgresql://u:{_SECRET}@h:port/d", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_check_of_no_postgres_url_refused_without_password(url, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        check_database(url)
    assert _SECRET not in str(caught.value)
    assert "expected postgresql://" in str(caught.value)


def test_redacted_hides_every_secret():
    url = f"postgresql://someone:{_SECRET}@db.example.org:6000/results?sslpassword={_SECRET}&password={_SECRET}"
    shown = redacted(url)
    assert _SECRET not in shown
    assert all(part in shown for part in ("someone", "db.example.org", "6000", "results"))
