import pytest

from tasks.pool.config import FilesSource, RowFormat
from tasks.pool.formats import RowError, to_instruction

CHAT = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]


def source(format_: RowFormat = "auto", **fields: str) -> FilesSource:
    return FilesSource(paths=("x.jsonl",), format=format_, **fields)


def read(row: dict, format_: RowFormat = "auto", **fields: str):
    return to_instruction({"id": "a", "category": "math", **row}, source(format_, **fields))


def test_to_instruction_chat_with_system_and_turns_keeps_all_messages() -> None:
    messages = [{"role": "system", "content": "Be brief."}, *CHAT, *CHAT]
    got = read({"messages": messages, "source": "gsm"})
    assert got.messages == (
        ("system", "Be brief."),
        ("user", "2+2?"),
        ("assistant", "4"),
        ("user", "2+2?"),
        ("assistant", "4"),
    )
    assert (got.id, got.category, got.source) == ("a", "math", "gsm")


def test_to_instruction_alpaca_sets_input_below_instruction() -> None:
    got = read({"instruction": "Add.", "input": "2 2", "output": "4", "system": "Count."})
    assert got.messages == (("system", "Count."), ("user", "Add.\n\n2 2"), ("assistant", "4"))


def test_to_instruction_alpaca_empty_input_is_left_out() -> None:
    assert read({"instruction": "Add.", "input": "", "output": "4"}).messages[0] == ("user", "Add.")


def test_to_instruction_sharegpt_names_map_to_chat_roles() -> None:
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]
    expected = (("system", "s"), ("user", "hi"), ("assistant", "ho"))
    assert read({"conversations": [{"from": "system", "value": "s"}, *turns]}).messages == expected
    assert read({"conversations": turns, "system": "s"}).messages == expected


def test_to_instruction_without_id_is_named_after_its_content() -> None:
    got = to_instruction({"messages": CHAT, "category": "math"}, source())
    assert got.id == got.content_hash[:16]


def test_to_instruction_whole_numbers_as_id_and_category_become_text() -> None:
    got = to_instruction({"messages": CHAT, "category": 3, "id": 0}, source())
    assert (got.id, got.category) == ("0", "3")


def test_to_instruction_other_field_names_are_used() -> None:
    row = {"messages": CHAT, "skill": "add", "key": "k", "origin": "o"}
    got = to_instruction(row, source(category_field="skill", id_field="key", source_field="origin"))
    assert (got.id, got.category, got.source) == ("k", "add", "o")


def test_to_instruction_text_is_taken_untouched() -> None:
    content = "  lines\u2028 and\n spaces \U0001f600 "
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": content}]
    assert read({"messages": messages}).answer == content


@pytest.mark.parametrize(
    ("row", "format_", "reason"),
    [
        ({}, "auto", "no conversation:"),
        ({"messages": CHAT}, "alpaca", "no conversation: format alpaca needs instruction and output"),
        ({"messages": CHAT, "conversations": []}, "auto", "more than one format:"),
        ({"messages": "hello"}, "auto", 'wrong type: "messages" is a str'),
        ({"messages": ["hello"]}, "auto", 'wrong type: "messages" entry 1 is a str'),
        ({"messages": []}, "auto", "no answer:"),
        ({"messages": CHAT[:1]}, "auto", "no answer:"),
        ({"messages": CHAT[1:]}, "auto", "turns out of order: expected the user"),
        ({"messages": [CHAT[0], *CHAT]}, "auto", "turns out of order: expected the assistant"),
        ({"messages": [*CHAT, {"role": "system", "content": "x"}, *CHAT]}, "auto", "turns out of order"),
        ({"messages": [{"role": "tool", "content": "x"}, *CHAT]}, "auto", "unknown role:"),
        ({"messages": [{"role": ["user"], "content": "x"}, *CHAT]}, "auto", "unknown role:"),
        ({"messages": [{"role": "user"}, CHAT[1]]}, "auto", "incomplete message:"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}, CHAT[1]]}, "auto", "wrong type:"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": None}]}, "auto", "wrong type:"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": " \n"}]}, "auto", "empty answer:"),
        ({"messages": [{"role": "user", "content": ""}, CHAT[1]]}, "auto", "empty message:"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": "\ud800"}]}, "auto", "broken text:"),
        ({"messages": [{"from": "human", "value": "x"}]}, "auto", "incomplete message:"),
        ({"conversations": [{"from": "bing", "value": "x"}]}, "auto", "unknown role:"),
        ({"instruction": "Add."}, "auto", "no answer:"),
        ({"instruction": "Add.", "output": None}, "alpaca", "no answer:"),
        ({"instruction": "Add.", "output": ""}, "auto", "empty answer:"),
        ({"instruction": "Add.", "output": 4}, "auto", "wrong type:"),
        ({"instruction": "Add.", "output": "4", "history": [["a", "b"]]}, "auto", "history not supported:"),
        ({"messages": CHAT, "category": None}, "auto", "no category:"),
        ({"messages": CHAT, "category": ""}, "auto", "no category:"),
        ({"messages": CHAT, "category": True}, "auto", "wrong type:"),
        ({"messages": CHAT, "category": " math"}, "auto", "unusable name:"),
        ({"messages": CHAT, "id": "a\tb"}, "auto", "unusable name:"),
        ({"messages": CHAT, "id": 1.5}, "auto", "wrong type:"),
        ({"messages": CHAT, "source": {"name": "x"}}, "auto", "wrong type:"),
    ],
)
def test_to_instruction_unusable_row_says_why(row: dict, format_: RowFormat, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        read(row, format_)
    assert str(caught.value).startswith(reason)
