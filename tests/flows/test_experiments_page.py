"""docs/experiments.md names every key that an experiment file may hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flows.config import ExperimentConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "experiments.md"


def test_page_has_a_row_with_the_right_default_for_every_key_of_the_schema() -> None:
    page = PAGE.read_text(encoding="utf-8")
    schema: dict[str, Any] = ExperimentConfig.model_json_schema()
    rows = set(re.findall(r"^\| `([a-z_]+)` \| (.+?) \| ", page, re.MULTILINE))
    missing = []
    for model in (schema, *schema["$defs"].values()):
        for key, facts in model.get("properties", {}).items():
            if "const" in facts:
                assert f": {facts['const']}`" in page
                continue
            default = facts.get("default")
            shown = f"`{default}`" if isinstance(default, int | float | str) and not isinstance(default, bool) else None
            found = {text for name, text in rows if name == key}
            if not found or (shown is not None and shown not in found):
                missing.append(f"{model['title']}.{key} (default {default})")
    assert not missing
