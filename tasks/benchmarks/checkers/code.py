"""Programs in answers, checked by unit tests."""

from __future__ import annotations

import re

from tasks.benchmarks.checkers.sandbox import Limits, run_tests

_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_PYTHON = ("python", "python3", "py")


def program_of(answer: str) -> str:
    """The program in an answer: all fenced Python blocks together, in order; else all fenced blocks without a
    language; else the whole answer. A block whose fence is never closed reaches to the end.
    """
    blocks = _FENCE.findall(answer)
    for languages in (_PYTHON, ("",)):
        if chosen := [code for language, code in blocks if language.lower() in languages]:
            return "\n".join(chosen)
    return answer


def passes(answer: str, tests: str, limits: Limits | None = None) -> bool:
    """Whether the program in an answer passes the tests (Python statements, such as asserts) within the limits.

    Raises:
        SandboxError: programs cannot be run safely on this machine; nothing was run.
    """
    return run_tests(program_of(answer), tests, limits) == "passed"
