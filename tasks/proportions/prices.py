"""Shadow prices, in numbers and in words: what one more unit of each limit is worth."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.proportions.limits import NO_HARM, NamedLimit
from tasks.proportions.linear_model import Point, ShareModel
from tasks.proportions.proposal import Baseline, Limits, ShadowPrice

PRICE_TOLERANCE = 1e-9


def shadow_prices(
    named: Sequence[NamedLimit],
    prices: Sequence[float],
    scale: float,
    unit: str,
    baseline: Baseline,
    limits: Limits,
) -> tuple[ShadowPrice, ...]:
    """One entry per limit whose price is not 0.

    Args:
        named: the limits.
        prices: [L] increase of the objective per unit of share of each right-hand side.
        scale: largest gain of a category; prices below 1e-9 of it are 0.
        unit: of the objective.
        baseline: for the categories' names.
        limits: for totals and repeats.
    """
    return tuple(
        ShadowPrice(limit.name, price, _text(limit, price, unit, baseline, limits))
        for limit, price in zip(named, prices, strict=True)
        if price > PRICE_TOLERANCE * scale
    )


def limit_prices(model: ShareModel, point: Point, limits: Sequence[NamedLimit]) -> list[float]:
    """[L] increase of the model's objective per unit of share of each limit's right-hand side, ≥ 0.

    Rows have their duals; a bound of u or v has its reduced cost, which goes to the tightest limit behind it.
    """
    size, reduced = len(model.alpha), model.reduced_costs(point.duals)
    up, down = reduced[:size], reduced[size : 2 * size]
    tightest: dict[tuple[int, bool], int] = {}
    prices = [0.0] * len(limits)
    for index, limit in enumerate(limits):
        if limit.name in model.limit_rows:
            prices[index] = abs(float(point.duals[model.limit_rows[limit.name]]))
        if not limit.single or limit.category is None:
            continue
        key, sign = (limit.category, limit.upper), 1 if limit.upper else -1
        if key not in tightest or sign * limit.bound < sign * limits[tightest[key]].bound:
            tightest[key] = index
    for (k, upper), index in tightest.items():
        beyond = limits[index].bound < model.alpha[k] if upper else limits[index].bound > model.alpha[k]
        # A share is held at its upper bound from above by u's upper end, or by v's lower end where α is beyond it.
        price = (-down[k] if beyond else up[k]) if upper else (-up[k] if beyond else down[k])
        prices[index] = max(float(price), 0.0)
    return prices


def _text(limit: NamedLimit, price: float, unit: str, baseline: Baseline, limits: Limits) -> str:
    point = f"is worth {price / 100:+.4g} {unit}"
    if limit.category is None:
        return f"one more percentage point of total shift {point}"
    if limit.weights is not None:
        name = limit.name.removeprefix(f"{NO_HARM}:")
        percent = price / 100 * abs(sum(w * a for w, a in zip(limit.weights.tolist(), baseline.shares, strict=True)))
        return f"letting the equivalent amount of {name!r} fall by one more percent is worth {percent:+.4g} {unit}"
    name = baseline.categories[limit.category]
    if limit.kind == "available":
        worth = price * 100 * limits.max_repeats / limits.total
        return f"100 more available examples of {name!r} are worth {worth:+.4g} {unit}"
    if limit.kind == "minimum":
        return f"lowering the minimum of {name!r} by one percentage point {point}"
    if limit.kind == "maximum":
        return f"raising the maximum of {name!r} by one percentage point {point}"
    side = "above" if limit.upper else "below"
    return f"one more percentage point of room {side} the baseline for {name!r} (box) {point}"
