"""Loss and exact match of a checkpoint on held-out examples, per category, from one forward pass each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.benchmarks.scores import EXACT_MATCH, LOSS, Score, mean_score
from tasks.errors import InputError, RunError
from tasks.finetune.encoding import EncodedInstruction, encode, load_tokenizer
from tasks.finetune.engine import quiet_process
from tasks.pool.instruction import Instruction

EVALUATOR_VERSION = "1"
"""Changes whenever the same checkpoint and examples would give other scores; part of a run's fingerprint."""

_ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class ExampleScore:
    """What one held-out example gave.

    Attributes:
        nll: the answer's negative log-likelihood, end token included, in nats (summed over tokens).
        tokens: answer tokens, end token included.
        exact: whether greedy decoding from the prompt gives the reference answer and then ends.
    """

    nll: float
    tokens: int
    exact: bool


def evaluate(
    checkpoint: Path, base_model: Path, held_out: Sequence[Instruction], batch_size: int, threads: int = 0
) -> tuple[Score, ...]:
    """Score a checkpoint on held-out instructions; two scores per category, sorted by category, loss first.

    LOSS is the mean over examples of (summed answer negative log-likelihood / answer tokens, end token included), in
    nats per token, from float32 log-probabilities summed in float64. EXACT_MATCH is the share of examples whose greedy
    decoding reproduces the reference: if at every answer position, given the reference before it, the likeliest token
    is the reference's, end token included, then greedy decoding takes exactly these tokens, and if at some position it
    is not, greedy decoding leaves the reference at the first such position. So no text has to be generated.

    Args:
        checkpoint: folder of the trained model, or of a LoRA adapter on `base_model`.
        base_model: folder of the base checkpoint; its tokenizer and chat template are used.
        held_out: what to score on; not seen in training (see `assert_disjoint`).
        batch_size: examples per forward pass; does not change the scores beyond float32 rounding.
        threads: CPU threads; 0 leaves torch's default.

    Raises:
        InputError: an example holds a character that the tokenizer does not know.
        RunError: an example's loss is NaN or infinite; names it.
    """
    with quiet_process(threads):
        return score_held_out(load_checkpoint(checkpoint, base_model), load_tokenizer(base_model), held_out, batch_size)


def score_held_out(model: Any, tokenizer: Any, held_out: Sequence[Instruction], batch_size: int) -> tuple[Score, ...]:
    """`evaluate` with a loaded checkpoint."""
    return summarize(held_out, score_examples(model, encode(tokenizer, held_out, max_length=None), batch_size))


def load_checkpoint(checkpoint: Path, base_model: Path) -> Any:
    """The model in float32, ready to score, on the GPU if there is one; an adapter is put on its base."""
    import torch
    from transformers import AutoModelForCausalLM

    adapter = (checkpoint / _ADAPTER).is_file()
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(base_model if adapter else checkpoint),
        dtype="float32",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(checkpoint), local_files_only=True)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def score_examples(model: Any, examples: Sequence[EncodedInstruction], batch_size: int) -> list[ExampleScore]:
    """Score encoded examples, in their order; batches are made of examples of similar length.

    Raises:
        RunError: an example's loss is NaN or infinite; names it.
    """
    results: list[ExampleScore | None] = [None] * len(examples)
    for batch in _by_length(examples, batch_size):
        scores = _score_batch(model, [examples[k] for k in batch])
        for position, score in zip(batch, scores, strict=True):
            if not math.isfinite(score.nll):
                raise RunError(f"held-out instruction {examples[position].id}: its loss is {score.nll}")
            results[position] = score
    return [score for score in results if score is not None]


def summarize(held_out: Sequence[Instruction], results: Sequence[ExampleScore]) -> tuple[Score, ...]:
    """Mean per category, with its standard error, of per-example values, which are in the order of `held_out`."""
    scores = []
    for category in sorted({row.category for row in held_out}):
        mine = [r for row, r in zip(held_out, results, strict=True) if row.category == category]
        scores.append(mean_score(category, LOSS, [r.nll / r.tokens for r in mine]))
        scores.append(mean_score(category, EXACT_MATCH, [float(r.exact) for r in mine]))
    return tuple(scores)


def assert_disjoint(train: Iterable[Instruction], held_out: Iterable[Instruction]) -> None:
    """Check that no held-out conversation was trained on, by content hash, whatever the ids and categories.

    Raises:
        InputError: at least one was; names an example of each side and says how many there are.
    """
    trained = {row.content_hash: row.id for row in train}
    shared = [(row.id, trained[row.content_hash]) for row in held_out if row.content_hash in trained]
    if shared:
        raise InputError(
            f"{len(shared)} held-out examples are in the training data, first: held-out {shared[0][0]!r} has the same "
            f"messages as training example {shared[0][1]!r}; split the pool again"
        )


def _by_length(examples: Sequence[EncodedInstruction], batch_size: int) -> Iterator[list[int]]:
    order = sorted(range(len(examples)), key=lambda k: (len(examples[k].tokens), examples[k].id))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _score_batch(model: Any, rows: Sequence[EncodedInstruction]) -> list[ExampleScore]:
    """Only hidden states that predict an answer token go through the language-model head."""
    import torch

    width = max(len(row.tokens) for row in rows)
    tokens = torch.zeros((len(rows), width), dtype=torch.long)
    attention = torch.zeros((len(rows), width), dtype=torch.long)
    predicts = torch.zeros((len(rows), width), dtype=torch.bool)
    for k, row in enumerate(rows):
        tokens[k, : len(row.tokens)] = torch.tensor(row.tokens)
        attention[k, : len(row.tokens)] = 1
        predicts[k, row.prompt_length - 1 : len(row.tokens) - 1] = True
    with torch.inference_mode():
        device = model.device
        logits = model(input_ids=tokens.to(device), attention_mask=attention.to(device), use_cache=False).logits
        logits = logits[predicts.to(device)].float()
        targets = tokens.roll(-1, dims=1)[predicts].to(device)
        nll = torch.nn.functional.cross_entropy(logits, targets, reduction="none").double().cpu()
        right = (logits.argmax(dim=-1) == targets).cpu()
    lengths = [row.answer_length for row in rows]
    return [
        ExampleScore(float(a.sum()), n, bool(b.all()))
        for a, b, n in zip(nll.split(lengths), right.split(lengths), lengths, strict=True)
    ]
