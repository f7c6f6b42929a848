"""Roles or levels in; manifest and stage plan out."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tasks.curriculum.curriculum import Curriculum
from tasks.effects.tables import Cell, Table, number, raise_problems, read_table, text
from tasks.interventions.manifest_file import write_manifest
from tasks.pool.lines_file import write_lines
from tasks.taxonomy.taxonomy import Role


def read_roles(path: Path, categories: Collection[str]) -> dict[str, int] | dict[str, Role]:
    """Read `category,role` (base, middle, dependent) or `category,level` (whole numbers; 0 depends on nothing).

    With both columns the role counts, and the level must not contradict it: base has level 0, dependent has not.

    Args:
        path: CSV or Parquet.
        categories: all categories of the examples; the file must have a line for each and no other.

    Returns:
        Role or level per category, as `tasks.curriculum.schedule.build_curriculum` takes them.

    Raises:
        InputError: not a readable table; else all problems of its content together, with their lines.
    """
    table = read_table(path)
    raise_problems(path, _header_problems(table))
    problems: list[str] = []
    roles: dict[str, Role] = {}
    levels: dict[str, int] = {}
    lines: dict[str, int] = {}
    for line, cells in table.rows:
        name = text(cells[table.column("category")])
        if not name:
            problems.append(f"line {line}: blank category")
        elif name in lines:
            problems.append(f"line {line}: category {name!r} is already in line {lines[name]}")
        elif name not in categories:
            problems.append(f"line {line}: category {name!r} is not in the data")
        lines.setdefault(name, line)
        role = _role(cells[table.column("role")]) if "role" in table.header else None
        level = _level(cells[table.column("level")]) if "level" in table.header else None
        problems += [f"line {line}: {name!r}: {problem}" for problem in _row_problems(role, level)]
        if isinstance(role, Role):
            roles[name] = role
        if isinstance(level, int):
            levels[name] = level
    absent = sorted(set(categories) - set(lines))
    if absent:
        problems.append(f"no line for {', '.join(map(repr, absent))}")
    raise_problems(path, problems)
    return roles if "role" in table.header else levels


def plan_path(manifest_path: Path) -> Path:
    """Where the stage plan of a manifest lies: manifest.jsonl → manifest.plan.json."""
    return manifest_path.with_suffix(".plan.json")


def write_curriculum(curriculum: Curriculum, path: Path) -> Path:
    """Write the manifest to `path` and the stage plan beside it; returns the plan's path.

    The manifest is written last, so that where it is, its plan is too.
    """
    plan = plan_path(path)
    write_lines(plan, json.dumps(curriculum_to_json(curriculum), indent=2, ensure_ascii=False).split("\n"))
    write_manifest(path, curriculum.manifest)
    return plan


def curriculum_to_json(curriculum: Curriculum) -> dict[str, Any]:
    """Plain data for JSON: everything but the ids themselves; stages are numbered from 0 as in the manifest."""
    return {
        "schedule": curriculum.schedule.value,
        "seed": curriculum.seed,
        "repeats": curriculum.repeats,
        "tilt": curriculum.tilt,
        "tilt_requested": curriculum.tilt_requested,
        "note": curriculum.note,
        "length": len(curriculum.manifest.ids),
        "sha256": curriculum.manifest.sha256,
        "stages": [
            {"stage": stage, "examples": sum(row), "counts": dict(zip(curriculum.categories, row, strict=True))}
            for stage, row in enumerate(curriculum.stage_counts)
        ],
    }


def _header_problems(table: Table) -> list[str]:
    problems = [] if "category" in table.header else ["no column 'category'"]
    if not {"role", "level"} & set(table.header):
        problems.append("no column 'role' (base, middle, dependent) or 'level' (0, 1, …)")
    problems += [
        f"unknown column {name!r}; expected category and role or level"
        for name in table.header
        if name not in ("category", "role", "level")
    ]
    return problems


def _role(cell: Cell) -> Role | str:
    try:
        return Role(text(cell).lower())
    except ValueError:
        return f"is {text(cell)!r}, expected {', '.join(Role)}"


def _level(cell: Cell) -> int | str:
    value = number(cell)
    if isinstance(value, str):
        return value
    return int(value) if value >= 0 and value == int(value) else f"is {value:g}, expected a whole number from 0"


def _row_problems(role: Role | str | None, level: int | str | None) -> list[str]:
    """A role or level that is text is what is wrong with it."""
    problems = [f"role {role}"] if isinstance(role, str) and not isinstance(role, Role) else []
    problems += [f"level {level}"] if isinstance(level, str) else []
    if isinstance(level, int) and ((role is Role.BASE and level > 0) or (role is Role.DEPENDENT and level == 0)):
        problems.append(f"{role} but level {level}; base has level 0, dependent has not")
    return problems
