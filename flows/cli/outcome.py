"""What the terminal shows of an experiment: after `run`, and with `show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.experiment import Outcome
from flows.validate import Validated
from tasks.proportions.decision import decision_text
from tasks.validation.arms import BASELINE, CURRICULUM, PROPOSAL, PROPOSAL_CURRICULUM, SHUFFLED_CURRICULUM
from tasks.validation.wording import difference_text, regret_text, skipped_text

IN_WORDS = ((PROPOSAL, BASELINE), (CURRICULUM, SHUFFLED_CURRICULUM), (PROPOSAL_CURRICULUM, PROPOSAL))
"""The comparisons that the terminal also puts into words; the report does so with all."""


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
    _print_proposal(console, asdict(found.proposal))
    if outcome.validated:
        _print_validated(console, outcome.validated)
    console.print(f"Report: {outcome.report}", markup=False, soft_wrap=True)


def _print_proposal(console: Console, proposal: Mapping[str, Any]) -> None:
    """The shares, what they promise, and whether the program would use them."""
    console.print(_shares(proposal["categories"], proposal["baseline_shares"], proposal["shares"]))
    gain = proposal["gain"]
    if gain is not None:
        _line(
            console,
            f"Predicted gain: {gain['value']:+.3g} {gain['unit']}, between {gain['low']:+.3g} and {gain['high']:+.3g} "
            f"with {100 * gain['confidence']:.4g}% confidence.",
        )
    _line(console, f"Decision: {decision_text(proposal['decision'], proposal['reason'])}.")
    for warning in proposal["warnings"]:
        _line(console, f"Note: {warning}")


def _print_validated(console: Console, validated: Validated) -> None:
    _print_verdicts(console, [asdict(verdict) for verdict in validated.verdicts])
    if validated.regrets:
        _line(console, regret_text(validated.regrets))
    for sentence in skipped_text(validated.skipped):
        _line(console, sentence)


def _print_verdicts(console: Console, verdicts: Sequence[Mapping[str, Any]]) -> None:
    """All verdicts as a table, the main ones in words."""
    if not verdicts:
        return
    level = f"{100 * verdicts[0]['confidence']:.4g}% confidence"
    title = f"Validation: difference in {verdicts[0]['unit']}, + = better than the control"
    table = Table("arm", "against", "difference", level, "verdict", title=title, title_justify="left")
    for v in verdicts:
        numbers = difference_text(v["difference"], v["low"], v["high"])
        table.add_row(escape(v["arm"]), escape(v["control"]), *numbers, v["outcome"])
    console.print(table)
    chosen = [v for pair in IN_WORDS for v in verdicts if (v["arm"], v["control"]) == pair] or verdicts[:1]
    for v in chosen:
        _line(console, v["text"])


def _shares(categories: Any, before: Any, after: Any) -> Table:
    table = Table("category", "baseline", "proposal", "change", title="Proportions", title_justify="left")
    for category, old, new in zip(categories, before, after, strict=True):
        table.add_row(
            escape(category), f"{old:.1%}", f"{new:.1%}", f"{new - old:+.1%}" if abs(new - old) > 1e-9 else ""
        )
    return table


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
