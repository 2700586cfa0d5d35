"""Writes what docs/ has of the MQTT contract: its page, its AsyncAPI document, its promises.

From the schemas beside the code and the examples beside the page:

    .venv/bin/python scripts/contract.py

A test says when that has to be done again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

CHECKOUT: Final = Path(__file__).resolve().parents[1]
SCHEMAS: Final = CHECKOUT / "watchtower_agent" / "publishing" / "schemas"
CONTRACT: Final = CHECKOUT / "docs" / "contract"
EXAMPLES: Final = CONTRACT / "examples"
PROMISED: Final = CONTRACT / "promised.txt"
TO_SCHEMAS: Final = "../../watchtower_agent/publishing/schemas"
JSON_SCHEMA: Final = "application/schema+json;version=draft-2020-12"

Json = dict[str, Any]


class Channel(NamedTuple):
    """One sort of topic.

    Attributes:
        name: In the AsyncAPI document.
        address: Below `<base>/v1/<host>/`, or from `{prefix}` on.
        way: What the agent does with it: `sends` or `takes`.
        qos: Of its messages.
        kept: Whether the broker keeps the newest: `retained` or `not retained`.
        schema: Whose file the schema is.
        summary: What it carries.
    """

    name: str
    address: str
    way: str
    qos: int
    kept: str
    schema: str
    summary: str


CHANNELS: Final = (
    Channel("status", "status", "sends", 1, "retained", "status", "`online` or `offline`: retained, and the last will"),
    Channel(
        "info", "info", "sends", 1, "retained", "info", "what runs here: versions, engine, policies with their modes"
    ),
    Channel("event", "event/{kind}/{action}/{key}", "sends", 1, "not retained", "event", "one event, a CloudEvent 1.0"),
    Channel(
        "state",
        "state/container/{key}",
        "sends",
        1,
        "retained",
        "container-state",
        "a container's state; empty when it is gone",
    ),
    Channel(
        "metrics", "metrics", "sends", 0, "not retained", "metrics", "a batch: host, engine, every running container"
    ),
    Channel(
        "containerMetrics",
        "metrics/container/{key}",
        "sends",
        0,
        "not retained",
        "container-metrics",
        "one container's sample, if `mqtt.metrics.per_container` or `mqtt.home_assistant.enabled`",
    ),
    Channel(
        "command", "command/{name}", "takes", 1, "not retained", "command", "a command, if `mqtt.commands` allows it"
    ),
    Channel(
        "homeAssistant",
        "{prefix}/device/{device}/config",
        "sends",
        1,
        "retained",
        "home-assistant",
        "a host or container for Home Assistant, if `mqtt.home_assistant.enabled`; empty when it is gone",
    ),
    Channel("reply", "reply/{id}", "sends", 0, "not retained", "reply", "the answer to a command that had an id"),
)
PARAMETERS: Final = {
    "base": "`mqtt.base_topic`, `watchtower` by default. May have several levels.",
    "host": "`host` of the agent's settings, by default the machine's name.",
    "kind": "The engine's kind of object, or `engine`, `policy`, `action`, `agent`.",
    "action": "What happened.",
    "key": "The name of what it is about, as events.md says.",
    "name": "Of the command.",
    "prefix": "`mqtt.home_assistant.prefix`, `homeassistant` by default.",
    "device": "`<base>_<host>`, and of a container `_<key>` behind it. Names with other signs have a short hash.",
    "id": "Of the command, as its sender chose it.",
}

HEAD: Final = """\
<!-- Written by scripts/contract.py from watchtower_agent/publishing/schemas/. Change these, and run it. -->
# The contract: every topic, every payload

What programs may rely on. [events.md](events.md) explains the same to people; this page is written from the JSON
Schemas in `watchtower_agent/publishing/schemas/`, against which the tests hold every message that a subscriber of
theirs receives.

- [contract/asyncapi.json](contract/asyncapi.json): the topics as an AsyncAPI 3.0 document, for generators.
- [contract/examples/](contract/examples/): a message of each sort.
- [contract/promised.txt](contract/promised.txt): every key that v1 has, with its type, and every listed word.

## Versions

The contract's version is the `v1` in the topic. `schema: 1` and the `.v1` of an event's `type` are the same number.

| within v1, with any release | only as v2 |
| --- | --- |
| another topic below `v1/<host>/`, another type of event | a topic goes, has another QoS, is retained or no more |
| another key in an object | a key goes, or has another name, type, unit or meaning |
| a key is there more often | a key that is always there is missing sometimes |
| another word where words are listed (a guard, a verb, a cause) | a word goes or means something else |
| another metric | another way to make keys of names |
| another argument of a command that may be left out | an argument that must be given |

