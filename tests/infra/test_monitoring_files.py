"""The monitoring files fit the product's real metrics and each other."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

from flows.cli.metrics import DEFAULT_PORT
from flows.metrics import RunCollector
from tests.flows.planted_home import planted_home

FOLDER = Path(str(files("infra") / "monitoring"))


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Names of all samples of a real database's exporter, with their labels' names."""
    registry = CollectorRegistry()
    with planted_home() as home:
        registry.register(RunCollector(home.database))
        text = generate_latest(registry).decode()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()  # type: ignore[union-attr]
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels or ""))
    return found


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "grafana/dashboards/beyond-iid.json").read_text()))


def expressions(dashboard: dict[str, Any]) -> list[str]:
    variables = [v["definition"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    return variables + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_metric_of_the_dashboard_is_exported(dashboard: dict[str, Any], exported: dict[str, set[str]]) -> None:
    used = {name for text in expressions(dashboard) for name in re.findall(r"\bbeyond_iid_\w+", text)}
    assert used
    assert used <= set(exported)


def test_every_label_of_the_dashboard_belongs_to_its_metric(
    dashboard: dict[str, Any], exported: dict[str, set[str]]
) -> None:
    for text in expressions(dashboard):
        for name, labels in re.findall(r"\b(beyond_iid_\w+)\{([^}]*)\}", text):
            assert set(re.findall(r"(\w+)\s*=~?", labels)) <= exported[name], text
        for labels, name in re.findall(r"sum by \(([^)]*)\) \((beyond_iid_\w+)", text):
            assert {label.strip() for label in labels.split(",")} <= exported[name], text


def test_every_metric_of_the_product_but_histograms_details_is_on_the_dashboard(
    dashboard: dict[str, Any], exported: dict[str, set[str]]
) -> None:
    text = " ".join(expressions(dashboard))
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported}
    assert {name for name in names if name not in text} == set()


def test_every_panel_has_a_title_a_unit_a_description_and_the_chosen_data_source(dashboard: dict[str, Any]) -> None:
    kinds = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    assert [v["query"] for v in kinds] == ["prometheus"]
    wanted = {"type": "prometheus", "uid": f"${{{kinds[0]['name']}}}"}
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == wanted
        assert all(target["datasource"] == wanted for target in panel["targets"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_prometheus_scrapes_the_exporters_own_port_and_rays_discovery_file() -> None:
    text = (FOLDER / "prometheus.yaml").read_text()
    jobs = {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}
    assert set(jobs) == {"beyond-iid", "ray", "prometheus"}
    assert "Prefect" not in text, "what is not scraped is not promised"
    (target,) = jobs["beyond-iid"]["static_configs"][0]["targets"]
    assert target.rsplit(":", 1)[1] == str(DEFAULT_PORT)
    assert jobs["ray"]["file_sd_configs"][0]["files"] == [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]


def test_grafana_is_provisioned_with_the_data_source_and_the_dashboard() -> None:
    (source,) = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    providers = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/dashboards.yaml").read_text())["providers"]
    assert {one["options"]["path"] for one in providers} >= {"/var/lib/grafana/dashboards"}
