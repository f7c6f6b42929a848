"""Blocks of rows → their conversations as one text with bounds; what Arrow cannot vouch for goes row by row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.hygiene.lines import RawBlock
from tasks.pool.config import RowSource
from tasks.pool.formats import RowError, to_instruction

if TYPE_CHECKING:
    import pyarrow as pa

ROLES = ("system", "user", "assistant")
"""A message's role is stored as its place in this list."""
UNTAGGED = ""
"""The category of rows that have none."""

_SYSTEM, _USER = 0, 1
_OTHER_FORMATS = ("conversations", "instruction")


@dataclass(frozen=True)
class Conversations:
    """The conversations of a block of n rows with m messages in t bytes of text.

    Attributes:
        text: UTF-8 of all messages, one after the other, uint8 (t,).
        message_bounds: where each message begins in the text, and the end, (m + 1,).
        row_bounds: which messages are a row's, (n + 1,); a row that cannot be used has none.
        roles: place in ROLES, int8 (m,).
        category: each row's place in `names`, (n,).
        names: categories of the block; UNTAGGED for rows without one.
        reasons: why a row cannot be used, by its place in the block.
        ids: each usable row's, (n,); "" where it brings none.
    """

    text: NDArray[np.uint8]
    message_bounds: NDArray[np.int64]
    row_bounds: NDArray[np.int64]
    roles: NDArray[np.int8]
    category: NDArray[np.int32]
    names: tuple[str, ...]
    reasons: Mapping[int, str]
    ids: Sequence[str]

    @property
    def byte_bounds(self) -> NDArray[np.int64]:
        """Where each row's text begins, and the end, (n + 1,)."""
        return self.message_bounds[self.row_bounds]

    @property
    def answer_starts(self) -> NDArray[np.int64]:
        """Where each row's last message begins, (n,); for a row without messages, where its text would."""
        last = np.maximum(self.row_bounds[1:] - 1, self.row_bounds[:-1])
        return self.message_bounds[last]


@dataclass(frozen=True)
class _Flat:
    """Messages in any order: whose they are, and where in the text."""

    text: NDArray[np.uint8]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    roles: NDArray[np.int8]


def conversations(block: RawBlock, source: RowSource) -> Conversations:
    """Read a block's rows as `tasks.pool.formats.to_instruction` does, except that a category may be missing.

    Chat rows are parsed and checked as whole columns. Every row that is not surely sound this way is read by
    `to_instruction` itself, whose reasons are given.
    """
    count = len(block.numbers)
    arrow = _columns(block, source)
    names: dict[str, int] = {UNTAGGED: 0}
    category = np.zeros(count, dtype=np.int32)
    if arrow is None:
        flat, sound = _nothing(), np.zeros(count, dtype=bool)
    else:
        flat, sound = _checked(arrow["messages"], source, arrow)
        category = _codes(arrow["category"], names)
        odd = [code for name, code in names.items() if name != name.strip() or not name.isprintable()]
        sound &= ~np.isin(category, odd)
    ids = [""] * count if arrow is None else [name or "" for name in arrow["id"].to_pylist()]
    if sound.all():
        bounds = np.concatenate([flat.starts, flat.ends[-1:]]) if len(flat.rows) else np.zeros(1, dtype=np.int64)
        found = flat.text, bounds, _row_bounds(flat.rows, count), flat.roles, category, tuple(names)
        return Conversations(*found, {}, ids)
    keep = sound[flat.rows]
    flat = _Flat(flat.text, flat.rows[keep], flat.starts[keep], flat.ends[keep], flat.roles[keep])
    reasons = {}
    extra: list[tuple[int, int, bytes]] = []
    for row in np.flatnonzero(~sound).tolist():
        try:
            messages, name, ids[row] = _one_row(block, row, source)
            extra += [(row, ROLES.index(role), content.encode()) for role, content in messages]
        except RowError as error:
            reasons[row], name, ids[row] = str(error), UNTAGGED, ""
        category[row] = names.setdefault(name, len(names))
    text, bounds, rows, roles = _in_row_order(flat, extra)
    found = text, bounds, _row_bounds(rows, count), roles, category, tuple(names)
    return Conversations(*found, reasons, ids)


