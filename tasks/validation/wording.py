"""A verdict in one plain sentence."""

from __future__ import annotations

from dataclasses import replace

from tasks.validation.arms import RANDOM_STEP
from tasks.validation.verdict import Outcome, Verdict


def verdict_text(verdict: Verdict, controls: int = 1) -> Verdict:
    """The verdict with its text written.

    Args:
        verdict: everything but the text.
        controls: how many arms make up the control (random steps).
    """
    arm, control = f"the {verdict.arm}", f"the {verdict.control}"
    if verdict.control == RANDOM_STEP:
        control = "a random step of the same size" if controls > 1 else "the one random step of the same size"
    evidence = (
        f"{100 * verdict.confidence:.4g}% interval {verdict.low:.3g} to {verdict.high:.3g}; {verdict.seeds} seeds"
        + (f"; {controls} random steps" if controls > 1 else "")
    )
    size = f"{abs(verdict.difference):.3g} {verdict.unit}"
    if verdict.outcome is Outcome.NO_DIFFERENCE:
        evidence += f"; p = {verdict.p_adjusted:.2g} after Holm's correction"
        sentence = f"No better than {control}: {arm} differed by {verdict.difference:+.3g} {verdict.unit} ({evidence})"
    elif verdict.outcome is Outcome.BETTER:
        sentence = f"{_capital(arm)} beat {control} by {size} ({evidence})"
    else:
        sentence = f"{_capital(arm)} was worse than {control} by {size} ({evidence})"
    if verdict.predicted is not None:
        sentence += f"; the effects predicted {verdict.predicted:.3g}"
    return replace(verdict, text=sentence + ".")


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
