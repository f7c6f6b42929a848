"""A client of the Prefect server without retries, for what is asked or told again soon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES


class OneTry:
    """Gives clients that ask once; Prefect's own wait for a server that is gone, and would hold up waiting loops.

    Prefect's settings are made once, here: that takes 27 ms and reads files, too much for something that happens twice
    a second, and a Ctrl-C in its middle comes out as another error.
    """

    def __init__(self) -> None:
        """Take the present settings but for the retries."""
        present = get_settings_context()
        self._profile = present.profile
        self._settings = present.settings.copy_with_update({PREFECT_CLIENT_MAX_RETRIES: 0})

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """A client for a few questions; a server that is gone is an httpx.TransportError."""
        with SettingsContext(profile=self._profile, settings=self._settings), get_client(sync_client=True) as client:
            yield client
