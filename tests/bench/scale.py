"""The fan-out at 250 to 2,000 runs: fine-tunes replaced by a wait, everything else real (Prefect, Ray, Postgres).

python -m tests.bench.scale [RUNS:SLOTS ...]; each pair in a state folder and processes of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from infra.postgres import running_url
from tests.bench.prefect_records import ask, flow_runs
from tests.bench.recovery import EXPERIMENT

PAIRS = ("250:2", "250:16", "500:16", "1000:16", "2000:16")
WAIT = 1.0
"""Seconds a pretended fine-tune takes."""
SAMPLE_SECONDS = 1.0
MARKS = (0, 250, 500, 1000, 1500, 2000)
"""Runs done at which memory is shown."""
_TABLES = ("run", "score", "intervention", "intervention_category", "planned_run")
_SERVER_TABLES = ("flow_run", "flow_run_state", "task_run", "task_run_state", "events", "log", "artifact")


@dataclass(frozen=True)
class Sample:
    """What the processes hold at one moment; memory in MB (resident), CPU in seconds since their start."""

    seconds: float
    done: int
    driver: float
    server: float
    postgres: float
    ray: float
    threads: int
    driver_cpu: float
    server_cpu: float
    sqlite: float


def pretend(folder: str, *_: Any) -> None:
    """Wait, then leave the record that a fine-tune and its benchmark would have left."""
    from pydantic import TypeAdapter

    from tasks.benchmarks.run import RunRecord
    from tasks.benchmarks.scores import HELD_OUT_METRICS, Score
    from tasks.finetune.spec import TrainingRecord
    from tasks.finetune.spec_file import RECORD_NAME, read_spec, write_json

    out = Path(folder)
    spec = read_spec(out / "spec.json")
    time.sleep(WAIT)
    training = TrainingRecord(
        spec.fingerprint, "", 1, 1, 1, ((1, 1.0),), spec.manifest_sha256, WAIT, "cpu", "torch", "bench", 0, ()
    )
    categories = json.loads(os.environ["BENCH_CATEGORIES"])
    value = int(spec.fingerprint[:8], 16) / 2**32
    scores = tuple(Score(category, metric.name, value, 100) for category in categories for metric in HELD_OUT_METRICS)
    write_json(out / RECORD_NAME, TypeAdapter(RunRecord).dump_python(RunRecord(training, scores, 0.0), mode="json"))


def main(pairs: tuple[str, ...] = PAIRS) -> None:
    """Print overhead, growth and rows for each (runs, slots)."""
    found = {}
    for pair in pairs:
        found[pair] = _measured(pair)
        _growth(pair, found[pair])
    _overhead(found)
    _rows(found)


def _measured(pair: str) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="beyond-iid-scale-"))
    try:
        environment = {**os.environ, "BEYOND_IID_HOME": str(home), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", "tests.bench.scale", "--drive", pair]
        ended = subprocess.run(command, env=environment, check=False, stderr=subprocess.PIPE, text=True)
        if ended.returncode:
            sys.exit(f"{pair}: the driver ended with {ended.returncode}\n{ended.stderr[-4000:]}")
        return dict(json.loads((home / "result.json").read_text()))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def drive(pair: str) -> None:
    """Measure so many mixtures with pretended fine-tunes in this process; the result goes to the state folder."""
    from flows.experiment_file import load_experiment
    from tasks.pool.skillworld import skill_world
    from tests.bench.measure_only import measure

    runs, slots = map(int, pair.split(":"))
    home = Path(os.environ["BEYOND_IID_HOME"])
    os.environ["BENCH_CATEGORIES"] = json.dumps(sorted(skill_world(1).baseline_counts))
    cpus = min(len(os.sched_getaffinity(0)), slots)
    changes = [
        "name=scale",
        f"design={{kind: mixtures, number: {runs - 1}, seeds: [1]}}",
        "recipe.model.warmup_epochs=0",
        f"resources.cpus_per_run={cpus / slots}",
        f"resources.max_parallel={slots}",
    ]
    recorder = _Recorder(home)
    start = time.time()
    recorder.start()
    measure(load_experiment(EXPERIMENT, changes), _substitute)
    recorder.stop()
    whole, fan = flow_runs(home)[:2]
    assert whole.start and fan.start and fan.end
    result = {
        "runs": runs,
        "slots": slots,
        "wall": fan.end - fan.start,
        "before": fan.start - start,
        "plan": fan.start - whole.start,
        "samples": [asdict(sample) for sample in recorder.samples],
        "rows": recorder.rows,
        "server_rows": {table: ask(home, f"SELECT count(*) FROM {table}")[0][0] for table in _SERVER_TABLES},
        "store": sum(path.stat().st_size for path in (home / "artifacts" / "runs").rglob("*") if path.is_file()) / 1e6,
    }
    (home / "result.json").write_text(json.dumps(result))


def _substitute() -> None:
    import flows.run_board

    # From the module that workers can import; under its name here it would be `__main__`.
    from tests.bench.scale import pretend as importable

    vars(flows.run_board)["execute_run"] = importable


class _Recorder(threading.Thread):
    """Samples this process and those of its state folder until it is told to stop."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._home, self._begin, self._end = home, time.time(), threading.Event()
        self.samples: list[Sample] = []
        self.rows: dict[str, int] = {}

    def run(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            self._sample()

    def stop(self) -> None:
        self._end.set()
        self.join()

    def _sample(self) -> None:
        url = running_url(self._home)
        if url is None:
            return
        try:
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                query = "SELECT count(*) FROM run WHERE state = 'finished'"
                done = int((connection.execute(query).fetchone() or (0,))[0])
                for table in _TABLES:
                    self.rows[table] = int((connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,))[0])
        except psycopg.Error:
            return
        self.samples.append(self._state(done))

    def _state(self, done: int) -> Sample:
        driver = psutil.Process()
        groups: dict[str, list[psutil.Process]] = {"server": [], "postgres": _postgres(self._home), "ray": []}
        for process in driver.children(recursive=True):
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if "infra.prefect_server" not in line:
                groups["server" if "prefect server start" in line else "ray"].append(process)
        file = self._home / "prefect" / "prefect.db"
        size = sum(one.stat().st_size for one in file.parent.glob("prefect.db*")) / 1e6 if file.exists() else 0.0
        return Sample(
            time.time() - self._begin, done, _memory([driver]), _memory(groups["server"]),
            _memory(groups["postgres"]), _memory(groups["ray"]),
            driver.num_threads(), _cpu([driver]), _cpu(groups["server"]), size,
        )  # fmt: skip


