"""Accuracy of the tagging engines on real rows with hidden labels, with confusion tables, and rows per second.

Names as arguments of `python -m tests.bench.tagging` choose parts: vllm, speed, accuracy.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil

from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction
from tasks.pool.reader import read_pool
from tasks.tagging.categories import Categories
from tasks.tagging.classifier import ClassifierTagger, Features, train_classifier
from tasks.tagging.confusion import Confusion
from tasks.tagging.embedding import Embedder, EmbeddingTagger, load_embedder
from tasks.tagging.outcome import Tag, Tagger
from tasks.tagging.workers import Workers
from tests.bench import tagging_speed

DESCRIPTIONS = {
    "Common Sense Reasoning": "Everyday situations, causes and intentions that any person would know.",
    "Creativity and Design": "Write a sentence or short text from given words, concepts or topics.",
    "Information Extraction": "Find the answer to a question in a given passage.",
    "Knowledge Reasoning": "Combine facts about the world or steps of a process to answer a question.",
    "Mathematical Calculation": "Short arithmetic word problems whose answer is one number.",
    "Mathematical Reasoning": "Longer word problems in mathematics that are solved step by step.",
    "Natural Language Understanding": "Decide whether sentences mean the same or follow from each other.",
    "Python Programming": "Write a Python function that passes given tests.",
    "STEM Knowledge": "Questions about physics, chemistry, biology and other natural science.",
    "Sentiment Analysis": "Tell whether a review or opinion is positive or negative.",
    "Text Classification": "Assign a news article, question or paragraph to a topic or type.",
    "Text Summarization": "Write a short summary, headline or title of a dialogue or article.",
}
LABELLED_ROWS = 20
DRAWS = {"lexical": 5, "embedding": 1, "both": 1}
"""Draws of the labelled rows: dense features take far longer to fit."""
EMBEDDED_STRIDE = 5
"""Of the unlabelled rows every fifth is embedded: embedding takes a hundred times as long as counting words."""


def main(parts: tuple[str, ...] = ()) -> None:
    """Print tables of accuracy on the dev rows with confusion, and of speed; parts: vllm, speed, accuracy."""
    data = Path(os.environ.get("BEYOND_IID_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "realpool"
    train = read_pool(FilesSource(paths=(str(data / "train.jsonl.gz"),))).instructions
    dev = read_pool(FilesSource(paths=(str(data / "dev.jsonl.gz"),))).instructions
    known: dict[str, Callable[[], None]] = {
        "vllm": lambda: _language_model(data),
        "speed": lambda: tagging_speed.main(data, _drawn(train, 0)),
        "accuracy": lambda: _accuracies(train, dev),
    }
    for name in parts or known:
        known[name]()


def _accuracies(train: tuple[Instruction, ...], dev: tuple[Instruction, ...]) -> None:
    embedder = Remembering(load_embedder(None, 2))
    names = tuple(sorted(DESCRIPTIONS))
    print("\n| engine | unlabelled rows | dev rows right, % | mean confidence, % | cross-validation, % |")
    print("| --- | --- | --- | --- | --- |")
    confusions = {}
    for title, descriptions in (("names alone", [""] * len(names)), ("descriptions", map(DESCRIPTIONS.get, names))):
        tagger = EmbeddingTagger(Categories(names, tuple(text or "" for text in descriptions)), embedder)
        confusion, confidence = _tagged(tagger, dev)
        confusions[f"embedding, {title}"] = confusion
        right = f"{confusion.agreement:.1%} ± {confusion.standard_error:.1%}"
        print(f"| embedding, {title} | – | {right} | {confidence:.1%} | – |", flush=True)
    fewer = train[::EMBEDDED_STRIDE]
    sets: tuple[tuple[Features, tuple[Instruction, ...]], ...] = (
        ("lexical", train), ("lexical", fewer), ("embedding", fewer), ("both", fewer)
    )  # fmt: skip
    for features, unlabelled in sets:
        title = f"classifier, {features}, {len(unlabelled):,} unlabelled rows"
        confusions[f"{title}, first draw"] = _classifier(train, unlabelled, dev, features, embedder)
    for title, confusion in confusions.items():
        print(f"\n{title}: {confusion.agreement:.1%} of {confusion.total:,} rows right\n\n{_markdown(confusion)}")


def _classifier(
    train: tuple[Instruction, ...],
    unlabelled: tuple[Instruction, ...],
    dev: tuple[Instruction, ...],
    features: Features,
    embedder: Embedder,
) -> Confusion:
    """Print right rows by draw, mean confidence and cross-validation over all draws; the first draw's confusion."""
    confusions, others = [], []
    for draw in range(DRAWS[features]):
        with Workers(2) as workers:
            trained = train_classifier(
                _drawn(train, draw), unlabelled, tuple(sorted(DESCRIPTIONS)), features, embedder, workers
            )
        confusion, confidence = _tagged(ClassifierTagger(trained), dev)
        confusions.append(confusion)
        others.append((confidence, trained.agreement.share))
    rights = [confusion.agreement for confusion in confusions]
    confidence, crossed = np.mean(others, axis=0)
    print(
        f"| classifier, {features} | {len(unlabelled):,} | {', '.join(f'{100 * right:.1f}' for right in rights)}; "
        f"mean **{np.mean(rights):.1%}** | {confidence:.1%} | {crossed:.1%} |",
        flush=True,
    )
    return confusions[0]


