import pytest
from pydantic import TypeAdapter, ValidationError

from tasks.pool.config import FilesSource, HubSource, PoolSource, SkillWorldSource

adapter: TypeAdapter[PoolSource] = TypeAdapter(PoolSource)


def test_pool_source_kind_selects_the_config() -> None:
    assert isinstance(adapter.validate_python({"kind": "skillworld"}), SkillWorldSource)
    assert isinstance(adapter.validate_python({"kind": "files", "paths": ["a.jsonl"]}), FilesSource)
    assert isinstance(adapter.validate_python({"kind": "huggingface", "dataset": "a/b"}), HubSource)


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "files", "paths": []},
        {"kind": "files", "paths": ["a"], "shuffle": True},
        {"kind": "files", "paths": ["a"], "max_per_category": 0},
        {"kind": "files", "paths": ["a"], "format": "csv"},
        {"kind": "web", "paths": ["a"]},
    ],
)
def test_pool_source_wrong_value_is_refused(value: dict) -> None:
    with pytest.raises(ValidationError):
        adapter.validate_python(value)


@pytest.mark.parametrize("config", [SkillWorldSource, FilesSource, HubSource])
def test_pool_source_every_field_has_a_description(config: type) -> None:
    assert [name for name, field in config.model_fields.items() if not field.description] == []