def _postgres(home: Path) -> list[psutil.Process]:
    """The embedded server's processes, which are no children of those that started it."""
    try:
        postmaster = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))
        return [postmaster, *postmaster.children(recursive=True)]
    except (OSError, ValueError, psutil.Error):
        return []


def _memory(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            total += process.memory_info().rss / 1e6
        except psutil.Error:
            continue
    return total


def _cpu(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def _overhead(found: dict[str, dict[str, Any]]) -> None:
    print(
        f"\n| runs (each waits {WAIT:g} s) | slots | fan-out, s | runs per s | overhead per run and slot, s | "
        "efficiency | driver CPU per run, s | server CPU per run, s | planning, s |\n|" + " --- |" * 9
    )
    for result in found.values():
        runs, slots, wall = result["runs"], result["slots"], result["wall"]
        inside = [sample for sample in result["samples"] if sample["seconds"] >= result["before"]]
        cpu = {key: inside[-1][key] - inside[0][key] for key in ("driver_cpu", "server_cpu")}
        print(
            f"| {runs} | {slots} | {wall:.1f} | {runs / wall:.2f} | {wall * slots / runs - WAIT:.2f} | "
            f"{runs * WAIT / slots / wall:.2f} | {cpu['driver_cpu'] / runs:.3f} | {cpu['server_cpu'] / runs:.3f} | "
            f"{result['plan']:.1f} |"
        )


def _growth(pair: str, result: dict[str, Any]) -> None:
    print(
        f"\n| {pair}: runs done | after, s | driver, MB | its threads | Prefect server, MB | its file, MB | Postgres, "
        "MB | Ray, MB |\n|" + " --- |" * 8
    )
    for mark in sorted({mark for mark in MARKS if mark < result["runs"]} | {result["runs"]}):
        at = next((sample for sample in result["samples"] if sample["done"] >= mark), None)
        if at:
            print(
                f"| {at['done']} | {at['seconds'] - result['before']:.0f} | {at['driver']:.0f} | {at['threads']} | "
                f"{at['server']:.0f} | {at['sqlite']:.1f} | {at['postgres']:.0f} | {at['ray']:.0f} |"
            )


def _rows(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n| rows | {' | '.join(found)} |\n|" + " --- |" * (len(found) + 1))
    for key, tables in (("rows", _TABLES), ("server_rows", _SERVER_TABLES)):
        for table in tables:
            cells = [str(result[key].get(table, "")) for result in found.values()]
            print(f"| {'Postgres' if key == 'rows' else 'Prefect'}: {table} | {' | '.join(cells)} |")
    print(f"| run folders, MB | {' | '.join(format(result['store'], '.1f') for result in found.values())} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        drive(sys.argv[2])
    else:
        main(tuple(sys.argv[1:]) or PAIRS)
