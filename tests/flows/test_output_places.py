"""Output places that cannot be written end a command before it computes: exit code 2, one message, nothing left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli import main
from flows.cli.places import check_file, check_folder
from tasks.errors import InputError

MATRIX = "target,a,b\na,1,0.2\nb,0.1,1\n"
BASELINE = "category,share\na,0.5\nb,0.5\n"
RUNS = "run,seed,arm,a,b\n" + "".join(f"{s}{x},{s},{x},{y}\n" for s in (1, 2) for x, y in
                                      (("baseline", "5,5"), ("no a", "0,5"), ("no b", "5,0")))  # fmt: skip
SCORES = "run,a,b\n1baseline,1,2\n1no a,3,2.5\n1no b,1.5,4\n2baseline,1.1,2.3\n2no a,3.2,2.4\n2no b,1.4,4.6\n"

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, content in (("m", MATRIX), ("b", BASELINE), ("r", RUNS), ("s", SCORES)):
        Path(f"{name}.csv").write_text(content)
    Path("at.csv").write_text("run,a,b\nnew,4,6\n")
    Path("data.jsonl").write_text('{"instruction": "x", "output": "y", "category": "a"}\n')
    Path("roles.csv").write_text("category,role\na,base\n")
    Path("folder").mkdir()
    Path("file").write_text("kept\n")

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["beyond-iid", *arguments])
        with pytest.raises(SystemExit) as end:
            main.main()
        return int(end.value.code or 0), capsys.readouterr().err

    return call


EFFECTS = ("effects", "--runs", "r.csv", "--scores", "s.csv")
TAXONOMY = ("taxonomy", "--effects", "m.csv", "--threshold", "0.1")
PROPORTIONS = ("proportions", "--effects", "m.csv", "--baseline", "b.csv")
PREDICT = ("predict", "--runs", "r.csv", "--scores", "s.csv", "--at", "at.csv")
CURRICULUM = ("curriculum", "--data", "data.jsonl", "--roles", "roles.csv")
SIMULATE = ("simulate", "--worlds", "2000")


@pytest.mark.parametrize(
    ("command", "place", "words"),
    [
        (EFFECTS, "file", "is a file"),
        (EFFECTS, "/proc/foo", "cannot be written"),
        (EFFECTS, "file/below", "cannot be written (Not a directory)"),
        (TAXONOMY, "file", "is a file"),
        (PROPORTIONS, "folder", "is a folder"),
        (PROPORTIONS, "file/p.csv", "cannot be written"),
        (PREDICT, "folder", "is a folder"),
        (CURRICULUM, "folder", "is a folder"),
        (SIMULATE, "folder", "is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_by_name(
    run: Run, command: tuple[str, ...], place: str, words: str
) -> None:
    before = sorted(os.walk("."))
    code, said = run(*command, "--out", place)
    assert (code, f"--out {place}: {words}" in said) == (2, True), said
    assert said.count("\n") == 1
    assert sorted(os.walk(".")) == before
    assert Path("file").read_text() == "kept\n"


@pytest.mark.parametrize("command", [EFFECTS, TAXONOMY, PROPORTIONS, PREDICT])
def test_a_bad_input_leaves_no_folder_behind_and_a_new_folder_is_made_for_a_good_one(
    run: Run, command: tuple[str, ...]
) -> None:
    broken = tuple("nothing.csv" if argument in ("r.csv", "m.csv") else argument for argument in command)
    assert run(*broken, "--out", "new/er/out")[0] == 2
    assert not Path("new").exists()
    code, said = run(*command, "--out", "new/er/out")
    assert (code, Path("new/er/out").exists()) == (0, True), said


def test_a_file_that_the_system_refuses_ends_with_its_name_and_exit_code_2(run: Run) -> None:
    Path("out").mkdir()
    Path("out/delta.csv").mkdir()
    code, said = run(*EFFECTS, "--out", "out")
    assert (code, "out/delta.csv: Is a directory" in said, "unexpected" in said) == (2, True, False), said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("check", [check_file, check_folder])
def test_a_folder_without_permission_is_refused(check: Callable[[Path], None], tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        check(tmp_path / "new")


def test_a_pipe_or_device_may_be_written(tmp_path: Path) -> None:
    check_file(Path("/dev/null"))
    os.mkfifo(tmp_path / "pipe")
    check_file(tmp_path / "pipe")
