"""What the commands for pools share: progress of several steps, checked options, checked folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from tasks.errors import InputError

Steps = Callable[[str, int, int], None]
"""(what is being done, done, of how many)."""

Model = TypeVar("Model")


@contextmanager
def steps_on_screen() -> Iterator[Steps]:
    """A progress bar per step on standard error; none where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, disable=not console.is_terminal) as bars:

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield show


def checked(model: Callable[..., Model], **options: Any) -> Model:
    """Build a configuration model from command-line options.

    Raises:
        InputError: an option is out of range; names every such option.
    """
    from pydantic import ValidationError

    from tasks.forms import problems

    try:
        return model(**options)
    except ValidationError as error:
        text = problems(error, _option)
        for name in options:
            # A rule about several options names them as an experiment file does.
            text = re.sub(rf"\b{name}\b", _option([name]), text) if "_" in name else text
        raise InputError(f"Wrong options:\n{text}\nCorrect them; --help lists them.") from None


def _option(place: Sequence[int | str]) -> str:
    return f"--{'-'.join(map(str, place)).replace('_', '-')}" if place else "together"


def given(context: typer.Context, names: Sequence[str]) -> list[str]:
    """Which of these parameters the command line sets, as options."""
    sources = [(name, context.get_parameter_source(name)) for name in names]
    return [_option([name]) for name, source in sources if source is not None and source.name == "COMMANDLINE"]
