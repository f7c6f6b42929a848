"""The worker's log: bounded, complete for its reader, without credentials."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flows.monitor_log import LOG_BYTES, LOG_FILE, TRACEBACK_FILE, LogTail, logged, without_secrets, write_line
from flows.monitor_markdown import escaped
from tasks.errors import RunError


def test_tail_gives_each_line_once_with_its_level(tmp_path: Path) -> None:
    write_line(tmp_path, logging.INFO, "of an earlier attempt")
    tail = LogTail(tmp_path)
    write_line(tmp_path, logging.INFO, "first")
    write_line(tmp_path, logging.WARNING, "second")
    assert [(level, text.split(" ", 1)[1]) for level, text in tail.lines(10)] == [
        (logging.INFO, "first"),
        (logging.WARNING, "second"),
    ]
    assert tail.lines(10) == []


def test_tail_leaves_a_half_written_line_for_the_next_look(tmp_path: Path) -> None:
    tail = LogTail(tmp_path)
    with (tmp_path / LOG_FILE).open("a") as log:
        log.write("2026-01-01 00:00:00 INFO half")
        log.flush()
        assert tail.lines(10) == []
        log.write(" and half\n")
    assert tail.lines(10) == [(logging.INFO, "00:00:00 half and half")]


def test_tail_of_too_many_lines_gives_the_last_and_counts_the_rest(tmp_path: Path) -> None:
    tail = LogTail(tmp_path)
    for number in range(50):
        write_line(tmp_path, logging.INFO, f"line {number}")
    lines = [text for _, text in tail.lines(10)]
    assert lines[0].startswith("40 lines are left out")
    assert [line.split()[-1] for line in lines[1:]] == [str(number) for number in range(40, 50)]


def test_log_never_grows_beyond_its_bound_and_says_that_it_is_full(tmp_path: Path) -> None:
    for _ in range(200):
        write_line(tmp_path, logging.INFO, "x" * 5000)
    assert (tmp_path / LOG_FILE).stat().st_size <= LOG_BYTES + 1
    assert (tmp_path / LOG_FILE).read_text().count("the log is full") == 1
    with logged(tmp_path):
        write_line(tmp_path, logging.INFO, "the next attempt")
    assert "the next attempt" in (tmp_path / LOG_FILE).read_text()


def test_warnings_of_libraries_reach_the_log_and_errors_leave_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(RunError), logged(tmp_path):
        logging.getLogger("some.library").warning("mind the %s", "gap")
        raise RunError("the loss became nan\nand more")
    log = (tmp_path / LOG_FILE).read_text()
    assert "WARNING some.library: mind the gap" in log
    assert f"ERROR RunError: the loss became nan (traceback: {tmp_path / TRACEBACK_FILE})" in log
    assert "test_monitor_log.py" in (tmp_path / TRACEBACK_FILE).read_text()
    with logged(tmp_path):
        pass
    assert not (tmp_path / TRACEBACK_FILE).exists(), "an attempt's traceback goes with the next attempt"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://me:s3cr3t-word@db.example:5432/results is not reachable",
        "password=s3cr3t-word host=db",
        "api_key: s3cr3t-word",
        "Authorization: Bearer s3cr3t-word",
        "got HF_AUTH_TOKEN=s3cr3t-word",
        "the environment says s3cr3t-word in the middle",
    ],
)
def test_credentials_never_reach_log_or_traceback(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "environment" in text:
        monkeypatch.setenv("SOME_SERVICE_TOKEN", "s3cr3t-word")
    with pytest.raises(ValueError, match="s3cr3t"), logged(tmp_path):
        write_line(tmp_path, logging.INFO, text)
        raise ValueError(text)
    assert "s3cr3t-word" not in (tmp_path / LOG_FILE).read_text()
    assert "s3cr3t-word" not in (tmp_path / TRACEBACK_FILE).read_text()


def test_ordinary_words_about_tokens_are_left_alone() -> None:
    text = "loss 2.3 nats per token: 400 tokens/s at 127.0.0.1:8265"
    assert without_secrets(text) == text


def test_names_in_markdown_are_shown_and_not_interpreted() -> None:
    name = "<img src=x>|`a`|[b](http://c)|**d**"
    shown = escaped(name)
    assert "<" not in shown
    for sign in "|`[*":
        assert all(shown[at - 1] == "\\" for at, c in enumerate(shown) if c == sign)
