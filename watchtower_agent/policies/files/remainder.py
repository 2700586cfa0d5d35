"""One policy's keys, and what is left of them when what is broken is taken out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import ValidationError

from watchtower_agent.policies.files.core_schema import Plain
from watchtower_agent.policies.files.document import PolicyKeys
from watchtower_agent.policies.files.validation import findings_of
from watchtower_agent.policies.files.yaml_nodes import MappingNode, SequenceNode, YamlText
from watchtower_agent.policies.problem import Finding, Path, shown

VERBATIM: Final = frozenset({"labels", "value"})
"""Keys below which all is text as it is written. Labels are text to the engine: `autoheal: true` means "true",
`version: 1.0` means "1.0"; and `value: 1.10` is the place 10 of a list in a list."""
_PLACEHOLDER: Final = "unnamed"
_ROUNDS: Final = 3
"""In which more and more is taken out around what is broken, before all of its key is."""


def keys_of(text: YamlText, root: Path, item: Plain) -> tuple[list[Finding], PolicyKeys | None, frozenset[Path]]:
    """One policy's keys. What is broken is told and taken out, so that the rest is checked all the same.

    Args:
        text: Its file.
        root: Its path in that.
        item: What stands there. What is broken is taken out of it.

    Returns:
        What is wrong; its keys without that, None where it is no policy at all; and where in the policy that was.
    """
    if not isinstance(item, dict):
        finding = Finding(path=root, message="this is not a policy", remedy="write it like - name: heal-unhealthy")
        return [finding], None, frozenset()
    findings = list(_values_left_out(text, root))
    for finding in findings:
        _take_out(item, finding.path[len(root) :])
    try:
        keys = PolicyKeys.model_validate({**_stand_in(findings, root), **item})
    except ValidationError as error:
        findings += findings_of(error, PolicyKeys, root)
        keys = _rest(item, findings, root)
    return findings, keys, frozenset(finding.path[len(root) :] for finding in findings)


def _rest(item: dict[str, Plain], findings: list[Finding], root: Path) -> PolicyKeys:
    """What is left when the mistakes are gone; when that leaves new ones (an empty list), what holds them goes."""
    broken = [finding.path[len(root) :] for finding in findings]
    _take_all_out(item, broken)
    for _ in range(_ROUNDS):
        try:
            return PolicyKeys.model_validate({**_stand_in(findings, root), **item})
        except ValidationError as error:
            left = [tuple(step for step in each["loc"] if step != "[key]") for each in error.errors(include_url=False)]
        _take_all_out(item, [path[:-1] or path for path in left])
    keys = {path[0] for path in broken}
    return PolicyKeys.model_validate(
        {**_stand_in(findings, root), **{key: value for key, value in item.items() if key not in keys}}
    )


def _take_all_out(item: dict[str, Plain], paths: list[Path]) -> None:
    """The last ones first, so that no index moves before its turn."""
    for path in sorted(set(paths), key=lambda path: [str(step).zfill(9) for step in path], reverse=True):
        _take_out(item, path)


def _stand_in(findings: list[Finding], root: Path) -> dict[str, Plain]:
    """A name for a policy whose own can't be used."""
    return {"name": _PLACEHOLDER} if any(finding.path[len(root)] == "name" for finding in findings) else {}


def _take_out(item: Plain, path: Path) -> None:
    """Remove what stands at a path, or as near to it as there is something."""
    for index, step in enumerate(path):
        last = index == len(path) - 1
        if isinstance(item, dict) and step in item:
            below = item[str(step)]
            if last or not isinstance(below, dict | list):
                del item[str(step)]
                return
        elif isinstance(item, list) and isinstance(step, int) and step < len(item):
            below = item[step]
            if last or not isinstance(below, dict | list):
                del item[step]
                return
        else:
            return
        item = below


def _values_left_out(text: YamlText, root: Path) -> Iterator[Finding]:
    """Keys without a value: neither a default nor an empty mapping, most likely a line that was not finished."""
    waiting = [(root, text.node(root))]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, SequenceNode):
            waiting.extend(((*path, index), each) for index, each in enumerate(node.items))
        elif isinstance(node, MappingNode):
            if path[-1] not in VERBATIM:
                waiting.extend(((*path, key), each) for key, each in node.values.items())
        elif node.null and len(path) > len(root):
            yield _value_left_out(path)


def _value_left_out(path: Path) -> Finding:
    key, colon, value = str(path[-1]).partition(":")
    if key and colon and value:
        message = f"a blank is missing after the colon in {shown(str(path[-1]))}"
        return Finding(path=path, message=message, remedy=f"write {key}: {value}", at_key=True)
    remedy = "write {} for no parameters" if path[-2] in {"then", "prune"} else "give it one, or leave the key out"
    return Finding(path=path, message="there is no value", remedy=remedy)
