"""The shipped rules and alerts are what Prometheus takes, and fire when they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import CONFIG, promtool


def test_configuration_and_rules_are_right() -> None:
    assert "2 rule files found" in promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", "watchtower-rules.yml", "watchtower-alerts.yml")


def test_alerts_fire_when_they_should() -> None:
    promtool("test", "rules", "watchtower-tests.yml")


def test_a_test_of_an_alert_that_does_not_fire_fails(tmp_path: Path) -> None:
    for file in CONFIG.glob("*.yml"):
        text = file.read_text().replace("watchtower_breakers_open > 0", "watchtower_breakers_open > 1")
        (tmp_path / file.name).write_text(text)
    with pytest.raises(AssertionError, match="WatchtowerBreakerOpen"):
        promtool("test", "rules", str(tmp_path / "watchtower-tests.yml"))


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    alerts = yaml.safe_load((CONFIG / "watchtower-alerts.yml").read_text())
    tests = yaml.safe_load((CONFIG / "watchtower-tests.yml").read_text())["tests"]
    told = [(each["alertname"], bool(each["exp_alerts"])) for test in tests for each in test["alert_rule_test"]]
    names = {rule["alert"] for group in alerts["groups"] for rule in group["rules"]}
    assert {name for name, fires in told if fires} == names == {name for name, fires in told if not fires}
