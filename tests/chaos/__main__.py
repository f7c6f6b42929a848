"""`make chaos`: faults in every phase of a real experiment, printed as a table.

python -m tests.chaos [--only NAME ...] [--up] [--json FILE] [--template FOLDER] [--list]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.chaos.cases import Case, all_cases
from tests.chaos.laboratory import template
from tests.chaos.trial import Trial, attempt

_HEADER = (
    "case", "first start: exit", "after, s", "it said", "runs then", "left running", "flow run on the server",
    "second start", "repeated attempts", "verdict",
)  # fmt: skip


def main() -> None:
    """Play the chosen cases and print a line for each as it ends; exit 1 where any failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these cases, or all whose name starts so")
    parser.add_argument("--up", action="store_true", help="with the services of `beyond-iid up`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--template", type=Path, metavar="FOLDER", help="keep the prepared state folder here")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    chosen = parser.parse_args()
    cases = _wanted(chosen.only)
    if chosen.list:
        print("\n".join(cases))
        return
    folder = chosen.template or Path(tempfile.mkdtemp(prefix="beyond-iid-chaos-template-"))
    try:
        prepared = template(folder.resolve())
        print(f"| {' | '.join(_HEADER)} |\n|{' --- |' * len(_HEADER)}", flush=True)
        trials: list[Trial] = []
        for case in cases.values():
            trials.append(_attempted(case, prepared, chosen.up))
            if chosen.json:
                chosen.json.write_text(json.dumps([asdict(trial) for trial in trials], indent=2))
    finally:
        if not chosen.template:
            shutil.rmtree(folder, ignore_errors=True)
    failed = [trial.name for trial in trials if trial.faults]
    print(f"\n{len(trials) - len(failed)} of {len(trials)} cases as they should be. Failed: {', '.join(failed) or '–'}")
    sys.exit(bool(failed))


def _wanted(names: list[str] | None) -> dict[str, Case]:
    cases = all_cases()
    if not names:
        return cases
    unknown = [one for one in names if not any(name.startswith(one) for name in cases)]
    if unknown:
        sys.exit(f"no case is called {', '.join(unknown)}; known: {', '.join(cases)}")
    return {name: cases[name] for one in names for name in cases if name.startswith(one)}


def _attempted(case: Case, prepared: Path, services: bool) -> Trial:
    if case.small_disk and os.geteuid() != 0:
        trial = Trial(case.name, skipped="needs root, for a file system of its own")
    else:
        try:
            trial = attempt(case, prepared, services)
        except Exception as error:
            traceback.print_exc()
            trial = Trial(case.name, faults=[f"the case itself failed: {type(error).__name__}: {error}"[:400]])
    print(_line(trial), flush=True)
    return trial


def _line(trial: Trial) -> str:
    if trial.skipped:
        return f"| {trial.name} | {' | ' * (len(_HEADER) - 3)} | skipped: {trial.skipped} |"
    cells = (
        trial.name,
        ", ".join("ended by force" if code is None else str(code) for code in trial.exits),
        f"{trial.seconds:.0f}",
        trial.message.removeprefix("beyond-iid: "),
        ", ".join(f"{n} {state}" for state, n in trial.runs.items()),
        ", ".join(trial.left) or "nothing",
        " ".join(trial.server) + (f"; {trial.server_running} still running there" if trial.server_running else ""),
        f"{trial.again}: {trial.trained_again}",
        str(trial.attempts),
        "; ".join(trial.faults) or "passed" + (f" (a killed command may leave {trial.allowed})" * bool(trial.allowed)),
    )
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    main()
