"""What the terminal shows of an experiment: after `run`, and with `show`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.experiment import Outcome


def print_outcome(outcome: Outcome) -> None:
    """Print the experiment's results in a screenful; the report's path last."""
    console = Console(highlight=False)
    found = outcome.analyzed.conclusions
    fans = [outcome.measured, *([outcome.validated.fan_out] if outcome.validated else [])]
    trained, reused = (sum(len(getattr(fan, kind)) for fan in fans) for kind in ("trained", "reused"))
    console.print(
        f"[bold]{outcome.name}[/]: {trained} runs trained, {reused} reused, {outcome.seconds:.0f} s", soft_wrap=True
    )
    taxonomy = found.taxonomy
    edges = "; ".join(f"{edge.source} → {edge.target}" for edge in taxonomy.edges) or "none found"
    console.print(f"Dependencies (source → what needs it): {edges}", markup=False, soft_wrap=True)
    console.print(_shares(found.proposal.categories, found.proposal.baseline_shares, found.proposal.shares))
    if not found.moves:
        console.print("Proposal: keep the baseline; no shift within the limits has a measurable gain.")
    for verdict in outcome.validated.verdicts if outcome.validated else ():
        console.print(f"  {verdict.text}", markup=False, soft_wrap=True)
    for arm, reason in outcome.validated.skipped if outcome.validated else ():
        console.print(f"  Not tried: {arm}, because {reason}.", markup=False, soft_wrap=True)
    console.print(f"Report: {outcome.report}", markup=False, soft_wrap=True)


def print_overview(overview: dict[str, Any]) -> None:
    """Print what is known about an experiment, as far as it got."""
    console = Console(highlight=False)
    console.print(f"[bold]{overview['experiment']}[/]  recorded {overview['recorded']}")
    console.print(
        f"Pool {overview['pool']['name']}: {sum(overview['pool']['counts'].values())} instructions", markup=False
    )
    for phase, content in overview["phases"].items():
        states = ", ".join(f"{n} {state}" for state, n in content["states"].items() if n) or "nothing planned"
        console.print(f"{phase}: {states}")
        for missing in content["missing"]:
            console.print(f"  missing: {missing}", markup=False)
    for proposal in overview["proposals"].values():
        console.print(_shares(proposal["categories"], proposal["baseline_shares"], proposal["shares"]))
    for taxonomy in overview["taxonomies"].values():
        for edge in taxonomy["edges"]:
            console.print(f"  {edge['source']} → {edge['target']}  ({edge['delta']:+.3f})", markup=False)
    for verdict in overview["verdicts"]:
        console.print(f"  {verdict['text']}", markup=False, soft_wrap=True)


def _shares(categories: Any, before: Any, after: Any) -> Table:
    table = Table("category", "baseline", "proposal", "change", title="Proportions", title_justify="left")
    for category, old, new in zip(categories, before, after, strict=True):
        table.add_row(
            escape(category), f"{old:.1%}", f"{new:.1%}", f"{new - old:+.1%}" if abs(new - old) > 1e-9 else ""
        )
    return table
