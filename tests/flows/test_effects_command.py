"""`effects` and `predict` on a user's own files, through the command line's own entry point."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from flows.cli import main

SOURCES = ("web", "code", "books")
TARGETS = ("exam", "chat")
SLOPES = np.array([[-1.5, 0.5, -0.2], [0.3, -2.0, -0.2]])
"""Change of the log of each target's reducible loss per share of each source."""
NOISE = 0.01


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> Result:
        monkeypatch.setattr("sys.argv", ["beyond-iid", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main.main()
        return Result(int(end.value.code or 0), *capsys.readouterr())

    return call


def losses(shares: np.ndarray) -> np.ndarray:
    """Planted expected loss [R, T] of shares [R, S]."""
    return 1 + np.exp(1 + shares @ SLOPES.T)


def mixtures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(len(SOURCES), 2.0), count).round(3)


def write(path: Path, header: tuple[str, ...], names: list[str], values: np.ndarray) -> Path:
    with path.open("w", newline="") as file:
        rows = [[name, *row] for name, row in zip(names, values.tolist(), strict=True)]
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """40 random mixtures with rounded shares, and their losses on categories of other names."""
    shares = mixtures(40, seed=1)
    names = [f"m{k}" for k in range(40)]
    noise = np.random.default_rng(2).normal(0, NOISE, (40, len(TARGETS)))
    runs = write(tmp_path / "runs.csv", ("run", *SOURCES), names, shares)
    return runs, write(tmp_path / "scores.csv", ("run", *TARGETS), names, losses(shares) + noise)


def new_mixtures(folder: Path, shares: np.ndarray, header: tuple[str, ...] = ("run", *SOURCES)) -> Path:
    return write(folder / "new.csv", header, [f"n{k}" for k in range(len(shares))], shares)


def own(files: tuple[Path, Path]) -> tuple[str | Path, ...]:
    return "--runs", files[0], "--scores", files[1]


def cells(path: Path) -> dict[tuple[str, str], float]:
    header, *rows = csv.reader(path.open())
    return {(row[0], name): float(cell) for row in rows for name, cell in zip(header[1:], row[1:], strict=True) if cell}


def predictions(path: Path) -> np.ndarray:
    """[M, T, 3] mean, low, high."""
    header, *rows = csv.reader(path.open())
    assert header == ["run", "category", "mean", "low", "high"]
    assert [row[:2] for row in rows] == [[f"n{m}", t] for m in range(len(rows) // len(TARGETS)) for t in TARGETS]
    return np.array([[float(cell) for cell in row[2:]] for row in rows]).reshape(-1, len(TARGETS), 3)


def test_effects_of_leave_one_out_runs_are_paired_without_being_asked(run: Run, tmp_path: Path) -> None:
    arms = {"baseline": (100, 50), "no web": (0, 50), "no code": (100, 0)}
    loss = {"baseline": (1, 0.1), "no web": (4, 0.2), "no code": (2, 0.4)}
    runs, scores = ["run,seed,arm,web,code"], ["run,category,value"]
    for seed in (1, 2):
        runs += [f"{seed} {arm},{seed},{arm},{web},{code}" for arm, (web, code) in arms.items()]
        scores += [f"{seed} {arm},web,{value + slope * seed}" for arm, (value, slope) in loss.items()]
    (tmp_path / "r.csv").write_text("\n".join(runs))
    (tmp_path / "s.csv").write_text("\n".join(scores))
    result = run("effects", *own((tmp_path / "r.csv", tmp_path / "s.csv")), "--out", tmp_path / "effects")
    assert result.code == 0, result.err
    # By hand: mean over the seeds of (4 + 0.2 s) − (1 + 0.1 s), and of (2 + 0.4 s) − (1 + 0.1 s).
    assert cells(tmp_path / "effects" / "delta.csv") == pytest.approx({("web", "web"): 3.15, ("web", "code"): 1.45})
    assert json.loads((tmp_path / "effects" / "summary.json").read_text())["estimator"] == "paired"
    assert "from 2 paired seeds" in result.out


def removals(folder: Path, misspelled: str = "code") -> tuple[Path, Path]:
    """Two seeds of leave-one-out runs of three sources; each helps itself most."""
    names, amounts, scores = [], [], []
    rng = np.random.default_rng(0)
    for seed in (1, 2):
        for gone in (None, *SOURCES):
            names.append(f"{seed}{gone}")
            amounts.append([seed, *(0 if name == gone else 100 for name in SOURCES)])
            scores.append([1 + 3 * (name == gone) + 0.2 * rng.normal() for name in SOURCES])
    targets = tuple(misspelled if name == "code" else name for name in SOURCES)
    runs = write(folder / "runs.csv", ("run", "seed", *SOURCES), names, np.array(amounts))
    return runs, write(folder / "scores.csv", ("run", *targets), names, np.array(scores))


def test_effects_note_a_misspelled_category_and_scores_that_seem_upside_down(run: Run, tmp_path: Path) -> None:
    good = run("effects", *own(removals(tmp_path)), "--out", tmp_path / "effects")
    assert (good.code, good.err) == (0, "")
    result = run("effects", *own(removals(tmp_path, "coed")), "--out", tmp_path / "effects")
    assert result.code == 0, result.err
    assert "note: measured, but no source of the effects: coed (is it code?)." in result.err
    assert "note: a source, but not measured: code (is it coed?)." in result.err
    upside_down = run("effects", *own(removals(tmp_path)), "--out", tmp_path / "effects", "--higher-is-better")
    assert "are the scores higher-is-better?" in upside_down.err
    assert "no γ for web, code, books" in upside_down.err


def pair_outs(folder: Path) -> tuple[Path, Path]:
    """Three seeds of all, −one and −two of (base, skill, other); skill's own data give half without base."""
    rng, names, amounts, scores = np.random.default_rng(1), [], [], []
    categories = ("base", "skill", "other")
    for seed in (1, 2, 3):
        shared = 0.1 * rng.normal()
        for gone in ((), *combinations(categories, 1), *combinations(categories, 2)):
            has = {name: float(name not in gone) for name in categories}
            loss = (3 - 2 * has["base"], 4 - has["base"] - has["skill"] * (1 + has["base"]), 3 - 2 * has["other"])
            names.append(f"{seed} without {' '.join(gone)}")
            amounts.append([seed, *(100 * value for value in has.values())])
            scores.append([value + shared + 0.02 * rng.normal() for value in loss])
    runs = write(folder / "runs.csv", ("run", "seed", *categories), names, np.array(amounts))
    return runs, write(folder / "scores.csv", ("run", *categories), names, np.array(scores))


def test_pair_out_runs_are_counted_kept_in_the_folder_and_confirm_edges(run: Run, tmp_path: Path) -> None:
    result = run("effects", *own(pair_outs(tmp_path)), "--out", tmp_path / "effects")
    assert result.code == 0, result.err
    assert "9 of 21 runs not used for the effects: changes base, skill together (3 runs)" in result.err
    assert "Pair-out runs: 6 interactions" in result.out
    rows = list(csv.DictReader((tmp_path / "effects" / "pair_interactions.csv").open()))
    value = {(row["source"], row["target"]): float(row["value"]) for row in rows}
    # By hand: skill gives itself 2 with base and 1 without; nothing else interacts.
    assert value["base", "skill"] == pytest.approx(1.0, abs=0.1)
    assert sum(abs(v) for v in value.values()) == pytest.approx(1.0, abs=0.3)
    common = ("taxonomy", "--effects", tmp_path / "effects", "--out", tmp_path / "taxonomy")
    required = run(*common, "--require-pair-out")
    assert required.code == 0, required.err
    assert "base → skill  +2" in required.out
    assert "confirmed by pair-out runs" in required.out


def test_confirmation_by_pair_out_runs_that_are_not_there_says_what_to_run(run: Run, tmp_path: Path) -> None:
    assert run("effects", *own(pair_outs(tmp_path)), "--out", tmp_path / "effects").code == 0
    assert run("effects", *own(removals(tmp_path)), "--out", tmp_path / "effects").code == 0
    assert not (tmp_path / "effects" / "pair_interactions.csv").exists()
    result = run("taxonomy", "--effects", tmp_path / "effects", "--out", tmp_path / "out", "--require-pair-out")
    assert result.code == 2
    assert "holds no pair_interactions.csv" in result.err
    matrix = tmp_path / "effects" / "delta.csv"
    alone = run("taxonomy", "--effects", matrix, "--out", tmp_path / "out", "--require-pair-out", "--threshold", "1")
    assert (alone.code, "needs a folder" in alone.err) == (2, True)


def test_paired_effects_of_mixtures_point_to_the_surface(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("effects", *own(files), "--out", tmp_path / "effects")
    assert result.code == 2
    assert "runs.csv" in result.err
    assert "--estimator surface" in result.err
    assert not (tmp_path / "effects").exists()


def test_surface_effects_of_mixtures_have_the_planted_signs_and_the_files_of_every_estimator(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    result = run("effects", *own(files), "--estimator", "surface", "--out", tmp_path / "effects")
    assert result.code == 0, result.err
    assert "2 targets × 3 sources from 40 runs by the surface (combined)" in result.out
    names = ("delta", "standard_error", "low", "high", "p_value", "q_value", "marginal", "gamma")
    assert all((tmp_path / "effects" / f"{name}.csv").is_file() for name in names)
    delta = cells(tmp_path / "effects" / "delta.csv")
    assert set(delta) == {(t, s) for t in TARGETS for s in SOURCES}
    # Each target's most helpful source, far from the others: data that lower a loss have a positive effect.
    assert max(SOURCES, key=lambda source: delta["exam", source]) == "web"
    assert max(SOURCES, key=lambda source: delta["chat", source]) == "code"
    assert delta["exam", "web"] > 0 > delta["exam", "code"]


def notes(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if line.startswith("beyond-iid: note: ")]


def halves_and_more(folder: Path, low: float, seeds: int = 2) -> tuple[Path, Path]:
    """Full two-level factorial of three sources around a baseline of 100 each."""
    names, amounts, scores = [], [], []
    for seed in range(seeds):
        for row in [(1.0, 1.0, 1.0), *product((low, 2 - low), repeat=3)]:
            names.append(f"{seed}{row}")
            amounts.append([seed, *(100 * value for value in row)])
            scores.append(losses(np.array(row) / 3) + 0.01 * np.random.default_rng(len(names)).normal(size=2))
    runs = write(folder / "runs.csv", ("run", "seed", *SOURCES), names, np.array(amounts))
    return runs, write(folder / "scores.csv", ("run", *TARGETS), names, np.array(scores))


def test_surface_effects_say_which_removals_extrapolate(run: Run, tmp_path: Path) -> None:
    common = ("--estimator", "surface", "--surface", "law", "--out", tmp_path / "effects")
    result = run("effects", *own(halves_and_more(tmp_path, 0.5)), *common)
    assert result.code == 0, result.err
    assert any("leaving out web, code, books lies far outside the runs" in note for note in notes(result))
    assert json.loads((tmp_path / "effects" / "summary.json").read_text())["extrapolated_removals"] == list(SOURCES)
    near = run("effects", *own(halves_and_more(tmp_path, 0.1)), *common)
    assert not any("outside the runs" in note or "seed" in note for note in notes(near))
    assert json.loads((tmp_path / "effects" / "summary.json").read_text())["extrapolated_removals"] == []


def test_a_surface_on_removals_alone_is_warned_of_and_a_single_seed_too(run: Run, tmp_path: Path) -> None:
    common = ("--estimator", "surface", "--surface", "law", "--out", tmp_path / "effects")
    result = run("effects", *own(removals(tmp_path)), *common)
    assert result.code == 0, result.err
    assert any("no run holds a part of what the baseline holds" in note for note in notes(result))
    one = own(halves_and_more(tmp_path, 0.5, seeds=1))
    found = notes(run("effects", *one, *common))
    assert any("all runs have the same seed" in note for note in found)
    assert not any("holds a part" in note for note in found)
    at = write(tmp_path / "at.csv", ("run", *SOURCES), ["n0"], np.full((1, 3), 110.0))
    predicted = run("predict", *one, "--surface", "law", "--at", at, "--out", tmp_path / "p.csv")
    assert (predicted.code, len(notes(predicted)), "same seed" in predicted.err) == (0, 1, True)


def test_predictions_are_near_the_planted_losses_and_their_intervals_hold_them(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    shares = mixtures(25, seed=3)
    result = run("predict", *own(files), "--at", new_mixtures(tmp_path, shares), "--out", tmp_path / "p.csv")
    assert result.code == 0, result.err
    assert "25 mixtures × 2 categories predicted from 40 runs" in result.out
    mean, low, high = np.moveaxis(predictions(tmp_path / "p.csv"), 2, 0)
    real = losses(shares) + np.random.default_rng(4).normal(0, NOISE, mean.shape)
    assert (low < mean).all()
    assert (mean < high).all()
    assert np.sqrt(np.mean((mean - losses(shares)) ** 2)) < 0.1 * losses(shares).std(axis=0).min()
    assert ((low <= real) & (real <= high)).mean() >= 0.8


def test_predictions_of_negated_scores_where_higher_is_better_are_the_negated_ones(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    at = new_mixtures(tmp_path, mixtures(4, seed=3))
    header, *rows = csv.reader(files[1].open())
    negated = write(
        tmp_path / "n.csv", tuple(header), [r[0] for r in rows], -np.array([r[1:] for r in rows], dtype=float)
    )
    assert run("predict", *own(files), "--at", at, "--out", tmp_path / "p.csv").code == 0
    arguments = ("--at", at, "--out", tmp_path / "q.csv", "--higher-is-better")
    assert run("predict", *own((files[0], negated)), *arguments).code == 0
    loss, score = predictions(tmp_path / "p.csv"), predictions(tmp_path / "q.csv")
    np.testing.assert_allclose(score, -loss[:, :, [0, 2, 1]], rtol=1e-9)


def test_predictions_warn_of_mixtures_far_outside_the_runs_by_name(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    at = new_mixtures(tmp_path, np.vstack([mixtures(3, seed=3), [50, 30, 20]]))
    result = run("predict", *own(files), "--at", at, "--out", tmp_path / "p.csv")
    assert result.code == 0, result.err
    assert "1 of 4 mixtures lie far outside the runs" in result.err
    assert "- n3: " in result.err
    assert "the total is 100, runs" in result.err


def test_predictions_at_other_columns_than_the_runs_name_them(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    at = new_mixtures(tmp_path, mixtures(2, seed=3), header=("run", "web", "Code", "books"))
    result = run("predict", *own(files), "--at", at, "--out", tmp_path / "p.csv")
    assert result.code == 2
    assert "no column 'code', a source of the runs" in result.err
    assert "column 'Code': not a source of the runs" in result.err
    assert not (tmp_path / "p.csv").exists()


def test_runs_that_an_estimator_refuses_are_named_by_their_file(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    for path in files:
        path.write_text("\n".join(path.read_text().splitlines()[:4]) + "\n")
    at = new_mixtures(tmp_path, mixtures(1, seed=3))
    surface = run("effects", *own(files), "--estimator", "surface", "--out", tmp_path / "effects")
    for result in (surface, run("predict", *own(files), "--at", at, "--out", tmp_path / "p.csv")):
        assert result.code == 2
        assert f"{files[0]}: No surface can be fitted:" in result.err
        assert "3 runs; a surface needs at least 6: add runs" in result.err
    runs, scores = removals(tmp_path)
    kept = [line for line in runs.read_text().splitlines() if not line.startswith("2web,")]
    runs.write_text("\n".join(kept) + "\n")
    scores.write_text("\n".join(line for line in scores.read_text().splitlines() if not line.startswith("2web,")))
    paired = run("effects", *own((runs, scores)), "--out", tmp_path / "effects")
    assert (paired.code, f"{runs}: The runs cannot be paired:" in paired.err) == (2, True)


def test_adaptive_runs_are_left_out_and_counted_unless_asked_for(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    header, *rows = csv.reader(files[0].open())
    marked = tmp_path / "marked.csv"
    lines = [[*row, "true" if k >= 30 else "false"] for k, row in enumerate(rows)]
    with marked.open("w", newline="") as file:
        csv.writer(file).writerows([[*header, "adaptive"], *lines])
    kept = write(
        tmp_path / "kept.csv", tuple(header), [r[0] for r in rows[:30]], np.array([r[1:] for r in rows[:30]], float)
    )
    scored = tmp_path / "kept_scores.csv"
    scored.write_text("\n".join(files[1].read_text().splitlines()[:31]) + "\n")
    at = new_mixtures(tmp_path, mixtures(3, seed=3))

    def predicted(name: str, pair: tuple[Path, Path], *more: str) -> tuple[np.ndarray, str]:
        result = run("predict", *own(pair), "--at", at, "--out", tmp_path / name, *more)
        assert result.code == 0, result.err
        return predictions(tmp_path / name), result.out

    without, said = predicted("a.csv", (marked, files[1]))
    assert "10 of 40 runs were chosen after seeing earlier results and are left out" in said
    np.testing.assert_array_equal(without, predicted("b.csv", (kept, scored))[0])
    included, said = predicted("c.csv", (marked, files[1]), "--include-adaptive")
    assert "10 of 40 runs were chosen after seeing earlier results; they are used" in said
    np.testing.assert_array_equal(included, predicted("d.csv", files)[0])


@pytest.mark.parametrize("name", ["regmix", "olmix"])
def test_files_of_other_projects_give_the_predictions_of_the_plain_ones(
    name: str, run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    before, after, key = {"regmix": ("train_the_pile_", "", "index"), "olmix": ("", "", "run_id")}[name]
    metric = {"regmix": ("metric/the_pile_", "_val_loss"), "olmix": ("", "")}[name]
    (_, *rows), (_, *scored) = csv.reader(files[0].open()), csv.reader(files[1].open())
    columns = (key, *(f"{before}{s}{after}" for s in SOURCES))
    numbers, values = (np.array([row[1:] for row in table], dtype=float) for table in (rows, scored))
    names = [row[0] for row in rows]
    theirs = (
        write(tmp_path / "their_runs.csv", columns, names, numbers),
        write(tmp_path / "their_scores.csv", (key, *(t.join(metric) for t in TARGETS)), names, values),
    )
    shares = mixtures(3, seed=3)
    at = new_mixtures(tmp_path, shares)
    assert run("predict", *own(files), "--at", at, "--out", tmp_path / "p.csv").code == 0
    at = new_mixtures(tmp_path, shares, header=columns)
    result = run("predict", *own(theirs), "--at", at, "--out", tmp_path / "q.csv", "--format", name)
    assert result.code == 0, result.err
    assert (tmp_path / "p.csv").read_text() == (tmp_path / "q.csv").read_text()


def test_surface_effects_around_a_baseline_in_shares_or_amounts_are_the_same_and_differ_from_elsewhere(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    def delta(name: str, text: str) -> dict[tuple[str, str], float]:
        (tmp_path / f"{name}.csv").write_text(text)
        arguments = ("--estimator", "surface", "--baseline", tmp_path / f"{name}.csv", "--out", tmp_path / name)
        result = run("effects", *own(files), *arguments)
        assert result.code == 0, result.err
        return cells(tmp_path / name / "delta.csv")

    shares = delta("shares", "category,share\ncode,0.2\nweb,0.5\nbooks,0.3\n")
    assert shares == delta("amounts", "category,amount\nweb,0.5\ncode,0.2\nbooks,0.3\n")
    assert shares != delta("elsewhere", "category,share\nweb,0.2\ncode,0.5\nbooks,0.3\n")


def test_baseline_with_an_unknown_category_or_a_paired_estimate_is_refused(
    run: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "b.csv").write_text("category,share\nweb,0.5\ncode,0.3\nwiki,0.2\n")
    arguments = ("effects", *own(files), "--baseline", tmp_path / "b.csv", "--out", tmp_path / "effects")
    result = run(*arguments, "--estimator", "surface")
    assert result.code == 2
    assert "line 4: category 'wiki' is not a source of the runs" in result.err
    result = run(*arguments)
    assert result.code == 2
    assert "--baseline goes with --estimator surface" in result.err
