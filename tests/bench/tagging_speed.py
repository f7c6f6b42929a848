"""Rows per second of the bulk tagger, file to file: the whole command, and tagging alone."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tasks.pool.instruction import Instruction
from tasks.pool.rows import count_rows
from tasks.pool.storage import write_instructions
from tasks.tagging.classifier import ClassifierTagger, train_classifier
from tasks.tagging.pool_rows import UntaggedSource, sample, untagged_rows
from tasks.tagging.run import TaggingOutput, tag_pool
from tasks.tagging.workers import Workers

COPIES = 10
"""Times that the pool is written, each time with other words, into the file whose tagging is timed."""
CHANGED_SHARE = 0.1
"""Share of the words of a copy that are others, drawn from the whole pool."""
SAMPLED = 10_000
PROCESSES = 2


def main(data: Path, labelled: list[Instruction]) -> None:
    """Print wall and processor time of the command and of its parts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_instructions(folder / "labelled.jsonl", labelled)
        rows = _write_copies(data / "train.jsonl.gz", folder / "big.jsonl")
        print(f"\n{rows:,} rows, {(folder / 'big.jsonl').stat().st_size / 1e6:.0f} MB")
        print("\n| what | processes | rows | s | rows/s | processor s | rows/processor s | load |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        trained = train_classifier(
            labelled,
            sample(UntaggedSource((str(folder / "big.jsonl"),)), SAMPLED, seed=0),
            tuple(sorted({row.category for row in labelled})),
        )
        for processes in range(1, PROCESSES + 1):
            _timed("tagging alone", processes, rows, lambda n=processes: _tag(folder, trained, n))
        big, dev, train = folder / "big.jsonl", data / "dev.jsonl.gz", data / "train.jsonl.gz"
        few = count_rows(dev)
        everything = _timed("whole command", PROCESSES, rows, lambda: _command(folder, big, big))
        # Learns from as many rows, so that the difference is what grows with the pool: sampling it, and tagging.
        fixed = _timed("whole command, few rows", PROCESSES, few, lambda: _command(folder, dev, train))
        wall, spent = everything[0] - fixed[0], everything[1] - fixed[1]
        print(
            f"| difference of the two | {PROCESSES} | {rows - few:,} | {wall:.1f} | {(rows - few) / wall:,.0f} "
            f"| {spent:.1f} | {(rows - few) / spent:,.0f} | |",
            flush=True,
        )


def _write_copies(pool: Path, out: Path) -> int:
    """Write the rows without their categories `COPIES` times with other words and ids; returns how many."""
    generator = random.Random(0)
    with gzip.open(pool, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    words = [word for row in rows for message in row["messages"] for word in message["content"].split(" ")]

    def changed(text: str) -> str:
        parts = text.split(" ")
        for place in range(len(parts)):
            if generator.random() < CHANGED_SHARE:
                parts[place] = generator.choice(words)
        return " ".join(parts) if "".join(parts).strip() else text

    with out.open("w") as stream:
        for copy in range(COPIES):
            for row in rows:
                messages = [{**message, "content": changed(message["content"])} for message in row["messages"]]
                stream.write(json.dumps({"id": f"{copy} {row['id']}", "messages": messages}) + "\n")
    return COPIES * len(rows)


def _tag(folder: Path, trained: Any, processes: int) -> None:
    with Workers(processes) as workers:
        tag_pool(
            untagged_rows(UntaggedSource((str(folder / "big.jsonl"),))),
            ClassifierTagger(trained, workers),
            TaggingOutput(folder / "out.jsonl", 0.5, "classifier"),
        )


def _command(folder: Path, pool: Path, unlabelled: Path) -> None:
    subprocess.run(
        [
            *(str(Path(sys.executable).parent / "beyond-iid"), "tag", "--engine", "classifier"),
            *("--data", str(pool), "--labelled", str(folder / "labelled.jsonl"), "--out", str(folder / "tagged.jsonl")),
            *("--unlabelled", str(unlabelled), "--processes", str(PROCESSES)),
        ],
        check=True,
        capture_output=True,
    )


def _timed(title: str, processes: int, rows: int, work: Callable[[], None]) -> tuple[float, float]:
    """Print a row of the table; returns wall and processor seconds."""
    start, used = time.perf_counter(), _processor_seconds()
    work()
    wall, spent = time.perf_counter() - start, _processor_seconds() - used
    print(
        f"| {title} | {processes} | {rows:,} | {wall:.1f} | {rows / wall:,.0f} | {spent:.1f} | {rows / spent:,.0f} "
        f"| {psutil.getloadavg()[0]:.0f} |",
        flush=True,
    )
    return wall, spent


def _processor_seconds() -> float:
    """Of this process and of its children that have ended, and theirs."""
    return sum(os.times()[:4])
