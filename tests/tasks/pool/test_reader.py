import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.pool.config import FilesSource, HubSource
from tasks.pool.instruction import UNTAGGED, Pool
from tasks.pool.reader import read_pool
from tasks.pool.rows import BATCH_ROWS, count_rows


def row(text: str, category: str = "math", **more: object) -> dict:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": f"answer to {text}"}]
    return {"id": f"id-{text}", "messages": messages, "category": category, **more}


def jsonl(path: Path, rows: list) -> Path:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(*paths: Path, **options: object) -> Pool:
    return read_pool(FilesSource(paths=tuple(map(str, paths)), **options))


def ids(pool: Pool) -> list[str]:
    return [i.id for i in pool.instructions]


def problems(pool: Pool) -> list[tuple[int, str]]:
    return [(r.line, r.kind) for r in pool.rejected]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "a.jsonl.gz"])
def test_read_pool_json_lines_keeps_reading_order(tmp_path: Path, name: str) -> None:
    pool = read(jsonl(tmp_path / name, [row("b", "text"), row("a"), "", row("c")]))
    assert ids(pool) == ["id-b", "id-a", "id-c"]
    assert pool.counts() == {"math": 2, "text": 1}
    assert pool.rejected == ()


def test_read_pool_parquet_equals_json_lines_across_batches(tmp_path: Path) -> None:
    rows = [row(str(n), f"c{n % 3}", extra=n) for n in range(BATCH_ROWS + 10)]
    rows[BATCH_ROWS + 4]["category"] = None
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    from_parquet = read(tmp_path / "a.parquet")
    from_json = read(jsonl(tmp_path / "a.jsonl", rows))
    assert from_parquet.instructions == from_json.instructions
    assert problems(from_parquet) == problems(from_json) == [(BATCH_ROWS + 5, "no category")]


def test_read_pool_three_formats_of_one_conversation_are_duplicates(tmp_path: Path) -> None:
    chat = {**row("2+2?"), "id": "chat"}
    alpaca = {"instruction": "2+2?", "input": "", "output": "answer to 2+2?", "category": "math"}
    turns = [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "answer to 2+2?"}]
    pool = read(jsonl(tmp_path / "a.jsonl", [chat, alpaca, {"conversations": turns, "category": "other"}]))
    assert ids(pool) == ["chat"]
    assert [r.reason for r in pool.rejected] == ['duplicate content: the same conversation as "chat"'] * 2


def test_read_pool_bad_rows_are_listed_with_line_and_reason(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        [
            row("good"),
            '{"id": "cut off", "messages": [',
            "[1, 2]",
            {**row("x"), "category": None},
            row("good"),
            {**row("other"), "id": "id-good"},
            "[" * 100_000,
            '{"id": ' + "9" * 5000 + "}",
            row("last"),
        ],
    )
    path.write_bytes(path.read_bytes() + b'{"id": "\xff"}\n')
    pool = read(path)
    assert ids(pool) == ["id-good", "id-last"]
    assert problems(pool) == [
        (2, "broken JSON"),
        (3, "wrong type"),
        (4, "no category"),
        (5, "duplicate content"),
        (6, "duplicate id"),
        (7, "broken JSON"),
        (8, "broken JSON"),
        (10, "broken text"),
    ]
    assert {r.file for r in pool.rejected} == {str(path)}
    assert "a.jsonl, line 1" in pool.rejected[4].reason


def test_read_pool_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(row("a")).encode())
    assert ids(read(path)) == ["id-a"]


def test_read_pool_patterns_give_each_file_once_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / "in").mkdir(exist_ok=True)
        jsonl(tmp_path / "in" / f"{name}.jsonl", [row(name)])
    assert ids(read(tmp_path / "in" / "c.jsonl", tmp_path / "**" / "*.jsonl")) == ["id-c", "id-a", "id-b"]
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert ids(read_pool(FilesSource(paths=("../in/[ab].jsonl",)))) == ["id-a", "id-b"]


