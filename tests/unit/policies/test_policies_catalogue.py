"""The catalogue: the only source of names, and the documentation follows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchtower_agent.model.engine_event import ENGINE_KINDS, EventKind
from watchtower_agent.policies.catalogue import ACTIONS, CATALOGUE, Entry, Scope, ValueType
from watchtower_agent.policies.conditions.condition import ConditionScope, parse_condition

DOCS = Path(__file__).resolve().parents[3] / "docs" / "policies.md"
EXAMPLES = {
    ValueType.PERCENT: "> 80%",
    ValueType.BYTES: "> 1GiB",
    ValueType.DURATION: "> 5m",
    ValueType.NUMBER: "> 3",
    ValueType.TEXT: '== "x"',
    ValueType.BOOLEAN: "== true",
}


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_every_name_can_be_used_where_it_is_known(entry: Entry) -> None:
    scope = ConditionScope.WHERE if entry.scope is Scope.EVENT else ConditionScope.WHEN
    example = f'== "{entry.values[0]}"' if entry.values else EXAMPLES[entry.type]
    assert parse_condition(f"{entry.name} {example}", scope).names == {entry.name}


def test_enums_have_values_and_nothing_else_has() -> None:
    assert all(bool(entry.values) is (entry.type is ValueType.ENUM) for entry in CATALOGUE.values())


def test_every_kind_of_the_engine_can_trigger_and_the_agents_own_actions_cannot() -> None:
    assert set(ACTIONS) == {*ENGINE_KINDS, EventKind.ENGINE, EventKind.POLICY, EventKind.AGENT}


def test_the_documentation_names_every_name_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \| (\w+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: kind for name, kind in rows if kind in set(ValueType)} == {
        entry.name: str(entry.type) for entry in CATALOGUE.values()
    }


def test_the_documentation_names_every_action() -> None:
    text = DOCS.read_text(encoding="utf-8").partition("| kind | actions |")[2]
    for kind, actions in ACTIONS.items():
        row = re.search(rf"^\| `{kind}` \| (.*) \|$", text, re.MULTILINE)
        assert row is not None, kind
        assert set(re.findall(r"`([^`]+)`", row.group(1))) == actions
