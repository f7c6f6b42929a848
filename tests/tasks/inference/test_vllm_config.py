from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.inference.vllm_config import VllmConfig, engine_arguments, model_identity, need_vllm, read_options


def test_vllm_is_installed_for_the_tests() -> None:
    need_vllm()


def test_options_are_read_as_json_where_they_are() -> None:
    assert read_options(["max_model_len=64", "dtype=float32", "enforce_eager=false", 'rope={"a": [1]}']) == {
        "max_model_len": 64,
        "dtype": "float32",
        "enforce_eager": False,
        "rope": {"a": [1]},
    }


@pytest.mark.parametrize("pair", ["max_model_len", "=1", "max model=1"])
def test_another_text_is_refused(pair: str) -> None:
    with pytest.raises(InputError, match="expected NAME=VALUE"):
        read_options([pair])


def test_what_has_an_option_of_its_own_is_refused_as_an_engine_argument() -> None:
    with pytest.raises(InputError, match="--tensor-parallel"):
        VllmConfig("m", options={"tensor_parallel_size": 2})


def test_options_overrule_what_processors_get_and_gpus_do_not_get_it() -> None:
    assert engine_arguments({}, gpu=False)["enforce_eager"] is True
    assert engine_arguments({"enforce_eager": False}, gpu=False)["enforce_eager"] is False
    assert "enforce_eager" not in engine_arguments({}, gpu=True)


def test_other_weights_in_the_same_folder_are_another_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    (tmp_path / "notes.txt").write_text("a")
    first = model_identity(str(tmp_path))
    (tmp_path / "notes.txt").write_text("another")
    assert model_identity(str(tmp_path)) == first
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    assert model_identity(str(tmp_path)) != first


def test_a_name_on_the_hub_is_its_own_identity_and_anything_else_must_be_a_model_folder(tmp_path: Path) -> None:
    assert model_identity("owner/model") == "owner/model"
    with pytest.raises(InputError, match="no such folder"):
        model_identity("./owner/model")
    with pytest.raises(InputError, match="holds no config"):
        model_identity(str(tmp_path))
