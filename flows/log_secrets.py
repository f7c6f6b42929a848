"""No credential in what Prefect keeps of a flow run: its log lines, the tracebacks in them, its state's message."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flows.monitor_log import without_known_secrets, without_secrets
from tasks.errors import RunError

_PLAIN = logging.Formatter()


@contextmanager
def secrets_kept() -> Iterator[None]:
    """Keep credentials out of Prefect's log and of the errors that leave this context.

    Raises:
        RunError: in place of an error whose text quotes a credential of the environment; without it.
    """
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs"):
        for handler in logging.getLogger(name).handlers:
            if _FILTER not in handler.filters:
                handler.addFilter(_FILTER)
    try:
        yield
    except Exception as error:
        said = str(error)
        if without_known_secrets(said) == said:
            raise
        raise RunError(f"{type(error).__name__}: {without_secrets(said)}") from None


class _WithoutSecrets(logging.Filter):
    """Rewrites a record's text and traceback; passes every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _PLAIN.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = without_secrets(record.exc_text)
        return True


_FILTER = _WithoutSecrets()
