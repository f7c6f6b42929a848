from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import RunError
from tasks.pool.config import FilesSource
from tasks.pool.reader import read_pool
from tasks.tagging.classifier import ClassifierTagger, TrainedClassifier, train_classifier
from tasks.tagging.outcome import Tag
from tasks.tagging.workers import Workers
from tests.tasks.tagging.rows import WORDS, instruction, made_up

NAMES = tuple(sorted(WORDS))


def trained() -> TrainedClassifier:
    return train_classifier(made_up(20, 0), made_up(100, 1), NAMES)


def tags(tagger: ClassifierTagger, rows: list) -> list[Tag]:
    return [outcome for _, outcome in tagger.tag(rows) if isinstance(outcome, Tag)]


def test_subjects_are_told_apart_and_confidence_is_high() -> None:
    rows = made_up(100, 2)
    given = tags(ClassifierTagger(trained()), rows)
    assert np.mean([tag.category == row.category for tag, row in zip(given, rows, strict=True)]) > 0.99
    assert np.mean([tag.confidence for tag in given]) > 0.9


def test_a_row_of_no_subject_has_low_confidence() -> None:
    row = made_up(1, 0)[0]
    nothing = type(row)("x", (("user", "zzz qqq"), ("assistant", "xxx")), "untagged")
    (tag,) = tags(ClassifierTagger(trained()), [nothing])
    assert tag.confidence < 0.6


def test_several_processes_give_what_one_gives_in_order_and_read_ahead_a_few_batches() -> None:
    classifier, rows = trained(), made_up(3000, 3)
    read = 0

    def counted():
        nonlocal read
        for row in rows:
            read += 1
            yield row

    with Workers(2) as workers:
        stream = ClassifierTagger(classifier, workers).tag(counted())
        first = next(stream)
        assert read <= 2 * 2 * 2000 < len(rows)
        together = [first, *stream]
        taught = train_classifier(made_up(20, 0), made_up(100, 1), NAMES, workers=workers)
    assert [row.id for row, _ in together] == [row.id for row in rows]
    assert together == list(ClassifierTagger(classifier).tag(rows))
    np.testing.assert_array_equal(taught.model.weights, classifier.model.weights)
    assert taught.model.slope == classifier.model.slope
    np.testing.assert_array_equal(taught.agreement.confidence, classifier.agreement.confidence)


def test_long_rows_are_read_in_shorter_batches() -> None:
    read = 0

    def long_rows():
        nonlocal read
        for number in range(40):
            read += 1
            yield instruction(f"boil {number} " + "x" * 1_000_000)

    next(ClassifierTagger(trained()).tag(long_rows()))
    assert read == 4


class DiesWhereItArrives:
    def __reduce__(self):
        return os._exit, (1,)


def test_a_process_that_dies_at_its_start_ends_the_tagging() -> None:
    classifier = trained()
    deadly = TrainedClassifier(DiesWhereItArrives(), classifier.model, classifier.agreement)
    with Workers(2) as workers, pytest.raises(RunError, match="A tagging process died"):
        list(ClassifierTagger(deadly, workers).tag(made_up(10, 0)))


def test_labels_of_the_unlabelled_rows_are_not_looked_at() -> None:
    hidden = [type(row)(row.id, row.messages, "untagged") for row in made_up(100, 1)]
    blind = train_classifier(made_up(20, 0), hidden, NAMES)
    np.testing.assert_array_equal(blind.model.weights, trained().model.weights)


def test_cross_validation_agrees_with_the_share_right_on_new_rows(shared_data: Path) -> None:
    train = read_pool(FilesSource(paths=(str(shared_data / "realpool" / "train.jsonl.gz"),))).by_category()
    dev = list(read_pool(FilesSource(paths=(str(shared_data / "realpool" / "dev.jsonl.gz"),))).instructions)
    labelled = [row for rows in train.values() for row in rows[:20]]
    unlabelled = [row for rows in train.values() for row in rows[20:220]]
    classifier = train_classifier(labelled, unlabelled, tuple(train))
    given = tags(ClassifierTagger(classifier), dev)
    right = np.mean([tag.category == row.category for tag, row in zip(given, dev, strict=True)])
    assert right >= 0.93
    assert right == pytest.approx(classifier.agreement.share, abs=4 * classifier.agreement.standard_error)
    assert np.mean([tag.confidence for tag in given]) == pytest.approx(right, abs=0.05)
