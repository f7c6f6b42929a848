"""The tiny Llama-type model: initial weights from a seed, and a character tokenizer made from the pool's text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.finetune.recipe import TinyModel
from tasks.pool.instruction import Instruction

PAD, END, UNKNOWN = "<pad>", "<end>", "<unk>"
ROLES = ("system", "user", "assistant")

_CONTEXT = 4096
_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<end>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def characters(rows: Iterable[Instruction]) -> tuple[str, ...]:
    """Every character in the rows' messages, sorted: the tokenizer's vocabulary apart from its special tokens."""
    seen: set[str] = set()
    for row in rows:
        for _, content in row.messages:
            seen.update(content)
    return tuple(sorted(seen))


def save_tiny(model: TinyModel, alphabet: tuple[str, ...], folder: Path) -> None:
    """Write a tiny model with fresh weights and its tokenizer to a folder (safetensors).

    Raises:
        InputError: the width is no multiple of the number of heads, or the heads' width is odd.
    """
    if model.width % (2 * model.heads):
        raise InputError(
            f"recipe.model: width {model.width} must be a multiple of twice the heads ({2 * model.heads}); "
            "change width or heads"
        )
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = character_tokenizer(alphabet)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=model.width,
        intermediate_size=4 * model.width,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        num_key_value_heads=model.heads,
        max_position_embeddings=_CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        network = LlamaForCausalLM(config)
    network.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save_pretrained(str(folder))


def character_tokenizer(alphabet: tuple[str, ...]) -> Any:
    """One token per character, with tokens for padding, end of answer, unknown characters and the three roles."""
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    special = [PAD, END, UNKNOWN, *(f"<{role}>" for role in ROLES)]
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet])}
    # Byte-pair encoding without merges splits into single characters and needs no pre-tokenizer.
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN, fuse_unk=False))
    core.decoder = decoders.Fuse()
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[f"<{role}>" for role in ROLES],
        clean_up_tokenization_spaces=False,
        model_max_length=_CONTEXT,
    )
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
