"""What the JSON Schema says of `target`, `scale`, `resize` and `prune`: of one mind with the loader where it can be."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from watchtower_agent.policies.files.core_schema import plain
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.files.schema import policy_schema
from watchtower_agent.policies.files.yaml_reader import read_yaml
from watchtower_agent.policies.policy import PolicySet

CPU = "{metric: cpu.percent, target: 60%}"
TARGET = "target: {swarm_service: a}"
SCALE = f"scale: {{min: 1, max: 2, metrics: [{CPU}]}}"
RESIZE = "resize: {cpu: {min: 1, max: 2}}"
SELECT = "select: {name: a}"
NIGHTLY = "schedule: {cron: '30 3 * * *'}"
PRUNE = "prune: {images: {}}"


def scaled(keys: str = "", *, metrics: str = f"[{CPU}]", least: object = 1, most: object = 2) -> str:
    return f"{TARGET}, scale: {{min: {least}, max: {most}, metrics: {metrics}{', ' if keys else ''}{keys}}}"


def pruned(keys: str) -> str:
    return f"{NIGHTLY}, prune: {{{keys}}}"


def editors_refuse(text: str) -> bool:
    read, mistakes = read_yaml(text.encode())
    assert read is not None
    assert not mistakes
    return not Draft202012Validator(policy_schema()).is_valid(plain(read.root))


def loader_refuses(text: str) -> bool:
    return not isinstance(load_policies({"a.yaml": text.encode()}), PolicySet)


@pytest.mark.parametrize(
    "policy",
    [
        f"{TARGET}, {SCALE}",
        f"{SELECT}, {RESIZE}, mode: approve, approve_within: 1h, windows: [{{cron: '0 2 * * *', for: 3h}}]",
        f"target: {{compose: {{project: a, service: b}}}}, {SCALE}, mode: shadow, description: x",
        f"target: {{group: {{labels: {{a: true, b: 1.0, c: d}}}}}}, {SCALE}",
        f"{SELECT}, resize: {{memory: {{min: 6MiB, max: 1.5GiB}}, data: 7d}}",
        scaled(metrics="[{metric: memory.usage, target: 1GB}, {metric: pids, target: 3}]"),
        scaled(metrics="[{mqtt: a/b, value: 0, target_per_replica: 0.5, stale_after: 10s}]", least=0, keys="idle: {}"),
        scaled(metrics="[{http: 'https://a:1/b?c={d}', value: a.0, target_per_replica: '3', every: 5s}]"),
        scaled("up: {step: 50% per 1m, window: 30s, tolerance: 0%, cooldown: 0s}"),
        scaled("down: {window: 10m, fast: 10% after 1m, step: 100% per 10s}"),
        scaled("schedule: [{cron: '0 8 * * *', for: 1h, max: 1}, {cron: '0 9 * * *', for: 1h, min: 2, timezone: UTC}]"),
        f"{NIGHTLY}, {PRUNE}, mode: approve, approve_within: 1h, windows: [{{cron: '0 2 * * *', for: 3h}}]",
        f"{NIGHTLY}, {PRUNE}, cooldown: 1h, budget: {{max: 2, per: 2h, on_open: notify}}",
        "when: host.disk.percent > 85%, for: 1m, prune: {until: host.disk.percent < 75%, images: {}}",
        f"when: engine.images > 85, {PRUNE}",
        pruned("build_cache: {unused_for: 72h}, containers: {finished_for: 7d}, networks: {unused_for: 1h}"),
        pruned("images: {unused_for: 24h, keep_newest: 0, keep: [a, 'b*'], without_digest: true, dangling: false}"),
        pruned("images: {dangling: true, keep: a}, until: host.disk.free > 1GiB"),
        pruned("images: {dangling: true, keep_newest: 0}"),
        pruned("volumes: {only: ['cache-*'], unattached_for: 7d}"),
    ],
)
def test_what_is_right_for_the_loader_is_right_for_editors(policy: str) -> None:
    text = f"version: 1\npolicies: [{{name: a, {policy}}}]\n"
    assert not loader_refuses(text)
    assert not editors_refuse(text)


@pytest.mark.parametrize(
    "policy",
    [
        TARGET,
        SCALE,
        RESIZE,
        SELECT,
        f"{TARGET}, {SCALE}, {SELECT}",
        f"{TARGET}, {SCALE}, {RESIZE}",
        f"{SELECT}, {TARGET}, {RESIZE}",
        *(
            f"{both}, {beside}"
            for both in (f"{TARGET}, {SCALE}", f"{SELECT}, {RESIZE}")
            for beside in (
                "when: host.load1 > 3",
                "on: {container: die}",
                "schedule: {cron: '0 2 * * *'}",
                "then: {notify: {}}",
                "for: 1m",
                "keep_for: 1m",
                "where: event.age > 1s",
                "cooldown: 1m",
                "backoff: {}",
                "budget: {}",
                "depends: db",
                "restart_stopped: true",
                "approve_within: 1h",
            )
        ),
        f"{TARGET}, when: host.load1 > 3, then: {{notify: {{}}}}",
        f"target: {{}}, {SCALE}",
        f"target: {{swarm_service: a, group: {{labels: {{a: b}}}}}}, {SCALE}",
        f"target: {{swarm_service: 'a*'}}, {SCALE}",
        f"target: {{compose: {{service: a}}}}, {SCALE}",
        f"target: {{group: {{labels: {{}}}}}}, {SCALE}",
        f"target: {{name: a}}, {SCALE}",
        f"{TARGET}, scale: {{min: 1, max: 2}}",
        f"{TARGET}, scale: {{min: 1, metrics: [{CPU}]}}",
        f"{TARGET}, scale: {{max: 1, metrics: [{CPU}]}}",
        scaled(most=0),
        scaled(most=1001),
        scaled(least=-1),
        scaled(metrics="[]"),
        scaled(metrics="[{}]"),
        scaled(metrics="[{metric: restarts, target: 3}]"),
        scaled(metrics="[{metric: cpu.percent}]"),
        scaled(metrics="[{metric: cpu.percent, target: 60%, mqtt: a}]"),
        scaled(metrics="[{metric: cpu.percent, target: 60%, every: 5s}]"),
        scaled(metrics="[{metric: cpu.percent, target: 60y}]"),
        scaled(metrics="[{mqtt: a}]"),
        scaled(metrics="[{mqtt: a, target: 3}]"),
        scaled(metrics="[{mqtt: a/+, target_per_replica: 3}]"),
        scaled(metrics="[{mqtt: a, target_per_replica: 0}]"),
        scaled(metrics="[{mqtt: a, http: http://a, target_per_replica: 3}]"),
        scaled(metrics="[{http: ftp://a, target_per_replica: 3}]"),
        scaled(metrics="[{http: 'http://u:p@a', target_per_replica: 3}]"),
        scaled("up: {step: 50%}"),
        scaled("up: {tolerance: 0.1}"),
        scaled("up: {jump: 50%}"),
        scaled("down: {fast: 25% per 150s}"),
        scaled("schedule: []"),
        scaled("schedule: [{cron: '0 8 * * *', for: 1h}]"),
        scaled("schedule: [{cron: '0 8 * * *', min: 1}]"),
        scaled("reserve: 256"),
        scaled("shared: 1"),
        f"{SELECT}, resize: {{}}",
        f"{SELECT}, resize: {{data: 24h}}",
        f"{SELECT}, resize: {{cpu: {{min: 1}}}}",
        f"{SELECT}, resize: {{memory: {{max: 1GiB}}}}",
        f"{SELECT}, resize: {{memory: {{min: 1, max: 2}}}}",
        f"{SELECT}, resize: {{cpu: {{min: 0, max: 2}}}}",
        PRUNE,
        f"on: {{engine: up}}, {PRUNE}",
        f"{NIGHTLY}, when: host.load1 > 3, {PRUNE}",
        *(
            f"{NIGHTLY}, {PRUNE}, {beside}"
            for beside in (
                "on: {container: die}",
                "where: event.age > 1s",
                "then: {notify: {}}",
                "for: 1m",
                "keep_for: 1m",
                SELECT,
                TARGET,
                f"{TARGET}, {SCALE}",
                f"{SELECT}, {RESIZE}",
                "backoff: {}",
                "depends: db",
                "restart_stopped: true",
                "approve_within: 1h",
                "budget: {on_open: stop}",
            )
        ),
        f"when: host.disk.percent > 85%, {PRUNE}",
        f"when: 'engine.images > 3 and avg(host.disk.percent, 5m) > 85%', {PRUNE}",
        pruned(""),
        pruned("until: host.disk.percent < 75%"),
        pruned("image: {}"),
        pruned("images: true"),
        pruned("images: {unused_for: 24}"),
        pruned("images: {keep_newest: -1}"),
        pruned("images: {keep_newest: 1.5}"),
        pruned("images: {keep: []}"),
        pruned(f"images: {{keep: [{', '.join(f'a{number}' for number in range(101))}]}}"),
        pruned("images: {dangling: true, without_digest: false}"),
        pruned("build_cache: {keep: a}"),
        pruned("volumes: {}"),
        pruned("volumes: {only: []}"),
        pruned("images: {}, until: ''"),
    ],
)
def test_what_is_wrong_for_the_loader_is_wrong_for_editors(policy: str) -> None:
    text = f"version: 1\npolicies: [{{name: a, {policy}}}]\n"
    assert loader_refuses(text)
    assert editors_refuse(text)
