"""The report's figures with their alternative texts, ready for the template."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from tasks.report import (
    figures_curriculum,
    figures_heatmap,
    figures_proportions,
    figures_taxonomy,
    figures_validation,
)
from tasks.report.content import ReportData
from tasks.report.judged import in_order
from tasks.report.lettering import decimals_for, literal, percent, signed
from tasks.report.shares import share_rows
from tasks.report.strongest import contrast
from tasks.report.tables import EffectsTables


@dataclass(frozen=True)
class Picture:
    """A figure in the document.

    Attributes:
        name: its id; also the prefix of every id inside.
        svg: the drawing.
        alt: what it shows, for those who cannot see it.
    """

    name: str
    svg: Markup
    alt: str


def effects_picture(report: ReportData, tables: EffectsTables, name: str) -> Picture:
    """Heat map of one arm's effects."""
    effects = tables.effects
    found = contrast(effects, report.false_discovery_rate)
    alt = (
        f"Heat map of effects: {len(effects.targets)} measured categories (rows) by {len(effects.sources)} sources "
        f"of data (columns). {len(found.helps)} of {found.cross} cross effects are shown to help, "
        f"{len(found.hurts)} to hurt."
    )
    if found.helps:
        best = found.helps[0]
        digits = decimals_for([best.delta], 2)
        amount = f"{signed(best.delta, digits)} {effects.unit}"
        alt += f" Strongest help: {_apart(best.source)} to {_apart(best.target)}, {amount}."
    grid = figures_heatmap.delta_grid(effects, report.false_discovery_rate)
    svg = figures_heatmap.heatmap_svg(grid, name, alt, tables.links)
    return Picture(name, Markup(svg), alt)  # noqa: S704 - built by an XML serializer


def coefficients_picture(report: ReportData, tables: EffectsTables, name: str) -> Picture | None:
    """Heat map of one arm's effect-equivalence coefficients; None where no row is identified."""
    effects = tables.effects
    if not effects.identified.any():
        return None
    alt = (
        f"Heat map of effect-equivalence coefficients: how many of the row’s own examples one example of the column is "
        f"worth to it. {int(effects.identified.sum())} of {len(effects.targets)} rows are identified."
    )
    grid = figures_heatmap.gamma_grid(effects, report.false_discovery_rate)
    svg = figures_heatmap.heatmap_svg(grid, name, alt, tables.links)
    return Picture(name, Markup(svg), alt)  # noqa: S704 - built by an XML serializer


def taxonomy_picture(report: ReportData, unit: str) -> Picture | None:
    """The dependency graph; None where no category is in any edge."""
    taxonomy = report.taxonomy
    if taxonomy is None or not figures_taxonomy.connected(taxonomy, report.planted):
        return None
    edges = "; ".join(f"{_apart(e.source)} to {_apart(e.target)}" for e in taxonomy.edges[:40])
    alt = f"Graph of dependencies, preliminary categories left. {len(taxonomy.edges)} edges: {edges or 'none'}."
    if taxonomy.unconfirmed:
        alt += f" {len(taxonomy.unconfirmed)} candidates were taken out because they are not confirmed."
    svg = figures_taxonomy.taxonomy_svg(taxonomy, report.planted, unit, "taxonomy", alt)
    return Picture("taxonomy", Markup(svg), alt)  # noqa: S704 - built by an XML serializer


def proportions_picture(report: ReportData) -> Picture | None:
    """Counts before and after."""
    rows, proposal = share_rows(report), report.proposal
    if not rows or proposal is None:
        return None
    advised = proposal.decision == "change"
    alt = "Examples per category before and after the proposal" + ("" if advised else ", which is not advised") + ": "
    alt += "; ".join(f"{_apart(r.category)} {r.before} to {r.after}" for r in rows[:40])
    svg = figures_proportions.proportions_svg(rows, advised, proposal.slack, "proportions", alt)
    return Picture("proportions", Markup(svg), alt)  # noqa: S704 - built by an XML serializer


def curriculum_picture(report: ReportData) -> Picture | None:
    """Stacked bars per stage."""
    if report.curriculum is None:
        return None
    sizes = ", ".join(str(sum(stage)) for stage in report.curriculum.stage_counts)
    alt = f"Stacked bars of the curriculum's {len(report.curriculum.stage_counts)} stages, with {sizes} examples."
    svg = figures_curriculum.curriculum_svg(report.curriculum, report.taxonomy, "curriculum", alt)
    return Picture("curriculum", Markup(svg), alt)  # noqa: S704 - built by an XML serializer


def verdicts_picture(report: ReportData) -> Picture | None:
    """Paired differences with intervals."""
    if not report.verdicts:
        return None
    alt = "Differences to the control with their intervals: " + "; ".join(
        f"{_apart(v.arm)} against {_apart(v.control)} {signed(v.difference, 4)} ({signed(v.low, 4)} to "
        f"{signed(v.high, 4)}, {percent(v.confidence)} interval), {v.outcome.value}"
        + ("" if v.predicted is None else f", predicted {signed(v.predicted, 4)}")
        for v in in_order(report)
    )
    svg = figures_validation.verdicts_svg(in_order(report), "verdicts", alt)
    return Picture("verdicts", Markup(svg), alt)  # noqa: S704 - built by an XML serializer


def performances_picture(report: ReportData, unit: str) -> Picture | None:
    """Every arm's performance, seed by seed."""
    if not report.performances:
        return None
    alt = "Mean performance per arm and seed, one dot a seed; the table below has the numbers."
    svg = figures_validation.performances_svg(report.performances, unit, "performances", alt)
    return Picture("performances", Markup(svg), alt)  # noqa: S704 - built by an XML serializer


def _apart(name: str) -> str:
    """The name between Unicode's isolating marks, so that a right-to-left name leaves the sentence in order."""
    return f"\u2068{literal(name)}\u2069"
