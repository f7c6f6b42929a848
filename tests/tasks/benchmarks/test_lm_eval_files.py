"""What is refused before any training, and what decides a task's values."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from tasks.benchmarks.lm_eval_tasks import TaskSummary, check_task, task_identity
from tasks.benchmarks.measures import LmEvalMeasure
from tasks.errors import InputError
from tests.tasks.benchmarks.lm_eval_folders import COPY, DOCUMENTS, VALUE, with_keys, write_task

FUNCTION = "process_results: !function judge.verdict\n"
PYTHON = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
def verdict(doc, results):
    return {"exact_match": 1.0}
"""


def test_a_task_is_summarized_without_a_model(tmp_path: Path) -> None:
    assert check_task(write_task(tmp_path)) == TaskSummary((VALUE,), True, len(DOCUMENTS))


def test_each_filter_gives_a_value_of_each_metric(tmp_path: Path) -> None:
    filters = [{"name": name, "filter": [{"function": "take_first"}]} for name in ("strict", "lax")]
    measure = write_task(tmp_path, filter_list=filters)
    with pytest.raises(InputError, match=r"no value 'exact_match,none'; it gives: exact_match,strict, exact_match,lax"):
        check_task(measure)
    assert check_task(with_keys(measure, value="exact_match,lax")).values == ("exact_match,strict", "exact_match,lax")


def test_the_direction_is_the_tasks_own(tmp_path: Path) -> None:
    measure = write_task(tmp_path, output_type="loglikelihood", generation_kwargs=None, metric_list=None)
    assert not check_task(with_keys(measure, value="perplexity,none")).higher_is_better


def test_a_limit_counts_the_documents_that_are_evaluated(tmp_path: Path) -> None:
    assert check_task(with_keys(write_task(tmp_path), limit=3)).documents == 3


def test_a_task_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lm-eval task 'paste': not in .*; it defines copy"):
        check_task(with_keys(write_task(tmp_path), task="paste"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        check_task(with_keys(write_task(tmp_path), task_folder=str(tmp_path / "other")))


def test_a_broken_file_beside_the_task_is_named(tmp_path: Path) -> None:
    measure = write_task(tmp_path)
    (tmp_path / "z.yaml").write_text("task: [")
    with pytest.raises(InputError, match=r"z\.yaml: not readable as YAML"):
        check_task(measure)


def test_a_task_that_two_files_define_is_refused(tmp_path: Path) -> None:
    measure = write_task(tmp_path)
    write_task(tmp_path / "more")
    with pytest.raises(InputError, match="defined twice"):
        check_task(measure)


def test_a_group_is_refused(tmp_path: Path) -> None:
    measure = write_task(tmp_path)
    (tmp_path / "group.yaml").write_text("group: both\ntask: [copy]\n")
    with pytest.raises(InputError, match="several tasks"):
        check_task(with_keys(measure, task="both"))


def test_missing_data_is_named_before_any_training(tmp_path: Path) -> None:
    measure = write_task(tmp_path)
    (tmp_path / "documents.jsonl").unlink()
    with pytest.raises(InputError, match=r"cannot be built: FileNotFoundError: .*documents\.jsonl"):
        check_task(measure)


def test_a_document_without_what_the_template_needs_is_named(tmp_path: Path) -> None:
    broken = [*DOCUMENTS, {"question": "a", "answer": None}]
    with pytest.raises(InputError, match=r"document 5 of its data .*UndefinedError"):
        check_task(write_task(tmp_path, broken, doc_to_target="{{answer.strip()}}"))


def test_data_files_are_found_beside_the_yaml_wherever_the_process_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = write_task(tmp_path / "task")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "documents.jsonl").write_text('{"question": "a", "answer": "a"}\n')
    assert check_task(measure).documents == len(DOCUMENTS)


def test_python_of_the_folder_is_refused_and_does_not_run(tmp_path: Path) -> None:
    measure = write_task(tmp_path, extra=FUNCTION)
    (tmp_path / "judge.py").write_text(PYTHON)
    with pytest.raises(InputError, match=r"copy\.yaml, line \d+: !function judge\.verdict .*allow_code: true"):
        check_task(measure)
    assert not (tmp_path / "ran").exists()


def test_python_named_in_an_included_file_is_refused_too(tmp_path: Path) -> None:
    measure = write_task(tmp_path / "task", include="../shared/base.yaml")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.yaml").write_text(FUNCTION)
    with pytest.raises(InputError, match=r"shared/base\.yaml, line 1: !function"):
        check_task(measure)


def test_python_of_the_folder_runs_where_the_measure_says_so(tmp_path: Path) -> None:
    measure = write_task(tmp_path, extra=FUNCTION)
    (tmp_path / "judge.py").write_text(PYTHON)
    assert check_task(with_keys(measure, allow_code=True)).documents == len(DOCUMENTS)
    assert (tmp_path / "ran").exists()


def test_a_template_cannot_call_python(tmp_path: Path) -> None:
    call = "{{ cycler.__init__.__globals__.os.mkdir('%s') or question }}" % (tmp_path / "made")
    measure = write_task(tmp_path / "task", doc_to_text=call)
    with pytest.raises(InputError, match="SecurityError"):
        check_task(measure)
    assert not (tmp_path / "made").exists()


class _Opened:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.folder,)