def test_read_pool_selected_categories_reject_the_others(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [row("a"), row("b", "text"), row("c", "code")])
    pool = read(path, categories=("math", "code"))
    assert ids(pool) == ["id-a", "id-c"]
    assert [r.reason for r in pool.rejected] == ['not selected: category "text"']
    with pytest.raises(InputError, match=r'no row has the category "maths".*categories found: code, math, text'):
        read(path, categories=("maths",))


def test_read_pool_limit_keeps_same_rows_in_any_file_order(tmp_path: Path) -> None:
    rows = [row(str(n), "even" if n % 2 == 0 else "odd") for n in range(60)]
    pool = read(jsonl(tmp_path / "a.jsonl", rows), max_per_category=7)
    backwards = read(jsonl(tmp_path / "b.jsonl", rows[::-1]), max_per_category=7)
    assert pool.counts() == {"even": 7, "odd": 7}
    assert ids(pool) == ids(backwards)[::-1] == [i for i in (r["id"] for r in rows) if i in set(ids(pool))]
    assert len(pool.rejected) == 46
    lines = [r.line for r in pool.rejected]
    assert lines == sorted(set(range(1, 61)) - {int(i.removeprefix("id-")) + 1 for i in ids(pool)})


def test_read_pool_progress_counts_all_rows(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [row(str(n)) for n in range(2500)])
    seen: list[int] = []
    read_pool(FilesSource(paths=(str(path),)), seen.append)
    assert seen == [1000, 2000, 2500]


def test_read_pool_real_instructions_are_all_kept(shared_data: Path) -> None:
    pool = read(shared_data / "realpool" / "train.jsonl.gz")
    assert len(pool.instructions) == 10_708
    assert len(pool.categories) == 12
    assert pool.rejected == ()


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "a.jsonl: holds no rows"),
        ("a.jsonl", b"\n \n", "holds no rows"),
        ("a.jsonl.gz", b"", "holds no rows"),
        ("a.jsonl", b"not json\n{]\n", r"no line is a JSON object \(line 1: broken JSON"),
        ("a.json", b'[\n{"a": 1},\n{"a": 2}\n]\n', "is a JSON array.*jq -c"),
        ("a.json", b'\xef\xbb\xbf\n[{"a": 1},\n{"a": 2}]', "is a JSON array.*jq -c"),
        ("a.json", b'[{"a": 1}, {"a": 2}]', "no line is a JSON object.*jq -c"),
        ("a.jsonl", b"PK\x03\x04\x00\x00", "is a binary file"),
        ("a.jsonl", '{"a": "b"}\n'.encode("utf-16"), "UTF-16"),
        ("a.jsonl", gzip.compress(b"{}\n", mtime=0), "Rename it to a.jsonl.gz"),
        ("a.jsonl.gz", b"{}\n", "is no gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9000, mtime=0)[:-20], r"cannot be unpacked after line \d+"),
        ("a.jsonl.gz", b"\x1f\x8b\x08broken and no more", "cannot be unpacked"),
        ("a.parquet", b"{}\n", "cannot be read as Parquet"),
        ("a.csv", b"id,category\n", "unknown kind of file; expected JSON lines"),
        ("a.jsonl", b'{"id": 1, "text": "x"}\n', "no row has messages.*fields found: id, text"),
        ("a.jsonl", b'{"messages": 1, "label": "x"}\n', 'no row has the field "category".*found: label, messages.*Set'),
        ("a.jsonl", b'{"messages": 1, "category": "x"}\n' * 3, r"none of 3 rows can be used: wrong type \(3\). First"),
    ],
)
def test_read_pool_broken_file_is_named_with_what_was_expected(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = write_bytes(tmp_path / name, data)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_read_pool_one_wrong_file_among_good_ones_is_named(tmp_path: Path) -> None:
    good = jsonl(tmp_path / "good.jsonl", [row("a")])
    wrong = jsonl(tmp_path / "wrong.jsonl", [{"messages": [], "label": "math"}])
    with pytest.raises(InputError, match=r'wrong.jsonl: no row has the field "category"'):
        read(good, wrong)


def test_read_pool_set_format_names_the_lacking_field(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='field "conversations" that the format sharegpt needs'):
        read(jsonl(tmp_path / "a.jsonl", [row("a")]), format="sharegpt")


def test_read_pool_missing_file_folder_and_pattern_are_named(tmp_path: Path) -> None:
    for path, message in [("none.jsonl", "no such file"), ("*.jsonl", "no such file"), ("**x", "Correct the pattern")]:
        with pytest.raises(InputError, match=message):
            read(tmp_path / path)
    with pytest.raises(InputError, match="is a folder; expected files"):
        read(tmp_path)


def test_read_pool_parquet_without_needed_columns_names_those_found(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"prompt": "a", "answer": "b"}]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet: no row has messages.*fields found: answer, prompt"):
        read(tmp_path / "a.parquet")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")


