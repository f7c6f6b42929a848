"""Taxonomies as JSON, and their roles as the CSV file that `curriculum --roles` reads."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.taxonomy.taxonomy import Edge, Role, Taxonomy


def write_taxonomy(taxonomy: Taxonomy, path: Path) -> None:
    """Write everything as JSON; NaN (unknown q-values, stability, pair-out p-values) becomes null."""
    path.write_text(
        json.dumps(taxonomy_to_json(taxonomy), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def taxonomy_to_json(taxonomy: Taxonomy) -> dict[str, Any]:
    """Plain data for JSON; NaN becomes None."""
    return {
        "categories": list(taxonomy.categories),
        "edges": [_edge_to_json(edge) for edge in taxonomy.edges],
        "reduced": [list(arc) for arc in taxonomy.reduced],
        "removed": [_edge_to_json(edge) for edge in taxonomy.removed],
        "removed_exactly": taxonomy.removed_exactly,
        "unconfirmed": [_edge_to_json(edge) for edge in taxonomy.unconfirmed],
        "levels": dict(taxonomy.levels),
        "roles": {name: role.value for name, role in taxonomy.roles},
    }


def read_taxonomy(path: Path) -> Taxonomy:
    """Read what `write_taxonomy` wrote.

    Raises:
        InputError: no such file, no JSON, or not a taxonomy.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Taxonomy(
            categories=tuple(data["categories"]),
            edges=tuple(_edge_from_json(edge) for edge in data["edges"]),
            reduced=tuple((source, target) for source, target in data["reduced"]),
            removed=tuple(_edge_from_json(edge) for edge in data["removed"]),
            levels=tuple((name, int(level)) for name, level in data["levels"].items()),
            roles=tuple((name, Role(role)) for name, role in data["roles"].items()),
            removed_exactly=bool(data["removed_exactly"]),
            unconfirmed=tuple(_edge_from_json(edge) for edge in data["unconfirmed"]),
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a taxonomy written by this product ({error!r}).") from error


def write_roles(taxonomy: Taxonomy, path: Path) -> None:
    """Write `category,role,level`, one line per category."""
    level = dict(taxonomy.levels)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("category", "role", "level"))
        writer.writerows((name, role.value, level[name]) for name, role in taxonomy.roles)


def _edge_to_json(edge: Edge) -> dict[str, Any]:
    return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in asdict(edge).items()}


def _edge_from_json(data: dict[str, Any]) -> Edge:
    values: dict[str, Any] = {
        key: math.nan if value is None and key != "confirmed" else value for key, value in data.items()
    }
    return Edge(**values)
