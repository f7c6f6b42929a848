"""`curriculum`: order the user's own instructions, no services."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import JsonFlag
from flows.cli.places import check_file


class ScheduleName(StrEnum):
    """The curriculum schedules, repeated here so that help needs no heavy import."""

    paper = "paper"
    tilted = "tilted"
    strict = "strict"
    reversed = "reversed"
    shuffled = "shuffled"


def curriculum(  # noqa: PLR0913, PLR0917 - one option each
    data: Annotated[Path, typer.Option(help="Instructions: JSON lines (also .gz) or Parquet.")],
    roles: Annotated[Path, typer.Option(help="CSV: category,role (base, middle, dependent) or category,level.")],
    out: Annotated[Path, typer.Option(help="Manifest to write (JSON lines); its stage plan goes beside it.")],
    schedule: Annotated[ScheduleName, typer.Option(help="How the order is tilted.")] = ScheduleName.paper,
    seed: Annotated[int, typer.Option(help="Decides which examples go where and the order inside stages.")] = 0,
    stages: Annotated[int, typer.Option(help="Stages; each example appears once per stage on average.")] = 3,
    tilt: Annotated[int | None, typer.Option(help="Examples moved between first and last stage; default N/10.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """Order your instructions into stages; each example appears exactly as often as in uniform training."""
    from tasks.curriculum.curriculum import Schedule
    from tasks.curriculum.files import curriculum_to_json, read_roles, write_curriculum
    from tasks.curriculum.schedule import build_curriculum
    from tasks.pool.config import FilesSource
    from tasks.pool.reader import read_pool, write_rejects

    check_file(out)
    pool = read_pool(FilesSource(paths=(str(data),)))
    ids = {category: [i.id for i in rows] for category, rows in pool.by_category().items()}
    built = build_curriculum(ids, read_roles(roles, pool.categories), Schedule(schedule.value), seed, stages, tilt)
    plan = write_curriculum(built, out)
    if pool.rejected:
        write_rejects(pool.rejected, out.with_suffix(".rejected.jsonl"))
    if json_output:
        print(json.dumps(curriculum_to_json(built), indent=2, ensure_ascii=False))
        return
    print(
        f"{len(built.manifest.ids)} examples in {len(built.stage_counts)} stages, tilt {built.tilt}.",
        built.note,
    )
    rejected = (
        f"; {len(pool.rejected)} rows rejected, see {out.with_suffix('.rejected.jsonl')}" if pool.rejected else ""
    )
    print(f"Manifest {out} (SHA-256 {built.manifest.sha256}), plan {plan}{rejected}")
