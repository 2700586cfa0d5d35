"""The JSON Schema of policy files: committed as it is generated, and of one mind with the loader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from tests.support.policies import GOOD, examples
from watchtower_agent.policies.files.core_schema import plain
from watchtower_agent.policies.files.document import FileKeys
from watchtower_agent.policies.files.load import load_policies
from watchtower_agent.policies.files.schema import policy_schema
from watchtower_agent.policies.files.yaml_reader import read_yaml
from watchtower_agent.policies.policy import PolicySet

CHECKOUT = Path(__file__).resolve().parents[4]
COMMITTED = CHECKOUT / "config" / "policy.schema.json"
SHIPPED = sorted((CHECKOUT / "config").rglob("policies/*.yaml"))


EXAMPLES = list(examples())


def wrong(text: str) -> list[str]:
    """What the schema says against a file, read as editors read it (YAML 1.2)."""
    read, mistakes = read_yaml(text.encode())
    assert read is not None
    assert not mistakes
    validator = Draft202012Validator(policy_schema())
    return [error.message for error in validator.iter_errors(plain(read.root))]


def test_the_committed_schema_is_the_generated_one() -> None:
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == policy_schema(), (
        "run: python -m watchtower_agent schema > config/policy.schema.json"
    )


def test_it_is_a_schema_of_its_draft_and_has_nothing_that_draft_7_does_not_know() -> None:
    Draft202012Validator.check_schema(policy_schema())
    Draft7Validator.check_schema(policy_schema())
    newer = {"dependentRequired", "dependentSchemas", "prefixItems", "unevaluatedProperties", "unevaluatedItems"}
    assert not newer & set(re.findall(r'"(\w+)":', json.dumps(policy_schema())))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_policies_are_valid_and_name_the_schema(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    modeline = text.splitlines()[0]
    assert modeline.startswith("# yaml-language-server: $schema=")
    assert (path.parent / modeline.partition("=")[2]).resolve() == COMMITTED
    assert wrong(text) == []


@pytest.mark.parametrize(("text"), [text for _, text in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_every_example_in_the_pages_is_valid_and_loads(text: str) -> None:
    assert wrong(text) == []
    loaded = load_policies({"example.yaml": text.encode()})
    assert isinstance(loaded, PolicySet), "\n".join(map(str, loaded))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5
    assert len(SHIPPED) >= 5


def test_everything_that_a_file_can_hold_is_valid() -> None:
    assert wrong(GOOD) == []


@pytest.mark.parametrize(
    "policy",
    [
        "{when: host.load1 > 3, then: {notify: {}}}",  # no name
        "{name: a b, when: host.load1 > 3, then: {notify: {}}}",
        "{name: a, when: host.load1 > 3}",
        "{name: a, select: {name: a}, depends: [], when: cpu.cores > 3, then: {stop: {}}}",
        "{name: a, select: {name: a}, depends: {}, when: cpu.cores > 3, then: {stop: {}}}",
        "{name: a, select: {name: a}, depends: [b, 5], when: cpu.cores > 3, then: {stop: {}}}",
        "{name: a, select: {name: a}, depends: [{nam: b}], when: cpu.cores > 3, then: {stop: {}}}",
        "{name: a, then: {notify: {}}}",
        "{name: a, when: host.load1 > 3, on: {container: die}, then: {notify: {}}}",
        "{name: a, when: host.load1 > 3, schedule: {cron: '0 3 * * *', timezone: UTC}, then: {notify: {}}}",
        "{name: a, when: host.load1 > 3, for: 60, then: {notify: {}}}",
        "{name: a, when: host.load1 > 3, for: 60y, then: {notify: {}}}",
        "{name: a, on: {container: die}, for: 60s, then: {notify: {}}}",
        "{name: a, on: {container: die}, keep_for: 60s, then: {notify: {}}}",
        "{name: a, when: host.load1 > 3, where: event.age > 3s, then: {notify: {}}}",
        "{name: a, when: host.load1 > 3, then: {}}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: {restart: {}, stop: {}}}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: {restart: {}, stop: {}, notify: {}}}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: restart}",
        "{name: a, when: host.load1 > 3, then: {notify: {severity: warn}}}",
        "{name: a, when: host.load1 > 3, then: {notify: {}}, mode: of}",
        "{name: a, slect: {name: a}, when: cpu.cores > 3, then: {notify: {}}}",
        "{name: a, select: {}, when: cpu.cores > 3, then: {notify: {}}}",
        "{name: a, select: {name: []}, when: cpu.cores > 3, then: {notify: {}}}",
        "{name: a, select: {not: {nam: a}}, when: cpu.cores > 3, then: {notify: {}}}",
        "{name: a, select: {status: stopped}, when: cpu.cores > 3, then: {notify: {}}}",
        "{name: a, on: {container: died}, then: {notify: {}}}",
        "{name: a, on: {action: started}, then: {notify: {}}}",
        "{name: a, on: {}, then: {notify: {}}}",
        "{name: a, schedule: {cron: '0 3 * *', timezone: UTC}, then: {notify: {}}}",
        "{name: a, schedule: {cron: '0 0 3 * * *', timezone: UTC}, then: {notify: {}}}",
        "{name: a, schedule: {cron: '@daily', timezone: UTC}, then: {notify: {}}}",
        "{name: a, schedule: {timezone: UTC}, then: {notify: {}}}",
        "{name: a, schedule: '0 3 * * *', then: {notify: {}}}",
        "{name: a, schedule: {cron: '0 3 * * *', timezone: CET+1 h}, then: {notify: {}}}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: {stop: {}}, windows: []}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: {stop: {}}, budget: {max: 0}}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: {stop: {}}, budget: {max: 1.5}}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: {restart: {}}, backoff: {factor: 0.5}}",
        "{name: a, select: {name: a}, when: cpu.cores > 3, then: {restart: {}}, backoff: {initial: 10}}",
        "{name: a, select: {name: a}, on: {container: die}, then: {stop: {}}, approve_within: 1h}",
        "{name: a, select: {name: a}, on: {container: die}, then: {stop: {}}, windows: [{for: 1h, timezone: UTC}]}",
    ],
)
def test_what_is_wrong_for_the_loader_is_wrong_for_editors(policy: str) -> None:
    text = f"version: 1\npolicies: [{policy}]\n"
    assert not isinstance(load_policies({"a.yaml": text.encode()}), PolicySet)
    assert wrong(text) != []


@pytest.mark.parametrize(
    "text", ["version: 2\npolicies: []", "policies: []", "version: 1", "[]", 'version: "1"\npolicies: []']
)
def test_a_file_that_is_none(text: str) -> None:
    assert wrong(text) != []


def test_every_key_is_described() -> None:
    def silent(part: Any, place: str = "") -> list[str]:  # noqa: ANN401 - JSON of any shape
        if isinstance(part, list):
            return [each for item in part for each in silent(item, place)]
        if not isinstance(part, dict):
            return []
        keys = part.get("properties", {})
        found = [f"{place}.{key}" for key, known in keys.items() if not known.get("description")] if place else []
        below = ((key, inner) for key, inner in part.items() if key not in {"if", "then"})  # what keys mean together
        return found + [each for key, inner in below for each in silent(inner, f"{place}/{key}")]

    assert silent(policy_schema()) == []
    assert set(policy_schema()["properties"]) == set(FileKeys.model_fields)
