"""What the commands for pools share: progress of several steps, checked options, checked folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

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
        raise InputError(f"Wrong options:\n{problems(error, _option)}\nCorrect them; --help lists them.") from None


def _option(place: Sequence[int | str]) -> str:
    return f"--{'-'.join(map(str, place)).replace('_', '-')}" if place else "together"


def result_folder(out: Path, inputs: tuple[Path, ...], names: tuple[str, ...]) -> None:
    """Check that results can go to a folder.

    Raises:
        InputError: it is a file, or a result would replace a file that is read.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; expected a folder for the results. Give another --out.")
    read = {path.resolve() for path in inputs}
    for name in names:
        if (out / name).resolve() in read:
            raise InputError(f"{out / name}: would be replaced while it is read. Give another --out.")
