"""`metrics`: Prometheus metrics of all experiments over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_PORT = 9464


def metrics(
    port: Annotated[
        int, typer.Option(envvar="BEYOND_IID_METRICS_PORT", min=0, max=65535, help="Port to listen on; 0: any free.")
    ] = DEFAULT_PORT,
    host: Annotated[
        str, typer.Option(envvar="BEYOND_IID_METRICS_HOST", help="Address to listen on; there is no password.")
    ] = "127.0.0.1",
) -> None:
    """Serve Prometheus metrics of all experiments in the database until stopped: runs, tokens, seconds, failures."""
    import signal
    import sys
    import threading

    from prometheus_client import CollectorRegistry, start_http_server

    from flows.metrics import RunCollector
    from flows.workspace import workspace
    from infra.errors import ConfigurationError

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with workspace() as opened:
        registry = CollectorRegistry()
        registry.register(RunCollector(opened.database))
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigurationError(
                f"The metrics cannot be served at {host}:{port}: {error.strerror}. Give another address with --host "
                "or BEYOND_IID_METRICS_HOST, or another port with --port or BEYOND_IID_METRICS_PORT (0: any free)."
            ) from error
        address = f"[{host}]" if ":" in host else host
        print(f"Metrics: http://{address}:{server.server_port}/metrics", file=sys.stderr, flush=True)
        stop.wait()
        server.shutdown()
        thread.join()