def _codes(column: pa.Array, names: dict[str, int]) -> NDArray[np.int32]:
    """Place of each row's category in `names`, which grows."""
    import pyarrow.compute as pc

    encoded = pc.fill_null(column, UNTAGGED).dictionary_encode()
    places = [names.setdefault(name, len(names)) for name in encoded.dictionary.to_pylist()]
    return np.array(places, dtype=np.int32)[encoded.indices.to_numpy()]


def _one_row(block: RawBlock, row: int, source: RowSource) -> tuple[tuple[tuple[str, str], ...], str, str]:
    """Messages, category and id; "" where the row brings no category or id."""
    if block.batch is None:
        value = _parsed(block.lines[row], first=block.numbers[row] == 1)
    else:
        value = block.batch.slice(row, 1).to_pylist()[0]
    category = value.get(source.category_field)
    untagged = category is None or category == ""
    instruction = to_instruction({**value, source.category_field: "-"} if untagged else value, source)
    identifier = "" if value.get(source.id_field) in (None, "") else instruction.id
    return instruction.messages, UNTAGGED if untagged else instruction.category, identifier


def _parsed(line: bytes, first: bool) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8-sig" if first else "utf-8"))
    except UnicodeDecodeError as error:
        raise RowError(f"broken text: not UTF-8 at byte {error.start + 1} of the line") from None
    except json.JSONDecodeError as error:
        raise RowError(f"broken JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:
        raise RowError(f"broken JSON: {error}") from None
    if not isinstance(value, dict):
        raise RowError(f"wrong type: the line is a {type(value).__name__}, expected an object")
    return value


def _columns(block: RawBlock, source: RowSource) -> dict[str, pa.Array] | None:
    """The chat columns of a block as Arrow arrays; None where Arrow cannot read them as such."""
    import pyarrow as pa

    if source.format not in ("auto", "chat"):
        return None
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    turn = pa.struct([("from", pa.string()), ("value", pa.string())])
    wanted = {
        "messages": pa.list_(message),
        source.category_field: pa.string(),
        source.source_field: pa.string(),
        "conversations": pa.list_(turn),
        "instruction": pa.string(),
    }
    # Ids may be texts or numbers, or of a kind that only a reading row by row understands: then they are not looked at.
    kinds = (None,) if source.id_field in wanted else (pa.string(), pa.int64(), None)
    for kind in kinds:
        table = _table(block, wanted if kind is None else {**wanted, source.id_field: kind})
        if table is not None:
            break
    else:
        return None
    if table.num_rows != len(block.numbers) or "messages" not in table.column_names:
        return None
    none = pa.nulls(table.num_rows, pa.string())
    columns = {name: _joined(table[name]) for name in table.column_names}
    return {
        "category": columns.get(source.category_field, none),
        "messages": columns["messages"],
        "id": columns.get(source.id_field, none).cast(pa.string()),
        **{name: columns.get(name, none) for name in _OTHER_FORMATS},
    }


def _table(block: RawBlock, wanted: Mapping[str, pa.DataType]) -> pa.Table | None:
    """Columns of these types; None where the rows hold something else."""
    import pyarrow as pa
    import pyarrow.json as pj

    try:
        if block.batch is None:
            if not block.data.isascii():
                block.data.decode()  # Arrow does not check that text is UTF-8
            return pj.read_json(
                pa.BufferReader(block.data),
                pj.ReadOptions(block_size=1 << 20),
                pj.ParseOptions(explicit_schema=pa.schema(wanted.items()), unexpected_field_behavior="ignore"),
            )
        names = [name for name in block.batch.schema.names if name in wanted]
        return pa.Table.from_batches([block.batch]).select(names).cast(pa.schema([(n, wanted[n]) for n in names]))
    except (pa.ArrowException, UnicodeDecodeError):
        return None


def _joined(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.nulls(0, column.type)])


