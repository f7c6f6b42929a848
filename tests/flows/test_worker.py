"""What a worker writes down for those who watch."""

from __future__ import annotations

import pickle
from pathlib import Path

from flows.monitor_table import step_text
from flows.worker import ProgressFile, read_progress


def test_progress_of_answers_is_read_back_as_shown(tmp_path: Path) -> None:
    # Where several workers train, the progress travels to another process.
    pickle.loads(pickle.dumps(ProgressFile(tmp_path))).answers(8, 24)
    progress = read_progress(tmp_path)
    assert progress is not None
    assert step_text(progress) == "answering 8 of 24"
