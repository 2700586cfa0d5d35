"""The JSON Schema of policy files, for editors: made of the document's models. Pure.

Draft 2020-12, with those keywords alone that the drafts before it have as well: editors differ in what they know. It
tells most of what the loader does and nothing that the loader would take is wrong by it; `check` has the last word.
"""

from __future__ import annotations

from typing import Any, Final

from watchtower_agent.model.decision import Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.policies.catalogue import ACTIONS, ANY_ACTION
from watchtower_agent.policies.files.document import FileKeys
from watchtower_agent.policies.files.document_values import MOST_NEEDS
from watchtower_agent.policies.files.strategy_schema import Schema, alone, complete, strategies

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TITLE: Final = "Policies of watchtower-agent"
_NOT_EMPTY: Final = ("ComposeKeys", "SelectKeys", "ThenKeys")
_BELONGS_TO: Final = {"for": "when", "keep_for": "when", "where": "on", "approve_within": "mode"}
_ABOUT: Final = {
    EventKind.DAEMON: "Events of the engine about itself.",
    EventKind.IMAGE: "Events of the engine about an image.",
    EventKind.BUILDER: "Events of the engine about its build cache.",
    EventKind.SERVICE: "Events of the engine about a Swarm service, told by managers.",
    EventKind.NODE: "Events of the engine about a node of the Swarm, told by managers.",
    EventKind.SECRET: "Events of the engine about a Swarm secret, told by managers.",
    EventKind.CONFIG: "Events of the engine about a Swarm config, told by managers.",
    EventKind.ENGINE: "What the agent concludes of the engine: lost, found again.",
    EventKind.POLICY: "What the agent decides: a condition began to hold or ceased, a decision was held or dropped.",
    EventKind.AGENT: "What the agent says of itself: started, events lost, sampling degraded.",
}
_TRIGGERS: Final = ("when", "on", "schedule")


def policy_schema() -> Schema:
    """The schema of one file of a policy folder."""
    schema = _tidied(FileKeys.model_json_schema())
    models: dict[str, Schema] = schema["$defs"]
    for name in _NOT_EMPTY:
        models[name]["minProperties"] = 1
    models["SelectKeys"]["properties"]["labels"]["minProperties"] = 1
    _one_action(models["ThenKeys"])
    complete(models)
    _policy(models["PolicyKeys"], models["SelectKeys"])
    return {"$schema": _DIALECT, "title": _TITLE, **schema}


def _policy(policy: Schema, select: Schema) -> None:
    keys: dict[str, Schema] = policy["properties"]
    keys["windows"]["minItems"] = 1
    keys["depends"] = {"description": keys["depends"]["description"], **_needs(select)}
    keys["on"] = {"description": keys["on"]["description"], **_events()}
    policy["required"] = ["name"]
    policy["allOf"] = [
        {"anyOf": [*({"required": [trigger, "then"]} for trigger in _TRIGGERS), *strategies()]},
        *alone(),
        *(
            {"not": {"required": [one, other]}}
            for index, one in enumerate(_TRIGGERS)
            for other in _TRIGGERS[index + 1 :]
        ),
        *({"if": {"required": [key]}, "then": {"required": [to]}} for key, to in _BELONGS_TO.items()),
    ]


def _one_action(then: Schema) -> None:
    """One verb, or `notify`, or `notify` and one verb."""
    then["anyOf"] = [{"maxProperties": 1}, {"required": [Verb.NOTIFY.value], "maxProperties": 2}]


def _needs(select: Schema) -> Schema:
    """One item or several, each a name or the keys of `select`."""
    name = next(each for each in select["properties"]["name"]["anyOf"] if each["type"] == "string")
    item = {"anyOf": [name, {"$ref": "#/$defs/SelectKeys"}]}
    several = {"type": "array", "items": item, "minItems": 1, "maxItems": MOST_NEEDS}
    return {"anyOf": [*item["anyOf"], several]}


def _events() -> Schema:
    return {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {kind.value: _actions(kind) for kind in ACTIONS},
    }


def _actions(kind: EventKind) -> Schema:
    action = {"enum": [ANY_ACTION, *sorted(ACTIONS[kind])]}
    several = {"type": "array", "items": action, "minItems": 1}
    return {"description": _ABOUT.get(kind, f"Events of the engine about a {kind.value}."), "anyOf": [action, several]}


def _tidied(schema: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Without what says nothing to a person, and without null: a key without a value is a mistake here."""
    if isinstance(schema, list):
        return [_tidied(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not _says_nothing(key, value)}
    options = kept.get("anyOf")
    if isinstance(options, list):
        named = [each for each in options if each != {"type": "null"}]
        if len(named) == 1 and isinstance(named[0], dict):
            del kept["anyOf"]
            kept = {**named[0], **kept}
        else:
            kept["anyOf"] = named
    return {key: _tidied(value) for key, value in kept.items()}


def _says_nothing(key: str, value: object) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value in {None, ""})
