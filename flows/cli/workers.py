"""`finetune` and `benchmark`: one run from its specification file, as a cluster admin repeats a failed one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

SpecFile = Annotated[Path, typer.Argument(help="Specification file (spec.json in a run's folder).")]


def finetune(
    spec: SpecFile,
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and record.json; resumed if it exists.")],
    keep_checkpoint: Annotated[bool, typer.Option(help="Keep the weights after scoring.")] = True,
) -> None:
    """Fine-tune and score one run from its specification file: no Prefect, Ray or database.

    Prints the record as JSON. Run it again to resume from the last checkpoint. With --out set to the run's own folder
    in the artifact store, the next `beyond-iid run` takes the result in instead of training.
    """
    from pydantic import TypeAdapter
    from rich.console import Console
    from rich.progress import Progress

    from tasks.benchmarks.run import RunRecord, execute
    from tasks.finetune.spec_file import read_spec

    specification = read_spec(spec)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(specification.name, total=None)

        def show(step: int, steps: int, loss: float) -> None:
            progress.update(
                bar, completed=step, total=steps, description=f"{specification.name}, loss {loss:.3f} nats per token"
            )

        record = execute(specification, out, keep_checkpoint=keep_checkpoint, on_step=show)
    print(TypeAdapter(RunRecord).dump_json(record, indent=2).decode())


def benchmark(
    spec: SpecFile,
    checkpoint: Annotated[Path, typer.Option(help="Folder of the trained checkpoint.")],
    out: Annotated[Path, typer.Option(help="Folder for generated answers, where there are any.")] = Path("benchmark"),
) -> None:
    """Score a checkpoint with the specification's measures: one JSON object per category and metric."""
    from tasks.benchmarks.run import benchmark as score
    from tasks.finetune.spec_file import read_spec

    for one in score(read_spec(spec), checkpoint, out):
        print(json.dumps(asdict(one)))
