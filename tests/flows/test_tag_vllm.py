"""The command's whole vLLM path with a real language model on processors: SmolLM2-135M through Ray Data."""

from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks.finetune.smollm2 import save_smollm2
from tasks.tagging.categories import Categories
from tasks.tagging.questions import category_question
from tests.flows.command import Command, processes
from tests.tasks.tagging.rows import made_up, write_pool

pytestmark = pytest.mark.timeout(900)

LIST = Categories(("banking", "cooking", "sailing"), ("Money and loans", "Food", "Ships and boats"))
TOO_LONG = "how " * 3000


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    save_smollm2(folder)
    return folder


def test_vllm_tags_through_ray_and_goes_on_after_kill_minus_9(command: Command, smollm2: Path, tmp_path: Path) -> None:
    rows = made_up(16, 1)
    pool = write_pool(tmp_path / "pool.jsonl", rows)
    with pool.open("a") as stream:
        messages = [{"role": "user", "content": TOO_LONG}, {"role": "assistant", "content": TOO_LONG}]
        stream.write(json.dumps({"id": "long", "messages": messages, "subject": "sailing"}) + "\n")
    (tmp_path / "list.json").write_text(json.dumps(dict(zip(LIST.names, LIST.descriptions, strict=True))))
    arguments = [
        *("tag", "--data", str(pool), "--engine", "vllm", "--model", str(smollm2), "--out", str(tmp_path / "t.jsonl")),
        *("--categories", str(tmp_path / "list.json"), "--compare-with", "subject"),
        *("--vllm-option", "max_model_len=1024", "--vllm-option", "dtype=float32"),
        *("--vllm-option", "kv_cache_memory_bytes=268435456"),
    ]
    answers = tmp_path / "t.answers.jsonl"
    process = command.start(*arguments)
    command.wait_for(lambda: answers.exists() and b"\n" in answers.read_bytes(), process, 400)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = [line for line in answers.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    assert not (tmp_path / "t.jsonl").exists()

    done = command.run(*arguments)

    assert done.returncode == 0, done.stderr
    assert f"{48 - len(kept)} rows asked, {len(kept)} answered before" in done.stdout
    assert answers.read_bytes().startswith(b"".join(kept))
    assert "Ray" not in done.stderr
    assert not (tmp_path / "t.questions").exists()
    rejected = [json.loads(line) for line in (tmp_path / "t.rejected.jsonl").read_text().splitlines()]
    assert [row["reason"].split(":")[0] for row in rejected] == ["no answer"]
    assert "1024" in rejected[0]["reason"]
    tagged = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [row["id"] for row in tagged] == [row.id for row in rows]
    check_against_transformers(smollm2, {row["id"]: row for row in tagged}, rows[:4])
    wait_until_gone(str(smollm2))


def check_against_transformers(folder: Path, tagged: dict, rows: list) -> None:
    """Category and confidence by hand: at each step the likeliest of the tokens that keep to a name of the list."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    question = category_question(LIST, as_json=False)
    for row in rows:
        shown = tokenizer.apply_chat_template(question.prompt(row), tokenize=False, add_generation_prompt=True)
        tokens = tokenizer(shown, add_special_tokens=False)["input_ids"]
        said, chance = "", 0.0
        while True:
            with torch.inference_mode():
                logits = model(torch.tensor([tokens])).logits[0, -1].double()
            allowed = [t for t, text in enumerate(texts) if text and any(n.startswith(said + text) for n in LIST.names)]
            allowed += [tokenizer.eos_token_id] if said in LIST.names else []
            best = max(allowed, key=lambda token: logits[token])
            chance += float(logits[best] - torch.logsumexp(logits[allowed], 0))
            if best == tokenizer.eos_token_id:
                break
            said, tokens = said + texts[best], [*tokens, best]
        assert tagged[row.id]["category"] == said
        assert tagged[row.id]["confidence"] == pytest.approx(math.exp(chance), abs=1e-3)


def wait_until_gone(model: str) -> None:
    """Neither run has left an engine: Ray's own processes need a moment after the one that was killed."""
    deadline = time.monotonic() + 60
    while left := processes(lambda line: model in line or "vLLMEngineStage" in line or "VLLM::" in line):
        assert time.monotonic() < deadline, [process.cmdline() for process in left if psutil.pid_exists(process.pid)]
        time.sleep(0.2)
