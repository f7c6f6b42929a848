"""Tags of the vocabulary to first-level categories; arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.tagging.embedding import TEMPERATURE, softmax


@dataclass(frozen=True)
class FirstLevel:
    """How much each tag speaks for each category.

    Attributes:
        tags: the vocabulary [V].
        categories: names [K].
        cosines: of tags and categories [V, K].
    """

    tags: tuple[str, ...]
    categories: tuple[str, ...]
    cosines: np.ndarray

    @property
    def chances(self) -> np.ndarray:
        """Softmax of the cosines at `tasks.tagging.embedding.TEMPERATURE` [V, K]."""
        return softmax(self.cosines / TEMPERATURE)


def map_to_categories(
    tags: Sequence[str], directions: np.ndarray, categories: Sequence[str], category_directions: np.ndarray
) -> FirstLevel:
    """Map tags to given categories by meaning.

    Args:
        tags: the vocabulary [V].
        directions: unit vectors of the tags [V, d].
        categories: names [K].
        category_directions: unit vectors of the categories' descriptions [K, d].
    """
    return FirstLevel(tuple(tags), tuple(categories), directions @ category_directions.T)


def discover_categories(tags: Sequence[str], rows: Sequence[int], directions: np.ndarray, count: int) -> FirstLevel:
    """Group the vocabulary into `count` categories, each named after its most frequent tag.

    Agglomerative clustering with average cosine distance; a category's direction is the mean of its tags', weighted
    with their rows.

    Args:
        tags: the vocabulary [V], V ≥ count.
        rows: rows of each tag [V].
        directions: unit vectors of the tags [V, d].
        count: categories to make, at least 2.

    Raises:
        ValueError: there are fewer tags than categories.
    """
    from sklearn.cluster import AgglomerativeClustering

    if not 2 <= count <= len(tags):
        raise ValueError(f"{len(tags)} tags cannot be grouped into {count} categories")
    groups = AgglomerativeClustering(count, metric="cosine", linkage="average").fit_predict(directions)
    weights = np.asarray(rows, dtype=float)
    names, centers = [], []
    for group in range(count):
        members = np.flatnonzero(groups == group)
        names.append(tags[min(members, key=lambda place: (-weights[place], tags[place]))])
        center = weights[members] @ directions[members]
        centers.append(center / np.linalg.norm(center))
    order = np.argsort(names)
    return FirstLevel(tuple(tags), tuple(names[i] for i in order), directions @ np.array(centers)[order].T)
