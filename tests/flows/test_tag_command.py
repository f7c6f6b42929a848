from __future__ import annotations

import csv
import json
import signal
import time
from pathlib import Path

import pytest

from tasks.pool.config import FilesSource
from tasks.pool.reader import read_pool
from tasks.pool.storage import write_instructions
from tests.flows.command import Command
from tests.tasks.inference.openai_server import Server, serve
from tests.tasks.tagging.rows import WORDS, made_up, write_pool

CATEGORIES = "banking: Money and loans\ncooking: Food\nsailing: Ships and boats\n"


def subject(prompt: str) -> str:
    """The truth about a made-up row."""
    return next(name for name, words in WORDS.items() if set(words) & set(prompt.split()))


def test_the_classifier_tags_a_pool_that_an_experiment_reads(command: Command, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", made_up(60, 1))
    with pool.open("a") as stream:
        stream.write('{"messages": []}\n')
    write_instructions(tmp_path / "labelled.jsonl", made_up(20, 0))
    done = command.run(
        *(
            "tag",
            "--data",
            str(pool),
            "--engine",
            "classifier",
            "--labelled",
            str(tmp_path / "labelled.jsonl"),
            "--processes",
            "1",
        ),
        *("--out", str(tmp_path / "tagged.jsonl"), "--compare-with", "subject", "--minimum-confidence", "0.5"),
    )
    assert done.returncode == 0, done.stderr
    assert "Agreement with native labels: 100.00%" in done.stdout
    assert "Cross-validated agreement on 60 labelled rows" in done.stdout
    tagged = read_pool(FilesSource(paths=(str(tmp_path / "tagged.jsonl"),)))
    assert all(row.category == row.id.split()[0] for row in tagged.instructions)
    summary = json.loads((tmp_path / "tagged.summary.json").read_text())
    assert summary["rows"]["kept"] + summary["rows"]["low_confidence"] == 180
    assert summary["rejected"] == {"no answer": 1}
    with (tmp_path / "tagged.confusion.csv").open() as stream:
        assert {row["native label"]: row["rows"] for row in csv.DictReader(stream)} == dict.fromkeys(
            sorted(WORDS), "60"
        )


def test_after_kill_minus_9_no_answered_row_is_asked_again(command: Command, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", made_up(40, 1))
    (tmp_path / "list.yaml").write_text(CATEGORIES)
    with serve(Server(subject, delay=0.1)) as server:
        arguments = [
            *("tag", "--data", str(pool), "--engine", "endpoint", "--endpoint", server.url, "--model", "tiny"),
            *("--categories", str(tmp_path / "list.yaml"), "--out", str(tmp_path / "tagged.jsonl")),
            *("--concurrency", "4", "--compare-with", "subject", "--price-in", "1", "--price-out", "2"),
        ]
        process = command.start(*arguments)
        answers = tmp_path / "tagged.answers.jsonl"
        while not (answers.exists() and answers.read_bytes().count(b"\n") >= 30):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "tagged.jsonl").exists()
        kept = {
            json.loads(line)["key"] for line in answers.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
        }
        server.delay = 0
        done = command.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert f"{120 - len(kept)} rows asked, {len(kept)} answered before" in done.stdout
        # What was under way when the process was killed may be asked twice: at most as many as at once.
        assert sum(server.asked.values()) <= 120 + 4
    assert "Agreement with native labels: 100.00%" in done.stdout
    assert len(read_pool(FilesSource(paths=(str(tmp_path / "tagged.jsonl"),))).instructions) == 120


def test_free_tags_become_categories_by_themselves(command: Command, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", made_up(12, 1))
    names = {
        "banking": ["Bank Loan", "bank loans"],
        "cooking": ["Recipe", "recipes!"],
        "sailing": ["sailing boat", "Sailing Boats"],
    }
    with serve(Server(lambda prompt: [names[subject(prompt)][len(prompt) % 2]])) as server:
        done = command.run(
            *(
                "tag",
                "--data",
                str(pool),
                "--engine",
                "endpoint",
                "--endpoint",
                server.url,
                "--model",
                "tiny",
                "--processes",
                "1",
            ),
            *("--out", str(tmp_path / "tagged.jsonl"), "--first-level", "3", "--minimum-tag-rows", "3"),
        )
    assert done.returncode == 0, done.stderr
    tagged = read_pool(FilesSource(paths=(str(tmp_path / "tagged.jsonl"),)))
    assert tagged.counts() == {"bank loan": 12, "recipe": 12, "sailing boat": 12}
    assert (tmp_path / "tagged.vocabulary" / "5-categories.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "classifier"), "needs --labelled"),
        (("--engine", "embedding"), "needs --categories"),
        (("--engine", "endpoint", "--endpoint", "http://127.0.0.1:9/v1"), "needs --endpoint URL and --model NAME"),
        (("--engine", "vllm"), "needs --model FOLDER or NAME"),
        (("--engine", "vllm", "--model", "m", "--vllm-option", "dtype"), "expected NAME=VALUE"),
        (("--engine", "embedding", "--categories", "absent.yaml"), "absent.yaml: cannot be read"),
    ],
)
def test_bad_input_ends_with_one_message_and_exit_code_2(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", made_up(1, 1))
    done = command.run("tag", "--data", str(pool), *arguments, "--out", str(tmp_path / "tagged.jsonl"))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("beyond-iid:") == 1


def test_the_pool_itself_is_no_place_for_the_result(command: Command, tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool.jsonl", made_up(1, 1))
    before = pool.read_bytes()
    done = command.run(
        "tag", "--data", str(pool), "--engine", "embedding", "--categories", "x.yaml", "--out", str(pool)
    )
    assert done.returncode == 2
    assert "which would lose it" in done.stderr
    assert pool.read_bytes() == before


def test_a_missing_pool_ends_with_exit_code_2(command: Command, tmp_path: Path) -> None:
    write_instructions(tmp_path / "labelled.jsonl", made_up(20, 0))
    done = command.run(
        *("tag", "--data", str(tmp_path / "absent.jsonl"), "--engine", "classifier"),
        *("--labelled", str(tmp_path / "labelled.jsonl"), "--out", str(tmp_path / "tagged.jsonl")),
    )
    assert done.returncode == 2
    assert "absent.jsonl: no such file" in done.stderr