class Remembering:
    """An embedder that embeds each text once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [n, d]."""
        if new := list(dict.fromkeys(text for text in texts if text not in self._known)):
            self._known.update(zip(new, self._embedder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def _drawn(train: tuple[Instruction, ...], draw: int) -> list[Instruction]:
    """The labelled rows: the same number of each category, by chance."""
    generator = np.random.default_rng(draw)
    groups: dict[str, list[Instruction]] = {}
    for row in train:
        groups.setdefault(row.category, []).append(row)
    return [rows[i] for _, rows in sorted(groups.items()) for i in generator.choice(len(rows), LABELLED_ROWS, False)]


def _tagged(tagger: Tagger, rows: tuple[Instruction, ...]) -> tuple[Confusion, float]:
    """Labels against tags, and the mean confidence."""
    confusion, confidences = Confusion(), []
    for row, tag in tagger.tag(rows):
        assert isinstance(tag, Tag)
        confusion.add(row.category, tag.category)
        confidences.append(tag.confidence)
    return confusion, float(np.mean(confidences))


def _markdown(confusion: Confusion) -> str:
    """The table with columns numbered as the rows are, so that it fits a page; empty where there is no row."""
    natives = sorted({native for native, _ in confusion.counts})
    others = sorted({category for _, category in confusion.counts} - set(natives))
    columns = [*natives, *others]
    lines = ["| label | " + " | ".join(str(number) for number in range(1, len(columns) + 1)) + " | right |"]
    lines.append("| --- |" + " --- |" * (len(columns) + 1))
    for number, native in enumerate(natives, start=1):
        counts = [confusion.counts[native, category] for category in columns]
        cells = [str(count) if count else "" for count in counts]
        cells[number - 1] = f"**{counts[number - 1]}**"
        lines.append(f"| {number} {native} | {' | '.join(cells)} | {counts[number - 1] / sum(counts):.0%} |")
    lines += [f"\nColumn {number}: {other}" for number, other in enumerate(others, start=len(natives) + 1)]
    return "\n".join(lines)


def _language_model(data: Path) -> None:
    """SmolLM2-135M through `--engine vllm`: its start, rows per second after it, agreement and confusion."""
    with tempfile.TemporaryDirectory() as folder:
        _language_model_in(Path(folder), data)


def _language_model_in(folder: Path, data: Path) -> None:
    # Not at the top, which every tagging process imports too: it would start torch.
    from tasks.finetune.smollm2 import save_smollm2

    save_smollm2(folder / "smollm2")
    with gzip.open(data / "dev.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    random.Random(0).shuffle(rows)
    rows = rows[: int(os.environ.get("BEYOND_IID_BENCH_ROWS", len(rows)))]
    (folder / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "list.json").write_text(json.dumps(DESCRIPTIONS))
    answers = folder / "tagged.answers.jsonl"
    start = time.perf_counter()
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).parent / "beyond-iid"), "tag", "--data", str(folder / "dev.jsonl")),
            *("--engine", "vllm", "--model", str(folder / "smollm2"), "--categories", str(folder / "list.json")),
            *("--out", str(folder / "tagged.jsonl"), "--compare-with", "category"),
            *("--vllm-option", "max_model_len=4096"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    while not (answers.exists() and answers.stat().st_size):
        if process.poll() is not None:
            raise SystemExit("the tagger stopped before its first answer")
        time.sleep(0.05)
    first = time.perf_counter() - start
    at_first = answers.read_bytes().count(b"\n")
    while answers.read_bytes().count(b"\n") < len(rows) and process.poll() is None:
        time.sleep(0.2)
    last = time.perf_counter() - start
    process.communicate()
    print("\n| rows | s to the first answers | rows/s after them | s in all | load |\n| --- | --- | --- | --- | --- |")
    speed = (len(rows) - at_first) / (last - first)
    wall, load = time.perf_counter() - start, psutil.getloadavg()[0]
    print(f"| {len(rows):,} | {first:.0f} | {speed:.1f} | {wall:.0f} | {load:.0f} |")
    confusion = Confusion()
    counts = json.loads((folder / "tagged.summary.json").read_text())["native_labels"]["counts"]
    confusion.counts.update({(native, category): count for native, category, count in counts})
    share = f"{confusion.agreement:.1%} ± {confusion.standard_error:.1%}"
    print(f"\nvllm, SmolLM2-135M: {share} of {confusion.total:,} rows right\n\n{_markdown(confusion)}", flush=True)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