So: **ignore what you don't know**, keys and types and words; treat what is not there as not known. The schemas say
exactly what the agent of their release writes (`additionalProperties: false`, closed lists of words), which is right
for a test of the agent. Whoever checks messages of later releases by them takes both out. A message of v2 would go to
topics below `v2/`, beside those of v1 for at least one release, never in their place.

`contract/promised.txt` holds us to that: a test fails when something in it has gone, has another type, or is there less
often than it says.
"""


def read(name: str) -> Json:
    """The schema of that name."""
    found: Json = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def event_types() -> Iterator[tuple[str, list[str]]]:
    """Each definition of an event's data, with the types that have it: the agent's words, or `container.*`."""
    of: dict[str, list[str]] = {}
    for each in read("event")["allOf"]:
        name = each["then"]["properties"]["data"]["else"]["$ref"].removeprefix("#/$defs/")
        asked = each["if"]["properties"]["type"]
        if "enum" in asked:
            types = [word.removeprefix("io.watchtower.").removesuffix(".v1") for word in asked["enum"]]
        else:
            kinds = asked["pattern"].removeprefix(r"^io\.watchtower\.").partition(r"\.")[0].strip("()")
            types = [f"{kind}.*" for kind in kinds.split("|")]
        of.setdefault(name, []).extend(types)
    return iter(of.items())


def examples(channel: Channel) -> dict[str, Any]:
    """By the name of their files."""
    folder = EXAMPLES / channel.schema
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def asyncapi() -> Json:
    """The AsyncAPI document. Schemas are referred to, not repeated."""
    channels: Json = {}
    operations: Json = {}
    messages: Json = {}
    for channel in CHANNELS:
        below = "" if channel.address.startswith("{prefix}") else "{base}/v1/{host}/"
        address = f"{below}{channel.address}"
        own = dict(_messages(channel))
        messages |= own
        channels[channel.name] = {
            "address": address,
            "description": channel.summary,
            "parameters": {
                name: {"description": text} for name, text in PARAMETERS.items() if f"{{{name}}}" in address
            },
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in own},
        }
        operations[f"{'publish' if channel.way == 'sends' else 'take'}{channel.name[0].upper()}{channel.name[1:]}"] = {
            "action": "send" if channel.way == "sends" else "receive",
            "channel": {"$ref": f"#/channels/{channel.name}"},
            "summary": channel.summary,
            "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.kept == "retained", "bindingVersion": "0.2.0"}},
        }
    operations["takeCommand"]["reply"] = {"channel": {"$ref": "#/channels/reply"}}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:watchtower-agent:v1",
        "info": {
            "title": "watchtower-agent over MQTT",
            "version": "1",
            "description": "What an agent publishes about its host, and which commands it takes. "
            "Actions are the agent's: it sends what has the action send.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _messages(channel: Channel) -> Iterator[tuple[str, Json]]:
    """The messages of a channel with their names: of events one for each sort of data."""
    known = examples(channel)
    content = {"status": "text/plain", "event": "application/cloudevents+json"}.get(channel.schema, "application/json")

    def message(title: str, shown: Mapping[str, Any], pointer: str = "") -> Json:
        return {
            "title": title,
            "contentType": content,
            "payload": {
                "schemaFormat": JSON_SCHEMA,
                "schema": {"$ref": f"{TO_SCHEMAS}/{channel.schema}.json{pointer}"},
            },
            "examples": [{"name": name, "payload": payload} for name, payload in shown.items()],
        }

    schema = read(channel.schema)
    if channel.schema == "event":
        for name, types in event_types():
            shown = {
                each: payload
                for each, payload in known.items()
                # a type of two words; a third tells several examples of one type apart
                if ".".join(each.split(".")[:2]) in types or f"{each.split('.')[0]}.*" in types
            }
            yield name, message(f"{', '.join(types)}: {schema['$defs'][name]['description']}", shown)
    elif channel.schema == "command":
        for each in schema["anyOf"]:
            name = each["$ref"].removeprefix("#/$defs/")
            yield name, message(schema["$defs"][name]["description"], {name: known[name]}, f"#/$defs/{name}")
    else:
        yield channel.name, message(schema["title"], known)


def page() -> str:
    """docs/contract.md."""
    lines = [HEAD, "## Topics", "", "Below `<base>/v1/<host>/`, but for what begins with `{prefix}`.", ""]
    lines += ["| topic | the agent | QoS, retained | content | schema, examples |", "| --- | --- | --- | --- | --- |"]
    for channel in CHANNELS:
        file = f"../watchtower_agent/publishing/schemas/{channel.schema}.json"
        where = f"[{channel.schema}]({file}), [examples](contract/examples/{channel.schema}/)"
        kept = f"{channel.qos}, {channel.kept}"
        lines.append(f"| `{channel.address}` | {channel.way} | {kept} | {channel.summary} | {where} |")
    for channel in CHANNELS:
        schema = read(channel.schema)
        lines += ["", f"## {channel.address}", "", f"{schema['title']}.", ""]
        if channel.schema == "status":
            continue
        if channel.schema == "command":
            for each in schema["anyOf"]:
                name = each["$ref"].removeprefix("#/$defs/")
                lines += [
                    f"### {name}",
                    "",
                    schema["$defs"][name]["description"],
                    "",
                    *_table(schema["$defs"][name], schema),
                    "",
                ]
            continue
        lines += _table(schema, schema)
        if channel.schema == "event":
            for name, types in event_types():
                part = schema["$defs"][name]
                lines += [
                    "",
                    f"### {', '.join(types)}",
                    "",
                    f"{part['description']} `data` has:",
                    "",
                    *_table(part, schema),
                ]
            lines += ["", "### Parts of data", ""]
            for name in ("target", "container", "object", "numbers", "sample", "some_containers"):
                part = schema["$defs"][name]
                lines += [f"**{name}.** {part.get('description', '')}".rstrip(), "", *(_table(part, schema) or [])]
                lines += [""]
    return "\n".join(lines).rstrip("\n").replace("\n\n\n", "\n\n") + "\n"


def _table(part: Json, whole: Json) -> list[str]:
    """The keys of an object."""
    for alternative in part.get("anyOf", []):
        if "properties" in alternative:
            part = alternative
            break
    keys = {**part.get("properties", {}), **{f"/{name}/": of for name, of in part.get("patternProperties", {}).items()}}
    if not keys:
        return []
    lines = ["| key | type | always | meaning |", "| --- | --- | --- | --- |"]
    for name, of in keys.items():
        resolved = _resolved(of, whole)
        text = of.get("description") or resolved.get("description", "")
        always = "yes" if name in part.get("required", ()) else ""
        lines.append(f"| `{name.replace('|', chr(92) + '|')}` | {_type(of, whole)} | {always} | {text} |")
    return lines


def _resolved(part: Json, whole: Json) -> Json:
    reference = part.get("$ref")
    found: Json = whole["$defs"][reference.removeprefix("#/$defs/")] if reference else part
    return found


def _type(part: Json, whole: Json) -> str:
    """In a few words."""
    if "$ref" in part and (name := part["$ref"].removeprefix("#/$defs/")) not in {"text", "id", "verb", "approval"}:
        return name
    part = _resolved(part, whole)
    if "enum" in part and len(part["enum"]) <= 20:  # noqa: PLR2004 - more would not be read in a table
        return ", ".join(f"`{word}`" for word in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    if part.get("type") == "array":
        return f"list of {_type(part['items'], whole)}"
    kind = part.get("type", "any")
    return ", ".join(kind) if isinstance(kind, list) else str(kind)


def promises() -> list[str]:
    """Every key of every payload with its type, whether it is always there, and the words that it can be."""
    lines: set[str] = set()
    for name in sorted({channel.schema for channel in CHANNELS}):
        schema = read(name)
        lines |= set(_promises(name, schema))
        for part, content in schema.get("$defs", {}).items():
            lines |= set(_promises(f"{name}:{part}", content))
    return sorted(lines)


def _promises(place: str, part: Json) -> Iterator[str]:
    for alternative in (part, *part.get("anyOf", [])):
        for key, of in alternative.get("properties", {}).items():
            kind = of.get("$ref", of.get("type", "one of a list"))
            often = "always" if key in alternative.get("required", ()) else "sometimes"
            kind = kind.removeprefix("#/$defs/") if isinstance(kind, str) else "/".join(kind)
            yield f"{place}.{key} {kind} {often}"
            for choice in (of, *of.get("anyOf", [])):
                yield from (f"{place}.{key} {word} word" for word in choice.get("enum", ()))
            yield from _promises(f"{place}.{key}", of)
            if isinstance(of.get("items"), dict):
                yield from _promises(f"{place}.{key}[]", of["items"])


def broken(promised: list[str], now: list[str]) -> list[str]:
    """What was promised and is not kept: gone, of another type, or there less often."""
    return [line for line in promised if line not in now and line.replace(" sometimes", " always") not in now]


def documents() -> dict[Path, str]:
    """Every file that is written from the schemas, with its text."""
    return {
        CONTRACT.with_suffix(".md"): page(),
        CONTRACT / "asyncapi.json": json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n",
        PROMISED: "\n".join(promises()) + "\n",
    }


def main() -> int:
    """Write them, unless a promise would be broken by that."""
    before = PROMISED.read_text(encoding="utf-8").splitlines() if PROMISED.exists() else []
    if gone := broken(before, promises()):
        print("nothing was written: this would break what v1 promises:", *gone, sep="\n  ", file=sys.stderr)
        return 1
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
