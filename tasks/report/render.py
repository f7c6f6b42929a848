"""The report as one HTML file that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tasks.effects.matrix import EffectMatrix
from tasks.errors import InputError
from tasks.report import decided, judged, phrases, pictures, summary
from tasks.report.canvas import write_figure
from tasks.report.content import FINISHED, ReportData
from tasks.report.figures_curriculum import category_order
from tasks.report.figures_heatmap import color_limit, delta_grid, heatmap
from tasks.report.figures_proportions import signed_percent, span_text
from tasks.report.figures_taxonomy import connected, taxonomy_graph
from tasks.report.lettering import carried, decimals_for, duration, percent, plain, probability, signed, whole
from tasks.report.shares import share_rows
from tasks.report.tables import (
    category_rows,
    edge_rows,
    effects_tables,
    measured_metrics,
    score_text,
    tokens,
    training_seconds,
    training_sets,
    verdict_rows,
)


def render(report: ReportData) -> str:
    """The report as a complete HTML document; equal data give equal text.

    Raises:
        ValueError: parts of the data contradict each other (e.g. a proposal for categories without a baseline).
    """
    folder = files("tasks.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalized
    )
    environment.filters.update(
        signed=signed,
        plain=plain,
        whole=whole,
        percent=percent,
        probability=probability,
        duration=duration,
        name=phrases.name,
        ended=phrases.ended,
        signed_percent=signed_percent,
        span=span_text,
        score=score_text,
    )
    template = environment.from_string(folder.joinpath("report.html").read_text(encoding="utf-8"))
    style = folder.joinpath("report.css").read_text(encoding="utf-8")
    return template.render(style=Markup(style), **_page(report)).strip() + "\n"  # noqa: S704 - our own file


def write_report(report: ReportData, path: Path) -> None:
    """Render into a file; readers see the old file or the whole new one, never a part.

    Raises:
        InputError: the file cannot be written there.
        ValueError: see `render`.
    """
    text = render(report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".part")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(part).chmod(0o644)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"{path}: the report cannot be written there ({error.strerror}); give another --out"
        ) from error


def write_figures(report: ReportData, folder: Path) -> tuple[Path, ...]:
    """Write the heat map and the taxonomy graph as effects.{svg,png} and taxonomy.{svg,png}; returns what was written.

    A figure whose data are missing is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix in (".svg", ".png"):
        if report.effects is not None:
            grid = delta_grid(report.effects, report.false_discovery_rate)
            write_figure(heatmap(grid), folder / f"effects{suffix}")
            written.append(folder / f"effects{suffix}")
        if report.taxonomy is not None and connected(report.taxonomy, report.planted):
            unit = report.effects.unit if report.effects else ""
            write_figure(taxonomy_graph(report.taxonomy, report.planted, unit), folder / f"taxonomy{suffix}")
            written.append(folder / f"taxonomy{suffix}")
    return tuple(written)


def _page(report: ReportData) -> dict[str, Any]:
    unit = report.effects.unit if report.effects else report.verdicts[0].unit if report.verdicts else ""
    return {
        "report": report,
        "say": summary,
        "phrase": phrases,
        "decided": decided,
        "judged": judged,
        "unit": unit,
        "complete": bool(report.verdicts) and all(r.state == FINISHED for r in report.runs),
        "finished": [r for r in report.runs if r.state == FINISHED],
        "training_seconds": training_seconds(report),
        "tokens": tokens(report),
        "categories": category_rows(report),
        "metrics": measured_metrics(report),
        "training_sets": training_sets(report),
        "config": _config(report.config),
        **_effects(report),
        **_proposal(report),
        **_order(report, unit),
        **_validation(report, unit),
    }


def _finalized(value: Any) -> Any:
    """Every text that the template writes, whatever its source, is one that HTML can carry."""
    return carried(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _effects(report: ReportData) -> dict[str, Any]:
    given = [(report.arm, report.effects)] if report.effects is not None else []
    arms: list[dict[str, Any]] = []
    for number, (arm, effects) in enumerate((*given, *report.other_effects)):
        name = "effects" if number == 0 else f"effects-{number}"
        tables = effects_tables(report, arm, effects, f"{name}-source")
        limit = color_limit(delta_grid(effects, report.false_discovery_rate))
        arms.append(
            {
                "tables": tables,
                "picture": pictures.effects_picture(report, tables, f"{name}-map"),
                "coefficients": pictures.coefficients_picture(report, tables, f"{name}-gamma"),
                "digits": decimals_for([limit], 2) + 1,
                "slope_digits": _slope_digits(effects, tables.per),
            }
        )
    return {"arms": arms, "source_links": arms[0]["tables"].links if given else {}}


def _slope_digits(effects: EffectMatrix, per: int) -> int:
    """Decimals that show the median standard error of a slope with two digits."""
    return decimals_for([float(np.median(effects.marginal_error)) * per], 2)


def _proposal(report: ReportData) -> dict[str, Any]:
    return {"shares": share_rows(report), "proportions_picture": pictures.proportions_picture(report)}


def _order(report: ReportData, unit: str) -> dict[str, Any]:
    taxonomy, curriculum = report.taxonomy, report.curriculum
    alone = [c for c in taxonomy.categories if c not in connected(taxonomy, report.planted)] if taxonomy else []
    return {
        "alone": alone,
        "edges": edge_rows(taxonomy, report.planted) if taxonomy else (),
        "edge_digits": decimals_for([e.delta for e in taxonomy.edges], 2) + 1 if taxonomy else 2,
        "taxonomy_picture": pictures.taxonomy_picture(report, unit),
        "curriculum_picture": pictures.curriculum_picture(report),
        "curriculum_order": category_order(curriculum, taxonomy) if curriculum else (),
        "stages": [dict(zip(curriculum.categories, s, strict=True)) for s in curriculum.stage_counts]
        if curriculum
        else [],
    }


def _validation(report: ReportData, unit: str) -> dict[str, Any]:
    numbers = [x for v in report.verdicts for x in (v.difference, v.low, v.high)]
    return {
        "verdicts": verdict_rows(report),
        "verdict_digits": decimals_for(numbers, 2) + 1,
        "regret_digits": decimals_for([r.by_chance for r in report.regrets], 2) if report.regrets else 2,
        "verdicts_picture": pictures.verdicts_picture(report),
        "performances_picture": pictures.performances_picture(report, unit),
        "runs_of": {(r.label, r.seed): r for r in report.runs if r.phase == "validate" and r.state == FINISHED},
    }


def _config(config: Mapping[str, Any]) -> Markup:
    text = yaml.safe_dump(_plain(dict(config)), sort_keys=False, allow_unicode=True, width=100).strip()
    return escape("\n".join(carried(line) for line in text.split("\n")))


def _plain(value: Any) -> Any:
    """Configuration values as YAML can write them: mappings and sequences of numbers and text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or type(value) in (bool, int, float, str) else str(value)
