"""`status EXPERIMENT`: an experiment live in the terminal, from any terminal of the machine."""

from __future__ import annotations

import time

_FILE_COLUMNS = 160
"""Width where the output goes to a file or a pipe."""


def watch(name: str, *, once: bool = False, seconds: float = 2.0) -> None:
    """Show an experiment's runs until it is complete or Ctrl-C; a single picture where there is no terminal.

    Args:
        name: the experiment.
        once: one picture even in a terminal.
        seconds: between two looks.

    Raises:
        InputError: there is no such experiment.
        StoppedError: Ctrl-C.
    """
    from rich.console import Console
    from rich.live import Live

    from flows.cli.experiments import StoppedError
    from flows.monitor_view import View, gather, render
    from flows.workspace import workspace

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_FILE_COLUMNS)
    with workspace() as opened:

        def look() -> View:
            with opened.database.session() as session:
                return gather(session, name, opened.artifacts)

        view = look()
        if once or not console.is_terminal:
            console.print(render(view))
            return
        try:
            with Live(render(view), console=console, auto_refresh=False) as live:
                while not view.complete:
                    time.sleep(seconds)
                    view = look()
                    live.update(render(view), refresh=True)
        except KeyboardInterrupt:
            raise StoppedError("Stopped watching; the experiment itself goes on.") from None
