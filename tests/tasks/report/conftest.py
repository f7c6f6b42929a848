"""Planted report data: effects estimated from simulated paired seeds with a known truth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tasks.benchmarks.scores import HELD_OUT_METRICS, Metric, Score
from tasks.curriculum.curriculum import Curriculum, Schedule
from tasks.effects.matrix import EffectMatrix
from tasks.interventions.designs.removals import leave_one_out
from tasks.interventions.designs.summary import DesignSummary, leave_one_out_summary
from tasks.interventions.intervention import Arm, Intervention
from tasks.interventions.manifest import Manifest
from tasks.pool.summary import PoolSummary
from tasks.proportions.proposal import Gain, Limits, Proposal, ShadowPrice, ShareRange
from tasks.report.content import (
    AllowedRange,
    ArmPerformance,
    BaselineScore,
    MainEffects,
    PlantedEdges,
    ReportData,
    RunRow,
)
from tasks.taxonomy.taxonomy import Edge, Role, Taxonomy
from tasks.validation.regret import Regret
from tasks.validation.verdict import Outcome, Verdict
from tasks.validation.wording import Setting, verdict_text

SKILLS = ("add", "copy", "reverse", "reverse-shift", "shift", "sort", "story-add", "upper")
DIRECT = (
    ("add", "story-add"),
    ("copy", "reverse"),
    ("copy", "shift"),
    ("reverse", "reverse-shift"),
    ("shift", "reverse-shift"),
)
HOSTILE = (
    "<script>alert(1)</script>",
    "$x^2$ & \\frac{1}{2}$",
    "a_very_long_category_name_" + "that_never_ends_" * 8,
    "مرحبا بالعالم",
    "🧮 arithmetic 😀",
    'it\'s "quoted" `code`',
    "{{ 7*7 }}{% raw %}",
    "line\nbreak\tand\x00null\u202eoverride",
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    flat = p.ravel()
    order = np.argsort(flat)
    scaled = flat[order] * flat.size / np.arange(1, flat.size + 1)
    q = np.empty_like(flat)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return q.reshape(p.shape)


def effects_of(names: tuple[str, ...], truth: np.ndarray, seeds: int, noise: float, number: int = 0) -> EffectMatrix:
    k = len(names)
    seed_delta = truth + np.random.default_rng(number).normal(0, noise, (seeds, k, k))
    delta = seed_delta.mean(0)
    error = seed_delta.std(0, ddof=1) / np.sqrt(seeds)
    half = stats.t.ppf(0.975, seeds - 1) * error
    p = 2 * stats.t.sf(np.abs(delta / error), seeds - 1)
    amounts = np.linspace(60, 800, k).round()
    marginal = delta / amounts
    identified = np.diag(p) < 0.05
    gamma = np.where(identified[:, None], marginal / np.diag(marginal)[:, None], np.nan)
    nothing = np.full((k, k), np.nan)
    width = np.where(identified[:, None], np.abs(half / amounts / np.diag(marginal)[:, None]), np.nan)
    return EffectMatrix(
        estimator="paired",
        targets=names,
        sources=names,
        unit="nats per token",
        seeds=seeds,
        confidence=0.95,
        delta=delta,
        standard_error=error,
        low=delta - half,
        high=delta + half,
        p_value=p,
        q_value=benjamini_hochberg(p),
        amounts=amounts,
        marginal=marginal,
        marginal_error=error / amounts,
        gamma=gamma,
        gamma_low=gamma - width,
        gamma_high=gamma + width,
        identified=identified,
        asymmetry_p=nothing,
        seed_delta=seed_delta,
    )


def as_surface(effects: EffectMatrix) -> EffectMatrix:
    """The same numbers as a surface has them: no differences of seeds, slopes steeper than Δ / amount."""
    return replace(
        effects,
        estimator="surface",
        seed_delta=np.full_like(effects.seed_delta, np.nan),
        marginal=effects.marginal * 1.4,
        marginal_error=effects.marginal_error * 0.7,
    )


def taxonomy_of(effects: EffectMatrix, pairs: list[tuple[str, str]], candidates: list[tuple[str, str]]) -> Taxonomy:
    """Edges at `pairs`, the first confirmed and the second not; `candidates` taken out as unconfirmed."""
    row = {n: i for i, n in enumerate(effects.targets)}

    def edge(pair: tuple[str, str], confirmed: bool | None) -> Edge:
        s, t = pair
        p = math.nan if confirmed is None else 0.012 if confirmed else 0.41
        cell = row[t], row[s]
        return Edge(s, t, float(effects.delta[cell]), float(effects.q_value[cell]), 0.01, 0.9, p, confirmed)

    kept = sorted(pairs)
    edges = tuple(edge(pair, {0: True, 1: False}.get(i)) for i, pair in enumerate(kept))
    names = tuple(sorted(effects.targets))
    levels = dict.fromkeys(names, 0)
    for _ in names:
        for s, t in pairs:
            levels[t] = max(levels[t], levels[s] + 1)
    sources, targets = {s for s, _ in pairs}, {t for _, t in pairs}
    roles = {
        n: Role.BASE if n in sources - targets else Role.DEPENDENT if n in targets - sources else Role.MIDDLE
        for n in names
    }
    longer = {(s, t) for s, t in pairs if any((s, m) in pairs and (m, t) in pairs for m in names)}
    return Taxonomy(
        names,
        edges,
        tuple(sorted(set(pairs) - longer)),
        (),
        tuple(levels.items()),
        tuple(roles.items()),
        unconfirmed=tuple(edge(pair, False if i else None) for i, pair in enumerate(sorted(candidates))),
    )


def runs_of(names: tuple[str, ...], seeds: int, arms: list[str]) -> tuple[RunRow, ...]:
    rows = []
    for label, changed in [("baseline", ()), *((f"without {n} (size-matched)", (n,)) for n in names)]:
        for seed in range(seeds):
            rows.append(
                RunRow(
                    digest(f"measure {label} {seed}"),
                    label,
                    "measure",
                    seed,
                    "finished",
                    41.2 + seed,
                    183_000,
                    "cpu",
                    "node-1",
                    0.412 + seed / 100,
                    seed == 0,
                    changed,
                    "size-matched" if changed else None,
                )
            )
    for arm in arms:
        for seed in range(100, 100 + seeds):
            rows.append(
                RunRow(
                    digest(f"validate {arm} {seed}"),
                    arm,
                    "validate",
                    seed,
                    "finished",
                    40.0,
                    183_000,
                    "cpu",
                    "node-2",
                    0.398,
                )
            )
    return tuple(rows)


def design_of(counts: dict[str, int], seeds: int) -> tuple[DesignSummary, tuple[Intervention, ...]]:
    plenty = {c: 4 * n for c, n in counts.items()}
    interventions = leave_one_out(counts, plenty, (Arm.SIZE_MATCHED,))
    return leave_one_out_summary(interventions, seeds), interventions


def curriculum_of(names: tuple[str, ...], counts: list[int], taxonomy: Taxonomy) -> Curriculum:
    roles = dict(taxonomy.roles)
    tilt = [{Role.BASE: 1, Role.MIDDLE: 0, Role.DEPENDENT: -1}[roles[n]] for n in names]
    stages = tuple(
        tuple(max(n + t * n // 5 * sign, 0) for n, t in zip(counts, tilt, strict=True)) for sign in (1, 0, -1)
    )
    return Curriculum(Schedule.PAPER, 2024, names, stages, 96, 96, Manifest(("a", "b"), (0, 1)), 3)


VERDICTS = (
    ("proposal", "baseline", 0.0312, 0.011, 0.0514, 0.004, (0.027, 0.012, 0.041), Outcome.BETTER),
    ("proposal", "random step", 0.0204, -0.0031, 0.0439, 0.21, None, Outcome.NO_DIFFERENCE),
    ("sign-rule", "baseline", -0.0188, -0.0301, -0.0075, 0.012, (0.0181, 0.009, 0.028), Outcome.WORSE),
    ("curriculum", "shuffled curriculum", 0.0021, -0.0142, 0.0184, 1.0, None, Outcome.NO_DIFFERENCE),
)


def verdicts_of(names: tuple[str, ...]) -> tuple[Verdict, ...]:
    found = []
    for arm, control, d, low, high, p, predicted, outcome in VERDICTS:
        value, below, above = predicted or (None, None, None)
        by_category = tuple((n, d + 0.01 * i) for i, n in enumerate(names))
        bare = Verdict(
            arm, control, 5, "nats per token", d, low, high, 0.95, p / 2, p, value, outcome, "", by_category,
            below, above, 0.03,
        )  # fmt: skip
        found.append(verdict_text(bare, Setting(len(VERDICTS), 2 if control == "random step" else 1)))
    return tuple(found)


def regrets_of(arms: list[str]) -> tuple[Regret, ...]:
    """Three arms within luck, the others beyond it."""
    return tuple(Regret(arm, arms[0], 0.004 * i, 0.0093, "nats per token") for i, arm in enumerate(arms))


def build(names: tuple[str, ...] = SKILLS, seeds: int = 3, number: int = 0) -> ReportData:
    """A complete report; the 8 skills have the planted edges DIRECT, of which one is missed and one more is found."""
    k = len(names)
    rng = np.random.default_rng(number + 1)
    truth = np.diag(rng.uniform(1.5, 3.0, k))
    if names == SKILLS:
        for s, t in DIRECT[:4]:
            truth[names.index(t), names.index(s)] = 0.75
        truth[names.index("sort"), names.index("upper")] = 0.35
        truth[names.index("upper"), names.index("story-add")] = -0.28
        truth[names.index("reverse-shift"), names.index("copy")] = 0.5
        pairs = [*DIRECT[:4], ("upper", "sort"), ("copy", "reverse-shift")]
        candidates = [DIRECT[4], ("sort", "upper")]
        planted: PlantedEdges | None = PlantedEdges(DIRECT, (("copy", "reverse-shift"),))
    else:
        pairs = [
            (names[i], names[i + 1 + int(rng.integers(0, k - i - 1))]) for i in range(0, int(k * 0.7)) if i < k - 1
        ]
        pairs = sorted(set(pairs))[:k]
        for s, t in pairs:
            truth[names.index(t), names.index(s)] = rng.uniform(0.2, 0.9)
        planted, candidates = None, []
    effects = effects_of(names, truth, seeds, 0.02, number)
    counts = [int(c) for c in effects.amounts]
    changes = [(-1) ** i * round(0.06 * min(counts[i], counts[min(i ^ 1, k - 1)])) for i in range(k)]
    if k % 2:
        changes[-1] = 0
    new = [c + d for c, d in zip(counts, changes, strict=True)]
    total = sum(counts)
    proposal = Proposal(
        "optimal",
        "GLOP, OR-Tools 9.15",
        names,
        tuple(c / total for c in counts),
        tuple(c / total for c in new),
        tuple(new),
        total,
        1.2431,
        1.2155,
        (
            ShadowPrice("max-shift", 0.42, "one more point of total shift is worth 0.0042"),
            ShadowPrice(f"box-high:{names[1]}", 0.11, "a wider box is worth 0.0011"),
        ),
        ("max-shift", f"box-high:{names[1]}", f"available:{names[0]}"),
        (names[3],),
        2.2e-16,
        1e-12,
        (),
        gain=Gain(0.0276, 0.0123, 0.0412, 0.95, "equivalent share", 1000),
        reason="with 95 % confidence the gain is above 0.0123 equivalent share",
        warnings=("every share that moves goes as far as the limits (max-shift, box) let it",),
        sensitivity=tuple(
            ShareRange(c, n / total, (n + (3 if i == 0 else 0)) / total, (n - 12) / total, (n + 9) / total)
            for i, (c, n) in enumerate(zip(names, new, strict=True))
        ),
        slack=0.1,
    )
    taxonomy = taxonomy_of(effects, pairs, candidates)
    design, interventions = design_of(dict(zip(names, counts, strict=True)), seeds)
    arms = ["baseline", "random step 1", "random step 2", "sign-rule", "proposal", "curriculum", "shuffled curriculum"]
    off = effects.delta[~np.eye(k, dtype=bool)].reshape(-1)
    means = [(n, float(np.delete(effects.delta[:, j], j).mean())) for j, n in enumerate(names)]
    share = float(sum((k - 1) * (m - off.mean()) ** 2 for _, m in means) / ((off - off.mean()) ** 2).sum())
    return ReportData(
        experiment="quickstart",
        created="2026-03-14T09:26:53+00:00",
        config={
            "pool": {"kind": "skillworld", "seed": 7},
            "recipe": {"epochs": 3, "learning_rate": 0.001},
            "seeds": list(range(seeds)),
        },
        pool=PoolSummary(
            "skillworld-7",
            tuple((n, 3 * c) for n, c in zip(names, counts, strict=True)),
            (("the last message is not the assistant’s", 3), ("duplicate of an earlier row", 12)),
        ),
        pool_hash=digest("pool"),
        baseline_counts=tuple(zip(names, counts, strict=True)),
        runs=runs_of(names, seeds, arms),
        arm="size-matched",
        design=design,
        interventions=interventions,
        effects=effects,
        baseline_scores=tuple(
            BaselineScore(Score(name, metric.name, 0.4 + 0.5 * i / k, 8, 0.0625 if i else None), metric)
            for metric in (*HELD_OUT_METRICS, Metric("judge_rating", True, "points of 10"))
            for i, name in enumerate(names)
            if metric in HELD_OUT_METRICS or i
        ),
        main_effects=MainEffects(tuple(means), share),
        limits=Limits(total),
        allowed=tuple(AllowedRange(n, 0.5 * c, 1.5 * c) for n, c in zip(names, counts, strict=True)),
        proposal=proposal,
        sign_rule=tuple((n, c + (9 if i % 3 else -18)) for i, (n, c) in enumerate(zip(names, counts, strict=True))),
        taxonomy=taxonomy,
        planted=planted,
        curriculum=curriculum_of(names, counts, taxonomy),
        verdicts=verdicts_of(names),
        regrets=regrets_of(["proposal", "curriculum", "baseline", "sign-rule"]),
        untried=(("uniform", "it would be the same training as another arm"),),
        performances=tuple(
            ArmPerformance(
                a,
                tuple(range(100, 100 + seeds)),
                tuple(float(v) for v in -0.6 + 0.01 * i + rng.normal(0, 0.012, seeds)),
            )
            for i, a in enumerate(arms)
        ),
        versions=(("torch", "2.13.0"), ("trl", "1.16.0"), ("ortools", "9.15.6755")),
        seconds=274.0,
    )


@pytest.fixture(scope="session")
def build_report() -> Callable[..., ReportData]:
    return build


@pytest.fixture(scope="session")
def surface_of() -> Callable[[EffectMatrix], EffectMatrix]:
    return as_surface


@pytest.fixture(scope="session")
def hostile_names() -> tuple[str, ...]:
    return HOSTILE


@pytest.fixture(scope="session")
def small_report() -> ReportData:
    return build()


@pytest.fixture(scope="session")
def interim_report(small_report: ReportData) -> ReportData:
    """Measured half way: no effects and nothing after them."""
    runs = tuple(replace(r, state="finished" if i % 2 else "running") for i, r in enumerate(small_report.runs))
    return replace(
        small_report,
        runs=runs,
        effects=None,
        main_effects=None,
        limits=None,
        allowed=(),
        proposal=None,
        sign_rule=(),
        taxonomy=None,
        planted=None,
        curriculum=None,
        verdicts=(),
        regrets=(),
        untried=(),
        performances=(),
        baseline_scores=(),
        seconds=None,
    )
