"""`target` and `scale` as they are written become a strategy: every key, every default."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.policies import loaded, policy
from watchtower_agent.model.decision import Mode, Verb
from watchtower_agent.model.window import Window, WindowFunction
from watchtower_agent.policies.catalogue import CATALOGUE
from watchtower_agent.policies.policy import Backoff, Budget, Then
from watchtower_agent.policies.scaling.rules import Growth, Rules, Shrinking
from watchtower_agent.policies.scaling.situation import Bounds
from watchtower_agent.policies.strategies.scale import (
    HttpMetricRule,
    IdleRule,
    MetricRule,
    MqttMetricRule,
    OwnMetricRule,
    ScaleStrategy,
    ScaleTarget,
    ServiceKind,
)

LEAST = "{min: 1, max: 10, metrics: [{metric: cpu.percent_of_limit, target: 60%}]}"
EIGHT = 1_790_064_000.0
"""A Tuesday, 08:00 UTC."""


def strategy(scale: str, target: str = "{swarm_service: shop_web}") -> ScaleStrategy:
    trigger = policy(f"target: {target}\n    scale: {scale}").trigger
    assert isinstance(trigger, ScaleStrategy)
    return trigger


def with_key(key: str, *, least: int = 1) -> ScaleStrategy:
    """A strategy with one key more than there have to be."""
    metrics = "[{mqtt: queue, target_per_replica: 30}]"
    return strategy(f"{{min: {least}, max: 10, metrics: {metrics}, {key}}}", "{group: {labels: {app: web}}}")


def metric(written: str) -> MetricRule:
    (only,) = strategy(f"{{min: 1, max: 2, metrics: [{written}]}}").metrics
    return only


def test_what_has_to_be_there_is_enough_and_the_rest_is_as_the_rules_have_it() -> None:
    made = policy(f"target: {{swarm_service: shop_web}}\n    scale: {LEAST}")
    assert (made.mode, made.selector, made.then) == (Mode.ENFORCE, None, Then(verb=Verb.SCALE))
    assert (made.windows, made.cooldown, made.backoff, made.budget) == ((), None, Backoff(), Budget())
    assert made.trigger == ScaleStrategy(
        target=ScaleTarget(kind=ServiceKind.SWARM, service="shop_web"),
        least=1,
        most=10,
        metrics=(OwnMetricRule(name="cpu.percent_of_limit", target=60.0),),
        rules=Rules(),
    )
    assert made.trigger.windows == {
        Window(function=WindowFunction.AVG, name="cpu.percent_of_limit", seconds=seconds) for seconds in (20.0, 5.0)
    }


def test_the_folder_asks_for_what_its_strategies_go_by() -> None:
    scaled = f"{{name: a, target: {{swarm_service: a}}, scale: {LEAST}}}"
    resized = "{name: b, select: {name: b}, resize: {memory: {min: 1GiB, max: 2GiB}, cpu: {min: 1, max: 2}}}"
    pids = "{min: 1, max: 2, metrics: [{metric: pids, target: 5}]}"
    off = f"{{name: c, mode: off, target: {{swarm_service: c}}, scale: {pids}}}"
    every = loaded(f"version: 1\npolicies: [{scaled}, {resized}, {off}]")
    assert every.names == {"cpu.percent_of_limit", "cpu.cores", "memory.working_set", "memory.oom_kills"}
    assert {each.name for each in every.windows} == {"cpu.percent_of_limit"}


@pytest.mark.parametrize(
    ("written", "target", "name"),
    [
        ("{swarm_service: shop_web}", ScaleTarget(kind=ServiceKind.SWARM, service="shop_web"), "shop_web"),
        (
            "{compose: {project: shop, service: web}}",
            ScaleTarget(kind=ServiceKind.COMPOSE, project="shop", service="web"),
            "shop/web",
        ),
        (
            "{group: {labels: {tier: worker, scaled: true, version: 1.10, empty: ''}}}",
            ScaleTarget(
                kind=ServiceKind.GROUP, labels={"tier": "worker", "scaled": "true", "version": "1.10", "empty": ""}
            ),
            "empty=,scaled=true,tier=worker,version=1.10",
        ),
    ],
)
def test_a_service_is_named_in_three_ways(written: str, target: ScaleTarget, name: str) -> None:
    made = strategy(LEAST, written)
    assert made.target == target
    assert made.target.name == name


def test_the_keys_of_groups_tell_them_apart_whatever_is_in_their_labels() -> None:
    one = strategy(LEAST, "{group: {labels: {a: 'b,c=d'}}}").target
    other = strategy(LEAST, "{group: {labels: {a: b, c: d}}}").target
    assert one.name == other.name
    assert one.key != other.key


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("{metric: cpu.cores, target: 1.5}", OwnMetricRule(name="cpu.cores", target=1.5)),
        ("{metric: cpu.percent, target: 150%}", OwnMetricRule(name="cpu.percent", target=150.0)),
        ("{metric: memory.working_set, target: 512MiB}", OwnMetricRule(name="memory.working_set", target=536870912.0)),
        ("{metric: network.receive, target: 1.5MB}", OwnMetricRule(name="network.receive", target=1_500_000.0)),
        ("{metric: pids, target: '40'}", OwnMetricRule(name="pids", target=40.0)),
        ("{metric: memory.percent, target: 100%}", OwnMetricRule(name="memory.percent", target=100.0)),
        ("{mqtt: queue/orders/depth, target_per_replica: 30}", MqttMetricRule(topic="queue/orders/depth", target=30.0)),
        (
            "{mqtt: $SYS/load, value: depth, target_per_replica: 0.5, stale_after: 5s}",
            MqttMetricRule(topic="$SYS/load", value=("depth",), target=0.5, stale_after=5.0),
        ),
        (
            "{http: 'http://prom/query?query=up{job=\"web\"}', value: data.result.0.value.1, target_per_replica: 100}",
            HttpMetricRule(
                url='http://prom/query?query=up{job="web"}',
                value=("data", "result", 0, "value", 1),
                target=100.0,
            ),
        ),
        (
            "{http: 'HTTPS://[::1]:8443', value: 1.10, target_per_replica: 2, every: 1s, stale_after: 1d}",
            HttpMetricRule(url="HTTPS://[::1]:8443", value=(1, 10), target=2.0, every=1.0, stale_after=86400.0),
        ),
        (
            "{http: http://metrics/x, value: 0, target_per_replica: 2}",
            HttpMetricRule(url="http://metrics/x", value=(0,), target=2.0, every=15.0, stale_after=60.0),
        ),
    ],
)
def test_a_metric_says_where_it_comes_from_and_how_much_one_replica_is_for(written: str, rule: MetricRule) -> None:
    assert metric(written) == rule


def test_metrics_from_outside_have_names_of_their_own_that_tell_no_query() -> None:
    written = [
        "{mqtt: a, target_per_replica: 1}",
        "{mqtt: a, value: x, target_per_replica: 1}",
        "{mqtt: a, value: x.0, target_per_replica: 1}",
        "{http: 'http://a/q?token=secret', target_per_replica: 1}",
        "{http: 'http://a/q?token=public', target_per_replica: 1}",
        "{http: 'http://a/q', value: x, target_per_replica: 1}",
    ]
    names = [each.name for each in strategy(f"{{min: 1, max: 2, metrics: [{', '.join(written)}]}}").metrics]
    assert names[:3] == ["mqtt a", "mqtt a x", "mqtt a x.0"]
    assert len(set(names)) == len(written)
    assert not any("token" in name or "secret" in name for name in names)


def test_all_that_replicas_share_can_be_scaled_by_and_nothing_else() -> None:
    units = {"%": "50%", "B": "64MiB", "B/s": "1MB", "": "2"}
    scalable = {name for name, entry in CATALOGUE.items() if entry.scales}
    for name in scalable:
        assert metric(f"{{metric: {name}, target: {units[CATALOGUE[name].unit]}}}").name == name
    assert {"cpu.percent", "memory.usage", "io.read", "network.transmit", "pressure.cpu", "pids"} <= scalable
    assert not scalable & {"restarts", "uptime", "memory.limit", "pids.limit", "memory.oom_kills", "host.cpu.percent"}


@pytest.mark.parametrize(
    ("key", "rules"),
    [
        ("up: {}", Rules()),
        ("up: {window: 10s}", Rules(up=Growth(window=10.0))),
        ("up: {window: 1h}", Rules(up=Growth(window=3600.0))),
        ("up: {tolerance: 0%}", Rules(up=Growth(tolerance=0.0))),
        ("up: {tolerance: 50%}", Rules(up=Growth(tolerance=0.5))),
        ("up: {step: 250% per 1m}", Rules(up=Growth(step=2.5, per=60.0))),
        ("up: {cooldown: 0s}", Rules(up=Growth(cooldown=0.0))),
        ("down: {}", Rules()),
        ("down: {window: 5m}", Rules(down=Shrinking(window=300.0))),
        ("down: {window: 1m}", Rules(down=Shrinking(window=60.0))),
        ("down: {fast: 50% after 90s}", Rules(down=Shrinking(fast=0.5, fast_after=90.0))),
        ("down: {window: 150s, fast: 25% after 150s}", Rules(down=Shrinking(window=150.0))),
        ("down: {step: 100% per 1s}", Rules(down=Shrinking(step=1.0, per=1.0))),
        ("down: {step: '  10%   per 2m '}", Rules(down=Shrinking(step=0.1, per=120.0))),
    ],
)
def test_how_it_moves_is_as_written_and_else_as_ever(key: str, rules: Rules) -> None:
    assert with_key(key).rules == rules


@pytest.mark.parametrize(
    ("idle", "rule"),
    [
        ("{}", IdleRule()),
        ("{below: 10%}", IdleRule(below=0.1)),
        ("{below: 0%, for: 2h}", IdleRule(below=0.0, idle_for=7200.0)),
    ],
)
def test_an_idle_rule_takes_the_last_replica(idle: str, rule: IdleRule) -> None:
    made = with_key(f"idle: {idle}", least=0)
    assert (made.least, made.idle, made.rules.idle_for) == (0, rule, rule.idle_for)


def test_a_schedule_changes_bounds_for_a_while() -> None:
    made = with_key(
        'schedule: [{cron: "0 8 * * mon-fri", for: 10h, min: 4}, {cron: "0 9 * * *", for: 1h, timezone: Europe/Berlin,'
        " max: 3}]"
    )
    assert [(str(each.opens), each.open_for, each.least, each.most) for each in made.schedule] == [
        ("0 8 * * mon-fri UTC", 36000.0, 4, None),
        ("0 9 * * * Europe/Berlin", 3600.0, None, 3),
    ]
    assert made.bounds(EIGHT - 7200.0) == Bounds(least=1, most=10)
    assert made.bounds(EIGHT + 7200.0) == Bounds(least=4, most=10)


def test_what_clones_may_use() -> None:
    assert (with_key("reserve: 1GiB").reserve, with_key("reserve: 0B").reserve) == (2.0**30, 0.0)
    assert (with_key("shared: true").shared, with_key("shared: false").shared) == (True, False)


@pytest.mark.parametrize("mode", list(Mode))
def test_modes_windows_and_approvals_are_as_for_any_action(mode: Mode) -> None:
    made = policy(
        f"description: Web\n    mode: {mode}\n    target: {{swarm_service: shop_web}}\n    scale: {LEAST}\n"
        "    windows: [{cron: '0 2 * * *', for: 3h}]" + ("" if mode is Mode.ENFORCE else "\n    approve_within: 10m")
    )
    assert (made.mode, made.description, len(made.windows)) == (mode, "Web", 1)
    assert made.approve_within == (3600.0 if mode is Mode.ENFORCE else 600.0)


def test_the_longest_that_is_taken() -> None:
    """Bounds of what a file can hold, each at its largest."""
    topic, url, path = "t" * 65_535, "http://a/" + "x" * 1991, ".".join(["k"] * 32)
    made: Any = strategy(
        f"{{min: 1000, max: 1000, metrics: [{{mqtt: {topic}, value: {path}, target_per_replica: 1}},"
        f" {{http: {url}, target_per_replica: 1}}]}}"
    )
    assert (len(made.metrics[0].topic), len(made.metrics[0].value), len(made.metrics[1].url)) == (65_535, 32, 2000)
