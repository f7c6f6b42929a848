"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
OverwriteFlag = Annotated[bool, typer.Option("--overwrite", help="Replace files that no earlier run of this wrote.")]
