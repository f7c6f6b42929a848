import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.interventions.manifest import Manifest
from tasks.interventions.manifest_file import read_manifest, write_manifest

entries = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 9)), max_size=8)
MANIFEST = Manifest(("b", "a", "b"), (0, 0, 1))


@settings(deadline=None)
@given(rows=entries)
def test_manifest_any_ids_survive_the_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    manifest = Manifest(tuple(i for i, _ in rows), tuple(s for _, s in rows))
    path = tmp_path_factory.getbasetemp() / "manifest.jsonl"
    write_manifest(path, manifest)
    assert read_manifest(path) == manifest


def test_write_manifest_has_header_and_one_line_an_example(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, MANIFEST)
    header, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert header == {"manifest": 1, "length": 3, "sha256": MANIFEST.sha256}
    assert lines == [{"stage": 0, "id": "b"}, {"stage": 0, "id": "a"}, {"stage": 1, "id": "b"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.replace('"id":"a"', '"id":"c"'), "was changed after it was written"),
        (lambda s: s.replace('{"stage":1', '{"stage":0'), "was changed after it was written"),
        (lambda s: s.rsplit("\n", 2)[0] + "\n", "holds 2 examples, its first line promises 3"),
        (lambda s: s + '{"stage":1,"id":"x"}\n', "holds 4 examples"),
        (lambda s: s[:-5], "line 4: broken JSON"),
        (lambda s: s.replace('"id":"a"', '"id":7'), "line 3: expected"),
        (lambda s: s.replace('{"stage":1', '{"stage":true'), "line 4: expected"),
        (lambda s: s.replace('{"stage":0,"id":"a"}', "[]"), "line 3: expected a JSON object"),
        (lambda s: s.split("\n", 1)[1], "line 1: expected the header"),
        (lambda s: s.replace('"manifest":1', '"manifest":2'), "line 1: expected the header"),
        (lambda s: "", "line 1: broken JSON"),
    ],
)
def test_read_manifest_damage_is_named(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest(path, MANIFEST)
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_manifest(path)


def test_read_manifest_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.jsonl: cannot be read"):
        read_manifest(tmp_path / "none.jsonl")
