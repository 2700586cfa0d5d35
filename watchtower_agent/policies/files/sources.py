"""Which service, and where a metric comes from: names, labels, topics, URLs; read, checked, told to editors."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, WithJsonSchema

from watchtower_agent.policies.files.document_values import LONGEST_PATTERN, label_name, wrong
from watchtower_agent.policies.problem import shown

MOST_LABELS: Final = 20
"""Of a group."""
_LONGEST_TOPIC: Final = 65_535
"""Bytes, by the protocol."""
_LONGEST_URL: Final = 2000
_LONGEST_PATH: Final = 32
"""Keys and places of lists, as deep as a payload may be."""
_LONGEST_PLACE: Final = 6
"""Digits of a place in a list."""
_LAST_PORT: Final = 65_535

_SERVICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_URL: Final = re.compile(r"(https?)://([^/?#]*)([/?#].*)?", re.ASCII | re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)
_WILD: Final = re.compile(r"[*?\[]")


def _topic(text: str) -> str:
    if not text:
        raise wrong("the topic is empty", "write the topic that the number is published on")
    at = next((at for at, sign in enumerate(text) if sign in "+#"), None)
    if at is not None:
        raise wrong(f"{text[at]} is a wildcard, and a metric has one topic", "write the whole topic", at)
    if text.startswith("$share/"):
        raise wrong("this is a shared subscription, which gives each reader a part", "write the topic alone")
    at = next((at for at, sign in enumerate(text) if not sign.isprintable()), None)
    if at is not None:
        raise wrong("the topic has a character that no topic has", "leave it out", at)
    if len(text.encode(errors="replace")) > _LONGEST_TOPIC:
        raise wrong("this topic is too long", f"{_LONGEST_TOPIC} bytes are the most that MQTT takes")
    return text


def _url(text: str) -> str:
    """The URL itself is never repeated: it may hold what nobody else is to see."""
    if len(text) > _LONGEST_URL:
        raise wrong("this URL is too long", f"use {_LONGEST_URL} characters at most")
    at = next((at for at, sign in enumerate(text) if not "!" <= sign <= "~"), None)
    if at is not None:
        encoded = "".join(f"%{byte:02X}" for byte in text[at].encode(errors="replace"))
        raise wrong("a URL has no such character", f"write {encoded} for it", at)
    found = _URL.fullmatch(text)
    if found is None:
        raise wrong("this is no URL that can be asked", 'write it like "http://localhost:9090/api/v1/query?query=up"')
    authority = found.group(2)
    if "@" in authority:
        raise wrong(
            "user and password in a URL would be seen by whoever reads the policy",
            "ask what needs none",
            found.start(2),
        )
    host = _HOST.fullmatch(authority)
    if host is None or not 1 <= int(host.group(1) or 1) <= _LAST_PORT:
        raise wrong("this URL names no host that there can be", "write it like http://localhost:9090/…", found.start(2))
    return text


def _path(value: object) -> tuple[str | int, ...]:
    """Keys and places of lists: digits are a place."""
    if not isinstance(value, str):
        raise wrong("this is no way to a number", "write it like data.result.0.value.1")
    steps = value.split(".")
    if len(steps) > _LONGEST_PATH:
        raise wrong(f"{len(steps)} steps are more than a payload is deep", f"{_LONGEST_PATH} is the most")
    at = 0
    for step in steps:
        if not step.strip():
            raise wrong("a step of this is empty", "write keys and places of lists with single dots between", at)
        if _is_place(step) and len(step) > _LONGEST_PLACE:
            raise wrong(f"{shown(step)} is no place in any list", "count places from 0", at)
        at += len(step) + 1
    return tuple(int(step) if _is_place(step) else step for step in steps)


def _is_place(step: str) -> bool:
    return step.isascii() and step.isdecimal()


def _service(text: str) -> str:
    if _WILD.search(text):
        raise wrong(f"{shown(text)} is a pattern, and what is scaled is one service", "write its whole name")
    if not _SERVICE.fullmatch(text):
        raise wrong(f"{shown(text)} is no name of a service", "write it like web: letters, digits, - _ and .")
    return text


def _label_value(text: str) -> str:
    if _WILD.search(text):
        raise wrong(f"{shown(text)} is a pattern, and the labels of a group are exact", "write the whole value")
    return text


Topic = Annotated[
    str,
    AfterValidator(_topic),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": _LONGEST_TOPIC,
            "pattern": "^[^+#]+$",
            "examples": ["queue/orders"],
        }
    ),
]
"""Of MQTT, without wildcards."""
Url = Annotated[
    str,
    AfterValidator(_url),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": _LONGEST_URL,
            "pattern": "^[hH][tT][tT][pP][sS]?://[^@/?#]+([/?#].*)?$",
            "examples": ["http://localhost:9090/api/v1/query?query=up"],
        }
    ),
]
"""Of HTTP, without user and password."""
ValuePath = Annotated[
    InstanceOf[tuple[str | int, ...]],
    BeforeValidator(_path),
    WithJsonSchema({"type": ["string", "number"], "examples": ["depth", "data.result.0.value.1"]}),
]
"""Keys and places of lists that lead to a number."""
ServiceName = Annotated[
    str,
    Field(max_length=LONGEST_PATTERN),
    AfterValidator(_service),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "maxLength": LONGEST_PATTERN}),
]
"""Of a service or project, exact."""
GroupLabels = Annotated[
    dict[
        Annotated[str, Field(max_length=LONGEST_PATTERN), AfterValidator(label_name)],
        Annotated[str, Field(max_length=LONGEST_PATTERN), AfterValidator(_label_value)],
    ],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": LONGEST_PATTERN},
            "minProperties": 1,
            "maxProperties": MOST_LABELS,
        }
    ),
]
"""Labels that all containers of a group have."""