def test_read_pool_huggingface_saved_and_streamed_folder_equal_files(tmp_path: Path, offline: None) -> None:
    import datasets

    rows = [row(str(n), f"c{n % 2}") for n in range(20)]
    expected = read(jsonl(tmp_path / "a.jsonl", rows)).instructions
    data = datasets.Dataset.from_list(rows)
    data.save_to_disk(str(tmp_path / "set"))
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(str(tmp_path / "dict"))
    (tmp_path / "folder").mkdir()
    jsonl(tmp_path / "folder" / "train.jsonl", rows)
    for name in ("set", "dict", "folder"):
        assert read_pool(HubSource(dataset=str(tmp_path / name))).instructions == expected
    assert len(read_pool(HubSource(dataset=str(tmp_path / "dict"), split="test")).instructions) == 1
    with pytest.raises(InputError, match=r"split dev.*holds the splits train, test"):
        read_pool(HubSource(dataset=str(tmp_path / "dict"), split="dev"))
    with pytest.raises(InputError, match=r"folder.*split dev.*cannot be read after row 0"):
        read_pool(HubSource(dataset=str(tmp_path / "folder"), split="dev"))


def test_read_pool_huggingface_absent_data_set_is_named(tmp_path: Path, offline: None) -> None:
    with pytest.raises(InputError, match=r"absent.*cannot be read after row 0.*Check name"):
        read_pool(HubSource(dataset=str(tmp_path / "absent")))


def test_read_pool_untagged_keeps_rows_without_category(tmp_path: Path) -> None:
    bare = {key: value for key, value in row("b").items() if key != "category"}
    path = jsonl(tmp_path / "a.jsonl", [bare, row("a", "text"), {**row("c"), "category": ""}])
    pool = read_pool(FilesSource(paths=(str(path),)), untagged=True)
    assert [(i.id, i.category) for i in pool.instructions] == [
        ("id-b", UNTAGGED),
        ("id-a", "text"),
        ("id-c", UNTAGGED),
    ]
    none = jsonl(tmp_path / "b.jsonl", [bare])
    assert read_pool(FilesSource(paths=(str(none),)), untagged=True).counts() == {UNTAGGED: 1}
    with pytest.raises(InputError, match="category"):
        read_pool(FilesSource(paths=(str(none),)))


@pytest.mark.parametrize(
    ("name", "text", "rows"), [("a.jsonl", "{}\n{}\n", 2), ("b.jsonl", "{}\n{}", 2), ("c.jsonl", "", 0)]
)
def test_count_rows_counts_lines_with_and_without_a_last_line_feed(
    tmp_path: Path, name: str, text: str, rows: int
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert count_rows(tmp_path / name) == count_rows(tmp_path / f"{name}.gz") == rows


def test_count_rows_of_parquet_reads_its_footer(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "a.parquet")
    assert count_rows(tmp_path / "a.parquet") == 3
    (tmp_path / "b.parquet").write_text("no")
    with pytest.raises(InputError, match=r"b\.parquet: cannot be read"):
        count_rows(tmp_path / "b.parquet")