def test_pickled_data_is_refused_and_not_opened(tmp_path: Path) -> None:
    measure = write_task(tmp_path, dataset_path="pandas", dataset_kwargs={"data_files": {"test": "rows.pkl"}})
    (tmp_path / "rows.pkl").write_bytes(pickle.dumps(_Opened(tmp_path / "made")))
    with pytest.raises(InputError, match="dataset_path 'pandas' is neither"):
        check_task(measure)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("metric", [{"metric": "rouge", "hf_evaluate": True}, {"metric": "./mine"}])
def test_a_metric_that_is_downloaded_code_is_refused(tmp_path: Path, metric: dict[str, object]) -> None:
    with pytest.raises(InputError, match="is code that the package evaluate would download"):
        check_task(write_task(tmp_path, metric_list=[metric]))


def test_prompts_from_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use_prompt takes templates from elsewhere"):
        check_task(write_task(tmp_path, use_prompt="local:prompts.yaml:ask"))


def test_a_task_that_runs_the_models_programs_is_refused_even_where_code_is_allowed(tmp_path: Path) -> None:
    measure = with_keys(write_task(tmp_path, unsafe_code=True), allow_code=True)
    with pytest.raises(InputError, match="kind `code`"):
        check_task(measure)


def test_examples_that_would_come_from_the_evaluated_documents_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="come from the documents that are evaluated"):
        check_task(with_keys(write_task(tmp_path), num_fewshot=2))


def test_examples_of_another_split_are_shown(tmp_path: Path) -> None:
    files = {"test": "documents.jsonl", "train": "train.jsonl"}
    measure = write_task(tmp_path, dataset_kwargs={"data_files": files}, training_split="train")
    (tmp_path / "train.jsonl").write_text('{"question": "c", "answer": "c"}\n')
    with_examples = with_keys(measure, num_fewshot=1)
    assert check_task(with_examples).documents == len(DOCUMENTS)
    before = task_identity(with_examples)
    (tmp_path / "train.jsonl").write_text('{"question": "d", "answer": "d"}\n')
    changed = {key for key, value in task_identity(with_examples).items() if value != before[key]}
    assert changed == {"examples"}


def test_a_longest_answer_is_refused_where_nothing_is_generated(tmp_path: Path) -> None:
    measure = write_task(
        tmp_path, output_type="multiple_choice", generation_kwargs=None, metric_list=None, doc_to_choice=["a", "b"]
    )
    with pytest.raises(InputError, match="generates nothing"):
        check_task(with_keys(measure, value="acc,none", max_new_tokens=5))


def test_the_identity_follows_the_contents_and_not_the_place(tmp_path: Path) -> None:
    first, second = write_task(tmp_path / "a"), write_task(tmp_path / "b" / "c")
    assert task_identity(first) == task_identity(second)
    assert str(tmp_path) not in json.dumps(task_identity(first))


def test_the_identity_changes_with_the_yaml_what_it_includes_and_the_documents(tmp_path: Path) -> None:
    measure = write_task(tmp_path, include="base.yaml")
    (tmp_path / "base.yaml").write_text("description: ''\n")
    before = task_identity(measure)

    def changed() -> set[str]:
        now = task_identity(measure)
        return {key for key in before if now[key] != before[key]}

    (tmp_path / "base.yaml").write_text("description: 'Copy.'\n")
    assert changed() == {"yaml"}
    (tmp_path / "base.yaml").write_text("description: ''\n")
    write_task(tmp_path, [*DOCUMENTS, {"question": "d", "answer": "d"}], include="base.yaml")
    assert changed() == {"documents"}


def test_the_identity_holds_only_documents_within_the_limit(tmp_path: Path) -> None:
    whole, part = write_task(tmp_path / "a"), write_task(tmp_path / "b", DOCUMENTS[:2])
    assert task_identity(whole) != task_identity(part)
    assert task_identity(with_keys(whole, limit=2)) == task_identity(with_keys(part, limit=2))


def test_the_identity_follows_python_that_may_run(tmp_path: Path) -> None:
    measure = with_keys(write_task(tmp_path, extra=FUNCTION), allow_code=True)
    (tmp_path / "judge.py").write_text(PYTHON)
    before = task_identity(measure)
    (tmp_path / "judge.py").write_text(PYTHON.replace("1.0", "0.0"))
    assert task_identity(measure)["code"] != before["code"]


def test_a_name_that_the_catalogue_lacks_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match=r"not in lm-eval's catalogue; .* needs task_folder"):
        check_task(LmEvalMeasure(task=COPY["task"], value=VALUE))


def test_a_group_of_the_catalogue_is_refused() -> None:
    with pytest.raises(InputError, match="'mmlu' stands for several tasks"):
        check_task(LmEvalMeasure(task="mmlu", value="acc,none"))
