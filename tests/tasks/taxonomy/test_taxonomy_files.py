from __future__ import annotations

import math
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.taxonomy.taxonomy import Edge, Role, Taxonomy
from tasks.taxonomy.taxonomy_files import read_taxonomy, write_roles, write_taxonomy

TAXONOMY = Taxonomy(
    categories=("a", "b", "c"),
    edges=(Edge("a", "b", 0.1 + 0.2, 0.01, 0.02, 0.9, 1 / 3, True),),
    reduced=(("a", "b"),),
    removed=(Edge("b", "a", 0.5, 0.03, 0.04, 0.25),),
    levels=(("a", 0), ("b", 1), ("c", 0)),
    roles=(("a", Role.BASE), ("b", Role.DEPENDENT), ("c", Role.MIDDLE)),
    removed_exactly=False,
    unconfirmed=(Edge("c", "a", 0.5, 0.01, 0.02, 1.0, 0.3, False), Edge("c", "b", 0.5, 0.01, 0.02, 1.0)),
)


def test_taxonomy_written_and_read_is_the_same(tmp_path: Path) -> None:
    write_taxonomy(TAXONOMY, tmp_path / "t.json")
    assert read_taxonomy(tmp_path / "t.json") == TAXONOMY


def test_taxonomy_with_unknown_stability_comes_back_unknown(tmp_path: Path) -> None:
    edge = Edge("a", "b", 1.0, math.nan, math.nan, math.nan)
    write_taxonomy(Taxonomy(("a", "b"), (edge,), (("a", "b"),), (), (("a", 0), ("b", 1)), ()), tmp_path / "t.json")
    assert "NaN" not in (tmp_path / "t.json").read_text()
    back = read_taxonomy(tmp_path / "t.json").edges[0]
    assert math.isnan(back.q_value)
    assert math.isnan(back.stability)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"categories": 3}'])
def test_read_taxonomy_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError, match="not a taxonomy"):
        read_taxonomy(tmp_path / "t.json")


def test_read_taxonomy_of_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_taxonomy(tmp_path / "t.json")


def test_roles_are_written_one_line_a_category(tmp_path: Path) -> None:
    write_roles(TAXONOMY, tmp_path / "roles.csv")
    assert (tmp_path / "roles.csv").read_text() == "category,role,level\na,base,0\nb,dependent,1\nc,middle,0\n"
