"""Tokens and labels: only the answer and its end token carry loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.finetune.encoding import encode, load_tokenizer
from tasks.finetune.pretrained import PLAIN_TEMPLATE
from tasks.finetune.tiny import character_tokenizer
from tasks.finetune.trainer import Collator
from tasks.pool.instruction import Instruction

ALPHABET = tuple("ab :")
# Special tokens come first (pad, end, unknown, system, user, assistant), then the alphabet in its order.
PAD, END, SYSTEM, USER, ASSISTANT, A, B, SPACE, COLON = 0, 1, 3, 4, 5, 6, 7, 8, 9


def instruction(*messages: tuple[str, str]) -> Instruction:
    return Instruction("row-1", messages, "copy")


def test_encode_one_turn_gives_role_tokens_characters_and_end() -> None:
    (row,) = encode(character_tokenizer(ALPHABET), [instruction(("user", "a: b"), ("assistant", "ab"))], 64)
    assert row.tokens == (USER, A, COLON, SPACE, B, ASSISTANT, A, B, END)
    assert row.prompt_length == 6
    assert row.answer_length == 3


def test_encode_several_turns_masks_all_but_the_last_answer() -> None:
    turns = (("system", "a"), ("user", "b"), ("assistant", "a"), ("user", "a"), ("assistant", "b"))
    (row,) = encode(character_tokenizer(ALPHABET), [instruction(*turns)], 64)
    assert row.tokens == (SYSTEM, A, USER, B, ASSISTANT, A, END, USER, A, ASSISTANT, B, END)
    assert row.tokens[row.prompt_length :] == (B, END)


def test_encode_all_answers_puts_loss_on_each_answer_with_its_end_token() -> None:
    turns = (("system", "a"), ("user", "b"), ("assistant", "a"), ("user", "a"), ("assistant", "b"))
    last, every = (
        encode(character_tokenizer(ALPHABET), [instruction(*turns)], 64, masking)[0]
        for masking in ("last-answer", "all-answers")
    )
    assert every.tokens == last.tokens
    assert (every.prompt_length, every.answer_length) == (last.prompt_length, last.answer_length)
    labels = Collator([every], piece=1, pad_id=PAD)([0])["labels"].tolist()
    no = -100
    assert labels == [[no, no, no, no, no, A, END, no, no, no, B, END]]


def test_encode_all_answers_of_a_template_without_end_token_between_turns_takes_what_it_writes() -> None:
    tokenizer = character_tokenizer(ALPHABET)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    turns = (("user", "b"), ("assistant", "ab"), ("user", "a"), ("assistant", "b"))
    (row,) = encode(tokenizer, [instruction(*turns)], None, "all-answers")
    assert row.tokens == (USER, B, ASSISTANT, A, B, USER, A, ASSISTANT, B, END)
    assert row.trained == ((3, 5), (8, 10))


def test_encode_all_answers_refuses_a_template_that_rewrites_earlier_answers() -> None:
    tokenizer = character_tokenizer(ALPHABET)
    # As templates do that drop the reasoning of earlier turns; the last answer alone can still be told apart.
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{% if m['role'] == 'assistant' and not loop.last %}:"
        "{% else %}{{ m['content'] }}{% endif %}{% if m['role'] == 'assistant' %}<end>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    turns = (("user", "b"), ("assistant", "ab"), ("user", "a"), ("assistant", "b"))
    # The prompt alone ends with its user's turn, so the earlier answer is written the same way with and without the
    # last one.
    assert encode(tokenizer, [instruction(*turns)], None)[0].answer_length == 2
    with pytest.raises(InputError, match=r"row-1: .* message 2 differently .* recipe\.masking to last-answer"):
        encode(tokenizer, [instruction(*turns)], None, "all-answers")


def test_encode_empty_answer_leaves_the_end_token() -> None:
    (row,) = encode(character_tokenizer(ALPHABET), [instruction(("user", "a"), ("assistant", ""))], 64)
    assert row.tokens[row.prompt_length :] == (END,)


def test_encode_too_long_example_names_its_id() -> None:
    with pytest.raises(InputError, match=r"row-1: 9 tokens .* max_length is 8"):
        encode(character_tokenizer(ALPHABET), [instruction(("user", "a: b"), ("assistant", "ab"))], 8)


def test_encode_unknown_character_names_the_id() -> None:
    with pytest.raises(InputError, match=r"row-1: .*does not know"):
        encode(character_tokenizer(ALPHABET), [instruction(("user", "é"), ("assistant", "ab"))], 64)


def test_encode_end_token_inside_the_answer_is_refused() -> None:
    with pytest.raises(InputError, match="row-1: its answer holds the text of the model's end token"):
        encode(character_tokenizer(ALPHABET), [instruction(("user", "a"), ("assistant", "a<end>b"))], 64)


def test_encode_plain_template_puts_the_end_token_after_the_answer() -> None:
    tokenizer = character_tokenizer(tuple(sorted(set("ab#\nuserassistant "))))
    tokenizer.chat_template = PLAIN_TEMPLATE
    (row,) = encode(tokenizer, [instruction(("user", "ab"), ("assistant", "ba"))], None)
    assert tokenizer.decode(row.tokens[: row.prompt_length]) == "### user\nab\n### assistant\n"
    assert tokenizer.decode(row.tokens[row.prompt_length :]) == "ba<end>"


def test_tokenizer_saved_and_loaded_gives_back_text_with_spaces_and_line_breaks(tmp_path: Path) -> None:
    character_tokenizer(tuple("ab \n\té")).save_pretrained(str(tmp_path))
    tokenizer = load_tokenizer(tmp_path)
    text = " a  b\n\n\té "
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_collator_batch_has_labels_on_answers_and_end_tokens_only() -> None:
    rows = [
        instruction(("user", "a"), ("assistant", "ab")),
        instruction(("user", "ab"), ("assistant", "b")),
    ]
    encoded = encode(character_tokenizer(ALPHABET), rows, 64)
    batch = Collator(encoded, piece=3, pad_id=PAD)([1, 0])
    assert batch["input_ids"].tolist() == [[USER, A, B, ASSISTANT, B, END], [USER, A, ASSISTANT, A, B, END]]
    assert batch["labels"].tolist() == [[-100, -100, -100, -100, B, END], [-100, -100, -100, A, B, END]]
    assert batch["positions"].tolist() == [1, 0, -1]


def test_collator_shorter_example_is_padded_without_labels() -> None:
    rows = [instruction(("user", "aaa"), ("assistant", "ab")), instruction(("user", "a"), ("assistant", "b"))]
    batch = Collator(encode(character_tokenizer(ALPHABET), rows, 64), piece=2, pad_id=PAD)([0, 1])
    assert batch["input_ids"][1].tolist() == [USER, A, ASSISTANT, B, END, PAD, PAD, PAD]
    assert batch["attention_mask"][1].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    assert batch["labels"][1].tolist() == [-100, -100, -100, B, END, -100, -100, -100]


def test_collator_without_examples_gives_a_row_without_labels() -> None:
    encoded = encode(character_tokenizer(ALPHABET), [instruction(("user", "a"), ("assistant", "b"))], 64)
    batch = Collator(encoded, piece=2, pad_id=PAD)([-1])
    assert batch["labels"].tolist() == [[-100] * 5]
    assert batch["positions"].tolist() == [-1, -1]


def test_collator_padding_free_puts_rows_one_after_the_other_with_positions_from_zero() -> None:
    rows = [instruction(("user", "aaa"), ("assistant", "ab")), instruction(("user", "a"), ("assistant", "b"))]
    batch = Collator(encode(character_tokenizer(ALPHABET), rows, 64), 3, PAD, "padding-free")([1, 0])
    assert batch["input_ids"].tolist() == [[USER, A, ASSISTANT, B, END, USER, A, A, A, ASSISTANT, A, B, END]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7]]
    assert batch["labels"].tolist() == [[-100, -100, -100, B, END, *[-100] * 5, A, B, END]]
    assert batch["positions"].tolist() == [1, 0, -1]
    assert "attention_mask" not in batch
