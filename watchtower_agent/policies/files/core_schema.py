"""YAML 1.2's core schema: what values that are not in quotes are, in Python's own types. Pure.

PyYAML's own resolvers read the key `on:` as true, `mode: off` as false, `1:30` as 90 and `012` as 10.
"""

from __future__ import annotations

import re
from typing import Final

from watchtower_agent.policies.files.yaml_nodes import NULLS, MappingNode, Node, SequenceNode

_BOOLEANS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,300}", re.ASCII)
_OCTAL: Final = re.compile(r"0o[0-7]{1,300}", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]{1,300}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL_FLOAT: Final = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
"""What a file says, in Python's own types."""


def plain(node: Node, *, verbatim: frozenset[str] = frozenset()) -> Plain:
    """The node in Python's own types, by the core schema.

    Args:
        node: What to convert.
        verbatim: Keys below which every scalar is the text as written: `true` is "true", `1.0` is "1.0".
    """
    if isinstance(node, SequenceNode):
        return [plain(item, verbatim=verbatim) for item in node.items]
    if isinstance(node, MappingNode):
        return {
            key: _as_written(value) if key in verbatim else plain(value, verbatim=verbatim)
            for key, value in node.values.items()
        }
    return node.text if node.quoted else _resolve(node.text)


def _as_written(node: Node) -> Plain:
    if isinstance(node, SequenceNode):
        return [_as_written(item) for item in node.items]
    if isinstance(node, MappingNode):
        return {key: _as_written(value) for key, value in node.values.items()}
    return node.text


def _resolve(text: str) -> Plain:  # noqa: PLR0911 - one return per type of the core schema
    if text in NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, base=0)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, base=0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL_FLOAT.fullmatch(text):
        return float("nan") if special.group(1) is None else float(special.group(1) + "inf")
    return text
