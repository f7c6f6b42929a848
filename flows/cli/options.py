"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
OverwriteFlag = Annotated[bool, typer.Option("--overwrite", help="Replace files that no earlier run of this wrote.")]

ENDPOINT_PANEL = "Endpoint (--engine or --scorer-engine endpoint)"
"""Where `--help` lists what belongs to a server that is asked."""
Concurrency = Annotated[int, typer.Option(min=1, rich_help_panel=ENDPOINT_PANEL, help="Questions at once.")]
Retries = Annotated[
    int, typer.Option(min=0, rich_help_panel=ENDPOINT_PANEL, help="Repetitions of a question, with growing waits.")
]
Timeout = Annotated[float, typer.Option(min=0.1, rich_help_panel=ENDPOINT_PANEL, help="Seconds for an answer.")]
PriceIn = Annotated[
    float, typer.Option(min=0, rich_help_panel=ENDPOINT_PANEL, help="Dollars per million prompt tokens.")
]
PriceOut = Annotated[
    float, typer.Option(min=0, rich_help_panel=ENDPOINT_PANEL, help="Dollars per million completion tokens.")
]
