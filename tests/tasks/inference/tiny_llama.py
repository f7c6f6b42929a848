"""A Llama of a few thousand random weights whose words are tokens: small enough for any test, real to every engine."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ["<pad>", "<unk>", "<end>", *"123456", *"abcdefghijklmnop", ":"]
LONGEST = 256


def save_tiny_llama(folder: Path, seed: int = 0) -> Path:
    """Model and tokenizer; equal seeds give equal weights. Its answers end at times."""
    tokenizer = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>"
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
        pad_token_id=0,
        eos_token_id=2,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        # Fresh weights are so small that every position would answer the same word.
        for weight in model.parameters():
            weight.mul_(6)
    model.save_pretrained(folder)
    return folder


def greedy(model: torch.nn.Module, prompt: list[int], longest: int) -> str:
    """The words that follow, one at a time from the whole text so far, up to the end token."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + longest:
        with torch.inference_mode():
            best = int(model(torch.tensor([tokens])).logits[0, -1].argmax())
        if WORDS[best] == "<end>":
            break
        tokens.append(best)
    return " ".join(WORDS[token] for token in tokens[len(prompt) :] if token > 1)
