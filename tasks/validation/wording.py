"""Verdicts and regrets in plain sentences, for readers without statistics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, floor, isfinite, log10

from tasks.validation.arms import RANDOM_STEP, SHUFFLED_CURRICULUM, SHUFFLED_PROPOSAL, UNIFORM
from tasks.validation.regret import Regret
from tasks.validation.verdict import Outcome, Verdict

_PHRASES = {
    UNIFORM: "the uniform mixture",
    SHUFFLED_CURRICULUM: "the same examples in random order",
    SHUFFLED_PROPOSAL: "the proposal's examples in random order",
}


_FRESH = "random starts and test data that nothing before had used"


@dataclass(frozen=True)
class Setting:
    """What a verdict's words need beside its numbers.

    Attributes:
        comparisons: how many were made in all.
        controls: how many arms make up the control (random steps).
        note: a sentence that the reader must not miss; empty = none.
    """

    comparisons: int = 1
    controls: int = 1
    note: str = ""


def verdict_text(verdict: Verdict, setting: Setting) -> Verdict:
    """The verdict with its text written.

    Two sentences: what was compared, by how much and how sure; what it means. A third says how the prediction did.
    """
    tell = _inconclusive if verdict.outcome is Outcome.NO_DIFFERENCE else _conclusive
    sentences = [*tell(verdict, setting), *_prediction(verdict), setting.note]
    return replace(verdict, text=" ".join(sentence for sentence in sentences if sentence))


def difference_text(difference: float, low: float, high: float) -> tuple[str, str]:
    """A signed difference and its interval, with as many decimals as the interval's width has worth."""
    digits = _digits((high - low) / 2)
    return f"{difference:+.{digits}f}", f"{low:+.{digits}f} to {high:+.{digits}f}"


def skipped_text(skipped: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """A sentence per reason for the arms that were not tried."""
    arms: dict[str, list[str]] = {}
    for arm, reason in skipped:
        arms.setdefault(reason, []).append(arm)
    return tuple(f"Not tried: {', '.join(names)}, because {reason}." for reason, names in arms.items())


def regret_text(regrets: Sequence[Regret]) -> str:
    """All regrets in two sentences, with what luck alone would make of them; empty without regrets."""
    if not regrets:
        return ""
    first, behind = regrets[0], [r for r in regrets if r.arm != r.best]
    digits = _digits(first.by_chance)
    parts = ", ".join(f"{r.arm} {r.regret:.{digits}f}" for r in behind)
    return (
        f"Best as measured: {_phrase(first.best)}; behind it, in {first.unit}: {parts}. "
        f"The best of {len(regrets)} is partly the luckiest: were all equally good, the average one would still be "
        f"{first.by_chance:.{digits}f} behind it, so gaps of that size mean nothing."
    )


def _conclusive(v: Verdict, setting: Setting) -> list[str]:
    word = "better" if v.outcome is Outcome.BETTER else "worse"
    digits = _digits((v.high - v.low) / 2)
    low, high = sorted((abs(v.low), abs(v.high)))
    counted = f", all {setting.comparisons} comparisons counted" if setting.comparisons > 1 else ""
    who = "Both were"
    if v.control == RANDOM_STEP and setting.controls > 1:
        who = f"It and each of the {setting.controls} random changes were"
    return [
        f"{_capital(_phrase(v.arm))} was {word} than {_control(v, setting)} by {abs(v.difference):.{digits}f} "
        f"{v.unit}{_in_words(v)}; the true difference is between {low:.{digits}f} and {high:.{digits}f} with "
        f"{_percent(v.confidence)} confidence.",
        f"{who} retrained {v.seeds} times, with {_FRESH}; if they were in truth equally good, a result this clear "
        f"would come up {_how_often(v.p_adjusted)}{counted}.",
    ]


def _inconclusive(v: Verdict, setting: Setting) -> list[str]:
    digits = _digits((v.high - v.low) / 2)
    level = _percent(v.confidence)
    first = (
        f"No better than chance: {_phrase(v.arm)} came out {abs(v.difference):.{digits}f} {v.unit}{_in_words(v)} "
        f"{'ahead of' if v.difference >= 0 else 'behind'} {_control(v, setting)}"
    )
    if v.low <= 0 <= v.high:
        first += (
            f", a gap that equally good ones show by chance alone (true difference between {v.low:+.{digits}f} and "
            f"{v.high:+.{digits}f} with {level} confidence)."
        )
    else:
        first += (
            f". Taken alone this would count ({v.low:+.{digits}f} to {v.high:+.{digits}f} with {level} confidence), "
            f"but among {setting.comparisons} comparisons one as clear comes up by chance {_how_often(v.p_adjusted)}."
        )
    tries = f"after {v.seeds} retrainings of each, with {_FRESH}"
    if v.detectable is None:
        return [first, f"This does not prove them equal: it is what was seen {tries}."]
    missed = f"a true difference below {v.detectable:.{digits}f} {v.unit} would be missed more than 1 time in 5"
    return [first, f"This does not prove them equal: {tries}, {missed}."]


def _prediction(v: Verdict) -> list[str]:
    """How the measured difference lies to what was predicted."""
    if v.predicted is None:
        return []
    low, high = v.predicted_low, v.predicted_high
    if low is None or high is None:
        return [f"The prediction had been {v.predicted:+.{_digits(v.predicted)}f} {v.unit}."]
    digits = _digits((high - low) / 2)
    sentence = (
        f"The prediction had been {v.predicted:+.{digits}f} {v.unit}, between {low:+.{digits}f} and "
        f"{high:+.{digits}f}: the measured difference lies "
    )
    if low <= v.difference <= high:
        return [f"{sentence}inside this range."]
    where = "below" if v.difference < low else "above"
    meets = v.low <= high and low <= v.high
    doubt = "though chance may explain the gap" if meets else "by more than chance explains"
    return [f"{sentence}{where} this range, {doubt}."]


def _control(v: Verdict, setting: Setting) -> str:
    if v.control != RANDOM_STEP:
        return _phrase(v.control)
    if setting.controls > 1:
        return f"a random change of the mixture of the same size (average of {setting.controls})"
    return "the one random change of the same size that was tried"


def _phrase(arm: str) -> str:
    return _PHRASES.get(arm, f"the {arm}")


def _in_words(v: Verdict) -> str:
    """What the amount means, where the unit is known: the mean log-probability of a token, or a share of answers."""
    if v.unit == "nats per token":
        factor = exp(min(v.difference, 50.0))
        return f" (correct tokens {_rounded(100 * abs(factor - 1))}% {'more' if factor >= 1 else 'less'} likely)"
    if v.unit == "share":
        return f" ({_rounded(100 * abs(v.difference))} {'more' if v.difference >= 0 else 'fewer'} right of 100 answers)"
    return ""


def _how_often(p: float) -> str:
    """ "at most 28 times in 100", "at most once in 250 times"."""
    if p >= 0.95:
        return "nearly always"
    if p > 0.1:
        return f"at most {ceil(100 * p)} times in 100"
    if p < 0.0001:
        return "less than once in 10,000 times"
    times = 1 / p
    unit = 10 ** max(0, floor(log10(times)) - 1)
    return f"at most once in {floor(times / unit) * unit:,} times"


def _rounded(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _digits(scale: float) -> int:
    """Decimals that show a number of this size with two significant digits."""
    if not isfinite(scale) or scale == 0:
        return 3
    return min(max(0, 1 - floor(log10(abs(scale)))), 9)


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
