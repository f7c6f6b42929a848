"""Data and models are read, never run: no pickle, no loading script, no template that reaches Python.

Weights that are pickles and models that need their own code are refused in tests/tasks/finetune/test_base.py.
"""

from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.pool.config import FilesSource, HubSource
from tasks.pool.reader import read_pool

ROOT = Path(__file__).resolve().parents[2]
ROW = {"instruction": "copy a", "output": "a", "category": "letters"}


class Attack:
    """Unpickling it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"open({str(self.mark)!r}, 'w').close()",)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that exists once code of the data has run."""
    return tmp_path / "ran"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_attack_would_work_if_it_were_unpickled(mark: Path) -> None:
    pickle.loads(pickle.dumps(Attack(mark)))
    assert mark.exists()


@pytest.mark.parametrize("name", ["pool.pkl", "pool.pickle", "pool.jsonl", "pool.jsonl.gz", "pool.parquet"])
def test_pickled_file_is_refused_under_any_name(name: str, tmp_path: Path, mark: Path) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Attack(mark)))
    with pytest.raises(InputError, match=name):
        read_pool(FilesSource(paths=(str(path),)))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["data.pkl", "train.pickle", "train.pt", "train.npy"])
def test_data_set_folder_of_pickles_is_refused(name: str, tmp_path: Path, mark: Path, offline: None) -> None:
    folder = tmp_path / "pool"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps(Attack(mark)))
    with pytest.raises(InputError):
        read_pool(HubSource(dataset=str(folder)))
    assert not mark.exists()


def test_data_set_folder_with_a_loading_script_is_refused(tmp_path: Path, mark: Path, offline: None) -> None:
    folder = tmp_path / "pool"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps(ROW) + "\n")
    (folder / "pool.py").write_text(f"open({str(mark)!r}, 'w').close()")
    with pytest.raises(InputError, match="scripts are no longer supported"):
        read_pool(HubSource(dataset=str(folder)))
    (folder / "pool.py").rename(folder / "dataset.py")
    assert len(read_pool(HubSource(dataset=str(folder))).instructions) == 1, "a script of another name is only a file"
    assert not mark.exists()


def test_data_set_in_an_archive_with_a_pickle_never_unpickles_it(tmp_path: Path, mark: Path, offline: None) -> None:
    import tarfile

    folder = tmp_path / "pool"
    folder.mkdir()
    (tmp_path / "0.pyd").write_bytes(pickle.dumps(Attack(mark)))
    (tmp_path / "0.json").write_text(json.dumps(ROW))
    with tarfile.open(folder / "train.tar", "w") as archive:
        for name in ("0.pyd", "0.json"):
            archive.add(tmp_path / name, arcname=name)
    with pytest.raises(InputError):
        read_pool(HubSource(dataset=str(folder)))
    assert not mark.exists()


def test_chat_template_cannot_reach_python(tmp_path: Path, mark: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from tasks.finetune.encoding import load_tokenizer

    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch MARK') }}"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"[UNK]": 0, "[EOS]": 1}, unk_token="[UNK]")),
        unk_token="[UNK]",
        eos_token="[EOS]",
        chat_template=template.replace("MARK", str(mark)),
    )
    tokenizer.save_pretrained(str(tmp_path / "model"))
    loaded = load_tokenizer(tmp_path / "model")
    with pytest.raises(Exception, match=r"unsafe|undefined|access"):
        loaded.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert not mark.exists()


OWN_PROCESSES = {"tasks/tagging/workers.py"}
"""Hand what they have just made to processes of their own, through a temporary folder that nobody else can write."""


def safe_loaders(tree: ast.Module) -> set[str]:
    """Classes of a module that only extend YAML's safe loader."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {node.name for node in classes if [ast.unparse(base) for base in node.bases] == ["yaml.SafeLoader"]}


def test_product_calls_nothing_that_runs_what_it_reads() -> None:
    """Calls by name in the syntax tree: unpickling, eval, shells, and models' or data sets' own code."""
    forbidden = {"eval", "exec", "system", "popen", "yaml.unsafe_load", "torch.load", "read_pickle"}
    calls = 0
    for folder in ("flows", "tasks", "db", "infra"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            imported = {
                name.name.split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for name in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
            }
            if path.relative_to(ROOT).as_posix() not in OWN_PROCESSES:
                assert not imported & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}, path
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call):
                    continue
                calls += 1
                name = ast.unparse(node.func)
                assert name not in forbidden, f"{path}:{node.lineno}"
                if name == "yaml.load":
                    loader = ast.unparse([*node.args, *(keyword.value for keyword in node.keywords)][1])
                    assert loader in ("yaml.SafeLoader", "yaml.CSafeLoader") or loader in safe_loaders(tree), path
                for keyword in node.keywords:
                    value = getattr(keyword.value, "value", None)
                    if keyword.arg in ("trust_remote_code", "shell", "allow_pickle"):
                        assert value is False, f"{path}:{node.lineno}: {keyword.arg}"
    assert calls > 1000
