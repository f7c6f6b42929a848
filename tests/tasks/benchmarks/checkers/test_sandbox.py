"""Hostile programs, each bounded so that even a broken enclosure would do no lasting harm."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tasks.benchmarks.checkers.code import passes, program_of
from tasks.benchmarks.checkers.sandbox import Limits, SandboxError, run_tests, unavailable
from tasks.errors import InputError

QUICK = Limits(seconds=4)
needs_enclosure = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


@needs_enclosure
def test_right_program_passes_and_wrong_one_fails() -> None:
    assert run_tests("def add(a, b):\n    return a + b", "assert add(2, 3) == 5", QUICK) == "passed"
    assert run_tests("def add(a, b):\n    return a - b", "assert add(2, 3) == 5", QUICK) == "failed"
    assert run_tests("def add(a, b) return", "assert True", QUICK) == "failed"


@needs_enclosure
def test_endless_loop_is_overtime_and_leaves_nothing() -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    assert run_tests("while True: pass", "", Limits(seconds=0.7)) == "overtime"
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before


@needs_enclosure
def test_ending_early_does_not_pass() -> None:
    for program in ("import sys; sys.exit(0)", "import os; os._exit(0)", "raise SystemExit"):
        assert run_tests(program, "assert False", QUICK) == "failed"


@needs_enclosure
def test_starting_processes_stops_at_the_limit_and_none_outlives() -> None:
    mark = f"beyond-iid-{os.getpid()}"
    program = f"""
import os, sys, time
started = 0
try:
    for _ in range(40):
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(60)", "{mark}"])
        started += 1
except OSError:
    pass
"""
    limits = Limits(seconds=4, processes=6)
    assert run_tests(program, "assert started == 5", limits) == "passed"
    assert run_tests(program, "assert started == 40", limits) == "failed"
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or [])]


@needs_enclosure
def test_process_in_a_session_of_its_own_does_not_outlive() -> None:
    mark = f"beyond-iid-own-{os.getpid()}"
    program = f"""
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(60)", "{mark}"])
    os._exit(0)
os.wait()
"""
    assert run_tests(program, "", QUICK) == "passed"
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or [])]


@needs_enclosure
def test_files_outside_its_folder_can_be_neither_written_nor_seen(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    for place in (tmp_path / "new", Path("/tmp/new"), Path("/usr/new"), Path("/new")):
        assert run_tests(f"open({str(place)!r}, 'w').write('x')", "", QUICK) == "failed"
        assert not place.exists()
    assert run_tests(f"text = open({str(secret)!r}).read()", "", QUICK) == "failed"
    assert run_tests("import os", f"assert not os.path.exists({str(Path.cwd())!r})", QUICK) == "passed"
    assert run_tests("open('a', 'w').write('x')", "assert open('a').read() == 'x'", QUICK) == "passed"


@needs_enclosure
def test_folder_takes_no_more_than_its_size() -> None:
    program = "for k in range(10):\n    open(f'{k}', 'wb').write(bytes(2**20))"
    assert run_tests(program, "", Limits(seconds=4, file_bytes=4 << 20)) == "failed"
    assert run_tests(program, "", Limits(seconds=4, file_bytes=16 << 20)) == "passed"


@needs_enclosure
def test_network_is_out_of_reach_even_on_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reached = threading.Event()
        server.settimeout(1)

        def accept() -> None:
            try:
                server.accept()
                reached.set()
            except TimeoutError:
                pass

        listener = threading.Thread(target=accept)
        listener.start()
        port = server.getsockname()[1]
        program = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)"
        assert run_tests(program, "", QUICK) == "failed"
        listener.join()
    assert not reached.is_set()


@needs_enclosure
def test_allocating_ten_gigabytes_fails() -> None:
    before = psutil.virtual_memory().available
    assert run_tests("block = bytearray(10 * 2**30)", "", QUICK) == "failed"
    assert psutil.virtual_memory().available > before - 5 * 2**30
    assert run_tests("block = bytearray(100 * 2**20)", "assert len(block)", QUICK) == "passed"


@needs_enclosure
def test_rights_and_environment_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    tests = "import os\nassert os.geteuid() != 0 and 'SECRET_TOKEN' not in os.environ"
    assert run_tests("", tests, QUICK) == "passed"
    parent = os.getpid()
    assert run_tests(f"import os\nos.kill({parent}, 0)", "", QUICK) == "failed"


@needs_enclosure
def test_several_at_once_do_not_count_to_each_other() -> None:
    program = "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        time.sleep(0.5); os._exit(0)\n"
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: run_tests(program, "", Limits(seconds=8, processes=6)), range(4)))
    assert outcomes == ["passed"] * 4


@needs_enclosure
def test_endless_output_ends_at_the_time_limit() -> None:
    program = "import os, sys\nwhile True:\n    os.write(order['pipe'], b'x' * 65536)"
    assert run_tests(program, "", Limits(seconds=1)) in ("failed", "overtime")
    assert run_tests("print('x' * 10**7)", "", QUICK) == "passed"


@needs_enclosure
def test_passes_reads_the_program_from_a_fence() -> None:
    answer = "Here:\n```python\ndef double(x):\n    return 2 * x\n```\nIt doubles."
    assert passes(answer, "assert double(4) == 8", QUICK)
    assert not passes(answer, "assert double(4) == 9", QUICK)


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("x = 1", "x = 1"),
        ("```python\na\n```\ntext\n```py\nb\n```", "a\n\nb\n"),
        ("```\na\n```\n```bash\nls\n```", "a\n"),
        ("```python\na\nb", "a\nb"),
        ("~~~ python\na\n~~~", "a\n"),
    ],
)
def test_program_of_takes_fenced_python(answer: str, program: str) -> None:
    assert program_of(answer) == program


@pytest.mark.parametrize("change", [{"seconds": 0}, {"memory_bytes": 1}, {"processes": 0}, {"file_bytes": 0}])
def test_limits_that_are_none_are_refused(change: dict) -> None:
    with pytest.raises(InputError, match="expected seconds above 0"):
        Limits(**change)


def test_where_the_enclosure_cannot_be_built_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(SandboxError, match=r"none was run\. Use Linux"):
        run_tests(f"open({str(tmp_path / 'ran')!r}, 'w')", "", QUICK)
    assert not (tmp_path / "ran").exists()
