"""`secrets`: what a cluster of one's own needs before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def secrets(
    out: Annotated[Path, typer.Option(help="Folder for them; nothing in it is overwritten.")],
) -> None:
    """Make passwords, tokens and Postgres' certificate for the compose file or Kubernetes; prints no secret."""
    from infra.secret_files import write_secrets

    for path in write_secrets(out):
        print(path)
