from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.effects.effect_files import read_matching_matrix, read_matrix
from tasks.effects.effects_folder import read_effects, write_effects
from tasks.effects.pair_out import PairInteractions
from tasks.effects.pair_out_file import read_interactions, write_interactions
from tasks.effects.paired import effects_from_differences
from tasks.errors import InputError


def test_write_effects_then_read_gives_every_matrix_exactly(tmp_path: Path, planted_world: Callable) -> None:
    rng = np.random.default_rng(0)
    _, paired = planted_world(rng, 5, 3, "equal")
    paired.difference[:, 2, 2] = rng.normal(0, 0.05, 3)
    effects = effects_from_differences(paired)
    write_effects(effects, tmp_path / "out")
    for name in ("delta", "standard_error", "low", "high", "p_value", "q_value", "marginal"):
        targets, sources, values = read_matrix(tmp_path / "out" / f"{name}.csv")
        assert (targets, sources) == (effects.targets, effects.sources)
        np.testing.assert_array_equal(values, getattr(effects, name))
    for name in ("gamma", "gamma_low", "gamma_high"):
        np.testing.assert_array_equal(read_matrix(tmp_path / "out" / f"{name}.csv", True)[2], getattr(effects, name))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["identified"] == dict(zip(effects.targets, effects.identified.tolist(), strict=True))
    assert summary["identified"]["c2"] is False
    assert summary["seeds"] == 3
    assert 0 <= summary["main_effect_share"] <= 1


def test_an_effects_folder_reads_back_bit_by_bit_with_its_draws(tmp_path: Path, planted_world: Callable) -> None:
    effects = effects_from_differences(planted_world(np.random.default_rng(5), 4, 3, "mixed")[1])
    write_effects(effects, tmp_path / "out")
    again = read_effects(tmp_path / "out")
    for field in dataclasses.fields(effects):
        before, after = getattr(effects, field.name), getattr(again, field.name)
        if field.name == "errors":
            before, after = (np.stack([e.delta, e.marginal]) for e in (before, after))
        np.testing.assert_array_equal(before, after, err_msg=field.name)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("summary.json", b"{}", "summary.json: not as"),
        ("draws.npz", b"not a zip", "draws.npz: cannot be read"),
        ("delta.csv", b"target,c0\nc0,1\n", "delta.csv"),
    ],
)
def test_a_damaged_effects_folder_is_refused_naming_the_file(
    tmp_path: Path, planted_world: Callable, name: str, content: bytes, expected: str
) -> None:
    write_effects(effects_from_differences(planted_world(np.random.default_rng(5), 4, 3, "mixed")[1]), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=expected):
        read_effects(tmp_path)


def test_pair_interactions_read_back_as_written_and_go_where_there_are_none(tmp_path: Path) -> None:
    numbers = np.array([0.1 + 0.2, -1e-17])
    found = PairInteractions(
        ("a, b", "c"), ("d", 'e "f"'), "nats", numbers, numbers**2, numbers + 3, numbers / 3, np.array([3, 5])
    )
    write_interactions(tmp_path, found)
    again = read_interactions(tmp_path)
    assert again is not None
    for field in dataclasses.fields(found):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(found, field.name), err_msg=field.name)
    path = tmp_path / "pair_interactions.csv"
    path.write_text(path.read_text().replace(repr(float(numbers[0])), "x", 1))
    with pytest.raises(InputError, match="line 2, column 'value': is 'x'"):
        read_interactions(tmp_path)
    write_interactions(tmp_path, None)
    assert read_interactions(tmp_path) is None


def test_read_matrix_of_parquet_equals_csv(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("target,a,b\na,1,0.25\nb,-0.5,1\nc,0,2e-3\n")
    pd.read_csv(tmp_path / "g.csv").to_parquet(tmp_path / "g.parquet")
    csv, parquet = read_matrix(tmp_path / "g.csv"), read_matrix(tmp_path / "g.parquet")
    assert csv[:2] == parquet[:2] == (("a", "b", "c"), ("a", "b"))
    np.testing.assert_array_equal(csv[2], parquet[2])


def test_read_matrix_with_a_nameless_corner_and_byte_order_mark_reads_on(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("\ufeff,a\na,1\n\n", encoding="utf-8")
    assert read_matrix(tmp_path / "g.csv")[:2] == (("a",), ("a",))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("t,a,b\na,1,nan\nb,x,1\n", ["row 'a', column 'b': is nan", "row 'b', column 'a': is 'x'"]),
        ("t,a,b\na,1,\nb,0,inf\n", ["row 'a', column 'b': is blank", "row 'b', column 'b': is inf"]),
        ("t,a,b\na,1,0\na,0,1\n", ["row 'a': appears 2 times"]),
        ("t,a,a\na,1,0\n", ["column 'a': appears 2 times"]),
        ("t,a,\na,1,0\n", ["column 3: no name in the header"]),
        ("t,a\n,1\n", ["line 2: no target name"]),
        ("t,a\n", ["no targets"]),
        ("t\na\n", ["no sources"]),
        ("t,a,b\na,,\nb,0,1\n", ["row 'a', column 'a': is blank", "row 'a', column 'b': is blank"]),
    ],
)
def test_read_matrix_of_faulty_files_names_rows_and_columns(tmp_path: Path, content: str, expected: list[str]) -> None:
    (tmp_path / "g.csv").write_text(content)
    with pytest.raises(InputError) as error:
        read_matrix(tmp_path / "g.csv")
    assert all(text in str(error.value) for text in [*expected, "g.csv"])


def test_read_matrix_with_blank_rows_allowed_refuses_rows_blank_in_part(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("t,a,b\na,,\nb,,1\n")
    with pytest.raises(InputError) as error:
        read_matrix(tmp_path / "g.csv", blank_rows=True)
    assert "row 'b', column 'a'" in str(error.value)
    assert "row 'a'" not in str(error.value)


def test_read_matching_matrix_in_another_order_is_put_in_order(tmp_path: Path) -> None:
    (tmp_path / "se.csv").write_text("t,b,a\nb,1,2\na,3,4\n")
    np.testing.assert_array_equal(
        read_matching_matrix(tmp_path / "se.csv", ("a", "b"), ("a", "b")), [[4.0, 3.0], [2.0, 1.0]]
    )
    with pytest.raises(InputError, match="row 'c': missing"):
        read_matching_matrix(tmp_path / "se.csv", ("a", "b", "c"), ("a", "b"))
