"""What docs/ says of the MQTT contract is what the schemas say, and v1 keeps what it promised."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.support.schema import problems_of

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "docs" / "contract" / "examples"
SHOWN = sorted(EXAMPLES.glob("*/*.json"))


def script() -> Any:  # noqa: ANN401 - a module that is no part of a package
    specification = importlib.util.spec_from_file_location("contract", CHECKOUT / "scripts" / "contract.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", SHOWN, ids=[f"{path.parent.name}/{path.stem}" for path in SHOWN])
def test_every_example_fits_its_schema(path: Path) -> None:
    document = json.loads(path.read_text())
    assert problems_of(path.parent.name, document) == []
    if path.parent.name == "event":
        kind, action, *_ = path.stem.split(".")  # a third word tells several examples of one type apart
        assert document["type"] == f"io.watchtower.{kind}.{action}.v1"


def test_there_is_an_example_of_every_schema_and_type_of_event() -> None:
    made = script()
    shown = {path.stem for path in SHOWN if path.parent.name == "event"}
    kinds = {f"{each.split('.')[0]}.*" for each in shown}
    assert [each for _, types in made.event_types() for each in types if each not in shown | kinds] == []
    assert {path.parent.name for path in SHOWN} == {channel.schema for channel in made.CHANNELS}
    assert {path.parent.name for path in SHOWN} == {path.stem for path in made.SCHEMAS.glob("*.json")}


def test_page_document_and_promises_are_current() -> None:
    for path, text in script().documents().items():
        assert path.read_text() == text, f"{path.name} is not what the schemas say: run scripts/contract.py"


def test_the_document_of_the_topics_is_asyncapi() -> None:
    rules = json.loads((CHECKOUT / "tests" / "data" / "asyncapi-3.0.0.json").read_text())
    document = json.loads((CHECKOUT / "docs" / "contract" / "asyncapi.json").read_text())
    assert list(Draft7Validator(rules).iter_errors(document)) == []
    for message in document["components"]["messages"].values():
        file, _, _ = message["payload"]["schema"]["$ref"].partition("#")
        assert (CHECKOUT / "docs" / "contract" / file).is_file()
        assert message["examples"]
    wrong = copy.deepcopy(document)
    wrong["operations"]["publishEvent"]["action"] = "publish"
    assert not Draft7Validator(rules).is_valid(wrong)


@pytest.mark.parametrize(
    ("promised", "now", "kept"),
    [
        ("event.id string always", "event.id string always", True),
        ("event.id string always", "event.id string sometimes", False),
        ("event.id string sometimes", "event.id string always", True),
        ("event.id string always", "event.id integer always", False),
        ("event.id string always", "event.key string always", False),
    ],
)
def test_v1_may_promise_more_and_never_less(promised: str, now: str, *, kept: bool) -> None:
    assert (script().broken([promised], [now, "event.new string sometimes"]) == []) is kept
