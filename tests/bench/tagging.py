"""Accuracy of the tagging engines on real rows with hidden labels, and rows per second."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from tasks.finetune.smollm2 import save_smollm2
from tasks.pool.config import FilesSource
from tasks.pool.instruction import Instruction
from tasks.pool.reader import read_pool
from tasks.pool.storage import write_instructions
from tasks.tagging.categories import Categories
from tasks.tagging.classifier import ClassifierTagger, Features, train_classifier
from tasks.tagging.embedding import Embedder, EmbeddingTagger, load_embedder
from tasks.tagging.labelled import read_labelled
from tasks.tagging.outcome import Tag, Tagger
from tasks.tagging.pool_rows import UntaggedSource, untagged_rows
from tasks.tagging.run import TaggingOutput, tag_pool

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
DRAWS = 5
EMBEDDED_STRIDE = 5
"""Of the unlabelled rows every fifth is embedded: embedding takes a hundred times as long as counting words."""
COPIES = 10
"""Times that the pool is written into the file whose tagging is timed."""


def main() -> None:
    """Print accuracy on the dev rows, the confusion table of the command, and rows per second on two cores."""
    data = Path(os.environ.get("BEYOND_IID_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "realpool"
    with tempfile.TemporaryDirectory() as folder:
        _language_model(Path(folder), data)
    train = read_pool(FilesSource(paths=(str(data / "train.jsonl.gz"),))).instructions
    dev = read_pool(FilesSource(paths=(str(data / "dev.jsonl.gz"),))).instructions
    with tempfile.TemporaryDirectory() as folder:
        write_instructions(Path(folder) / "labelled.jsonl", _drawn(train, 0))
        _speed(Path(folder), train)
        _command(Path(folder), data)
    _accuracies(train, dev)


def _accuracies(train: tuple[Instruction, ...], dev: tuple[Instruction, ...]) -> None:
    embedder = load_embedder(None, 2)
    names = tuple(sorted(DESCRIPTIONS))
    print("\n| engine | dev rows right, % | mean confidence, % | cross-validation, % |\n| --- | --- | --- | --- |")
    for title, descriptions in (("names alone", [""] * len(names)), ("descriptions", map(DESCRIPTIONS.get, names))):
        tagger = EmbeddingTagger(Categories(names, tuple(text or "" for text in descriptions)), embedder)
        right, confidence = _right(tagger, dev)
        print(f"| embedding, {title} | {right:.1%} | {confidence:.1%} | – |", flush=True)
    results = []
    for draw in range(DRAWS):
        results.append(_classifier(_drawn(train, draw), train, dev, "lexical", None))
    right, confidence, crossed = np.mean(results, axis=0)
    print(f"| classifier lexical, mean of {DRAWS} draws | {right:.1%} | {confidence:.1%} | {crossed:.1%} |", flush=True)
    for features in ("embedding", "both"):
        _classifier(_drawn(train, 0), train[::EMBEDDED_STRIDE], dev, features, embedder)


def _classifier(
    labelled: list[Instruction],
    unlabelled: tuple[Instruction, ...],
    dev: tuple[Instruction, ...],
    features: Features,
    embedder: Embedder | None,
) -> tuple[float, float, float]:
    """Share right and mean confidence on the dev rows, and cross-validated agreement; printed as a row."""
    trained = train_classifier(labelled, unlabelled, tuple(sorted(DESCRIPTIONS)), features, embedder)
    right, confidence = _right(ClassifierTagger(trained), dev)
    crossed = trained.agreement.share
    rows = f"{len(unlabelled):,} unlabelled rows"
    print(f"| classifier {features}, {rows} | {right:.1%} | {confidence:.1%} | {crossed:.1%} |", flush=True)
    return right, confidence, crossed


def _drawn(train: tuple[Instruction, ...], draw: int) -> list[Instruction]:
    """The labelled rows: the same number of each category, by chance."""
    generator = np.random.default_rng(draw)
    groups: dict[str, list[Instruction]] = {}
    for row in train:
        groups.setdefault(row.category, []).append(row)
    return [rows[i] for _, rows in sorted(groups.items()) for i in generator.choice(len(rows), LABELLED_ROWS, False)]


def _right(tagger: Tagger, rows: tuple[Instruction, ...]) -> tuple[float, float]:
    """Share of rows whose tag is their label, and mean confidence."""
    tags = [(row, tag) for row, tag in tagger.tag(rows) if isinstance(tag, Tag)]
    return (
        float(np.mean([tag.category == row.category for row, tag in tags])),
        float(np.mean([tag.confidence for _, tag in tags])),
    )


def _speed(folder: Path, train: tuple[Instruction, ...]) -> None:
    big = folder / "big.jsonl"
    with big.open("w") as stream:
        for copy in range(COPIES):
            for row in train:
                messages = [{"role": role, "content": content} for role, content in row.messages]
                stream.write(json.dumps({"id": f"{copy} {row.id}", "messages": messages}) + "\n")
    labelled = read_labelled(folder / "labelled.jsonl", None).rows
    trained = train_classifier(labelled, train, tuple(sorted(DESCRIPTIONS)))
    rows = len(train) * COPIES
    print("\n| processes | rows | s | rows/s | processor s | rows/processor s | load |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for processes in (1, 2):
        start, used = time.perf_counter(), _processor_seconds()
        tag_pool(
            untagged_rows(UntaggedSource((str(big),))),
            ClassifierTagger(trained, processes),
            TaggingOutput(folder / "out.jsonl", 0.5, "classifier"),
        )
        wall, spent = time.perf_counter() - start, _processor_seconds() - used
        load = psutil.getloadavg()[0]
        print(
            f"| {processes} | {rows:,} | {wall:.1f} | {rows / wall:,.0f} | {spent:.1f} | {rows / spent:,.0f} "
            f"| {load:.0f} |",
            flush=True,
        )


def _processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _command(folder: Path, data: Path) -> None:
    """What the command prints, confusion table included."""
    arguments = [
        *(
            "tag",
            "--data",
            str(data / "dev.jsonl.gz"),
            "--engine",
            "classifier",
            "--labelled",
            str(folder / "labelled.jsonl"),
        ),
        *("--unlabelled", str(data / "train.jsonl.gz"), "--out", str(folder / "dev.jsonl")),
        *("--compare-with", "category", "--minimum-confidence", "0.6"),
    ]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "beyond-iid"), *arguments], check=True, capture_output=True, text=True
    )
    print(f"\n```\n{done.stdout}```")


def _language_model(folder: Path, data: Path) -> None:
    """SmolLM2-135M through `--engine vllm`: what the command prints, its start, and rows per second after it."""
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
    printed, _ = process.communicate()
    print("\n| rows | s to the first answers | rows/s after them | s in all | load |\n| --- | --- | --- | --- | --- |")
    speed = (len(rows) - at_first) / (last - first)
    wall, load = time.perf_counter() - start, psutil.getloadavg()[0]
    print(f"| {len(rows):,} | {first:.0f} | {speed:.1f} | {wall:.0f} | {load:.0f} |")
    print(f"\n```\n{printed}```", flush=True)


if __name__ == "__main__":
    main()