def _checked(
    messages: pa.ListArray, source: RowSource, arrow: Mapping[str, pa.Array]
) -> tuple[_Flat, NDArray[np.bool_]]:
    """The messages, and which rows are surely sound: known roles in turn, the assistant last, no blank message."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = len(messages)
    lengths = _numbers(pc.fill_null(messages.value_lengths(), 0))
    flat = messages.flatten()
    rows = np.repeat(np.arange(count), lengths)
    first = np.cumsum(lengths) - lengths
    role = _numbers(pc.fill_null(pc.index_in(flat.field("role"), pa.array(ROLES)), -1)).astype(np.int8)
    content = flat.field("content")
    valid = np.asarray(pc.and_(flat.is_valid(), content.is_valid()).to_numpy(zero_copy_only=False), dtype=bool)
    offsets = np.frombuffer(content.buffers()[1], dtype=np.int32)[content.offset : content.offset + len(content) + 1]
    data = content.buffers()[2]
    text = np.zeros(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    offsets = offsets.astype(np.int64)
    text, offsets = text[offsets[0] : offsets[-1]], offsets - offsets[0]

    has = lengths > 0
    system = np.zeros(count, dtype=np.int64)
    system[has] = role[first[has]] == _SYSTEM
    place = np.arange(len(rows)) - first[rows] - system[rows]
    expected = np.where(place < 0, _SYSTEM, _USER + place % 2)
    good = valid & (role == expected) & ((place < 0) | _holds_text(content, text, offsets))
    turns = lengths - system
    sound = (turns >= 2) & (turns % 2 == 0) & (np.bincount(rows[~good], minlength=count) == 0)
    if source.format == "auto":
        for name in _OTHER_FORMATS:
            sound &= np.asarray(arrow[name].is_null().to_numpy(zero_copy_only=False), dtype=bool)
    return _Flat(text, rows, offsets[:-1], offsets[1:], role), sound


def _holds_text(content: pa.StringArray, text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which messages surely hold more than white space."""
    import pyarrow.compute as pc

    lengths = np.diff(offsets)
    head = np.zeros(len(lengths), dtype=np.uint8)
    head[lengths > 0] = text[offsets[:-1][lengths > 0]]
    sure = (head > ord(" ")) & (head < 0x80)
    rest = np.flatnonzero(~sure & (lengths > 0))
    if len(rest):
        trimmed = pc.utf8_trim_whitespace(content.take(rest))
        # What only Python takes for white space begins with a control character: left to the reading row by row.
        sure[rest] = [bool(value) and value[0] > " " for value in trimmed.to_pylist()]
    return sure


def _numbers(array: pa.Array) -> NDArray[np.int64]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def _nothing() -> _Flat:
    none = np.zeros(0, dtype=np.int64)
    return _Flat(np.zeros(0, dtype=np.uint8), none, none, none, np.zeros(0, dtype=np.int8))


def _row_bounds(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))]).astype(np.int64)


def _in_row_order(
    flat: _Flat, extra: list[tuple[int, int, bytes]]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """Messages read either way in the order of their rows: text, message bounds, rows, roles."""
    lengths = np.array([len(content) for _, _, content in extra], dtype=np.int64)
    ends = len(flat.text) + np.cumsum(lengths)
    text = np.concatenate([flat.text, np.frombuffer(b"".join(c for _, _, c in extra), dtype=np.uint8)])
    rows = np.concatenate([flat.rows, np.array([row for row, _, _ in extra], dtype=np.int64)])
    starts = np.concatenate([flat.starts, ends - lengths])
    sizes = np.concatenate([flat.ends - flat.starts, lengths])
    roles = np.concatenate([flat.roles, np.array([role for _, role, _ in extra], dtype=np.int8)])
    order = np.argsort(rows, kind="stable")
    sizes, starts = sizes[order], starts[order]
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    index = np.repeat(starts - bounds[:-1], sizes) + np.arange(bounds[-1])
    return text[index], bounds, rows[order], roles[order]
