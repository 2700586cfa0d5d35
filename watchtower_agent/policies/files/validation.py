"""pydantic's errors, said in the words of the file and with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from watchtower_agent.policies.files.document import ThenKeys
from watchtower_agent.policies.files.document_values import OWN_WORDS
from watchtower_agent.policies.files.prune_keys import ONLY_EXAMPLE
from watchtower_agent.policies.problem import Finding, Path, did_you_mean, meant, one_of, shown

_LONGEST_EXAMPLE: Final = 40
_KEYS_OF_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "string_type": ("this is not a text", "write a text, in quotes if it looks like something else"),
    "bool_type": ("this is neither true nor false", "write true or false"),
    "list_type": ("this is not a list", "begin each item with a dash, or write [a, b]"),
    "dict_type": ("this is not a mapping", "write keys and values, as in {key: value}"),
    "model_type": ("this is not a mapping", "write keys and values, as in {key: value}"),
}

_EXAMPLES: Final[Mapping[str, str]] = {
    "backoff": "{initial: 10s, max: 15m}",
    "budget": "{max: 5, per: 30m}",
    "build_cache": "{unused_for: 72h}, or {}",
    "containers": "{finished_for: 7d}, or {}",
    "cpu": "{min: 0.1, max: 2}",
    "depends": '[db, "cache-*"]',
    "compose": "{project: NAME}, {service: NAME} or both",
    "down": "{window: 8m, fast: 25% after 150s, step: 50% per 60s}",
    "group": "{labels: {app: NAME}}",
    "idle": "{below: 5%, for: 15m}",
    "images": "{unused_for: 24h, keep_newest: 2}, or {}",
    "kill": "{signal: SIGTERM}, or {} for KILL",
    "labels": '{autoheal: "true"}',
    "memory": "{min: 128MiB, max: 2GiB}",
    "metrics": "[{metric: cpu.percent_of_limit, target: 60%}]",
    "not": "{name: NAME}",
    "notify": "{severity: warning}, or {}",
    "on": "{container: die}",
    "prune": "{images: {unused_for: 24h}, build_cache: {}}",
    "prune.networks": "{unused_for: 24h}, or {}",
    "resize": "{memory: {min: 128MiB, max: 2GiB}}, {cpu: {min: 0.1, max: 2}} or both",
    "restart": "{stop_timeout: 30s}, or {}",
    "scale": "{min: 1, max: 10, metrics: [{metric: cpu.percent_of_limit, target: 60%}]}",
    "scale.schedule": '[{cron: "0 8 * * mon-fri", for: 10h, min: 4}]',
    "schedule": '{cron: "30 3 * * *", timezone: UTC}',
    "select": '{name: NAME}, or {labels: {autoheal: "true"}}',
    "stop": "{stop_timeout: 30s}, or {}",
    "target": "{swarm_service: NAME}, {compose: {project: shop, service: NAME}} or {group: {labels: {app: NAME}}}",
    "target.compose": "{project: shop, service: NAME}",
    "then": "{restart: {}}, or {notify: {}}",
    "up": "{window: 20s, tolerance: 12%, step: 100% per 30s, cooldown: 15s}",
    "volumes": '{only: ["cache-*"]}',
    "windows": '[{cron: "0 2 * * *", for: 3h, timezone: UTC}]',
}
"""Key, or two where it means another thing below that, -> what is written after it, for those that hold keys of their
own."""

_MISSING: Final[Mapping[str, str]] = {
    "cron": '"30 3 * * *" for 03:30, or another time',
    "for": "3h, or another duration",
    "name": "NAME, one that no other policy has",
    "labels": "{app: worker}, or others that all of them have",
    "only": ONLY_EXAMPLE,
    "policies": "[], or a list of them",
    "project": "shop, the name of its Compose project",
    "service": "web, its name within the project",
    "timezone": "UTC, or an IANA name such as Europe/Berlin",
    "version": "1",
}
"""Key -> what is written after it, for those that have no default and more than one meaning elsewhere."""


_IN_PLACE_OF_THEN: Final[Mapping[str, str]] = {
    "scale": "write target and scale in place of a trigger and then",
    "resize": "write select and resize in place of a trigger and then",
    "prune": "write prune in place of then",
}
"""What is a policy's strategy -> where it is written."""


def findings_of(error: ValidationError, model: type[BaseModel], root: Path = ()) -> Iterator[Finding]:
    """Every mistake that pydantic found, by the path in the file.

    Args:
        error: What the validation raised.
        model: The model that was validated.
        root: The path of the validated value in its file.
    """
    for detail in error.errors(include_url=False):
        steps = tuple(step for step in detail["loc"] if step != "[key]")
        yield _finding(detail, root + steps, _keys_at(model, steps[:-1]), at_key="[key]" in detail["loc"])


def _finding(detail: ErrorDetails, path: Path, known: tuple[str, ...], *, at_key: bool) -> Finding:
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == OWN_WORDS:
        offset = context.get("offset", 0)
        return Finding(path=path, message=context["message"], remedy=context["remedy"], at_key=at_key, offset=offset)
    if kind == "extra_forbidden" and path[-2:-1] == ("then",) and path[-1] in _IN_PLACE_OF_THEN:
        key = str(path[-1])
        message = f"{key} does not stand under then"
        return Finding(path=path, message=message, remedy=_IN_PLACE_OF_THEN[key], at_key=True)
    if kind == "extra_forbidden":
        remedy = did_you_mean(str(path[-1]), known) if known else "leave it out: no keys belong here"
        return Finding(path=path, message=f"unknown key {shown(str(path[-1]))}", remedy=remedy, at_key=True)
    if kind == "missing":
        key = str(path[-1])
        return Finding(path=path, message=f"the key {key} is missing", remedy=f"add {key}: {_MISSING.get(key, '…')}")
    if kind in {"enum", "literal_error"}:
        return _closed_set(path, detail, str(context["expected"]))
    return _of_type(detail, path, at_key=at_key)


def _of_type(detail: ErrorDetails, path: Path, *, at_key: bool) -> Finding:
    kind = detail["type"]
    if kind == "string_too_long":
        return Finding(
            path=path,
            message="this text is too long",
            remedy=f"use {detail['ctx']['max_length']} characters at most",
            at_key=at_key,
        )
    if kind in {"dict_type", "model_type"} and (example := _example(path, detail["input"])):
        return Finding(path=path, message="this is not a mapping", remedy=f"write {example}")
    if kind == "list_type" and (example := _written_after(path)):
        return Finding(path=path, message="this is not a list", remedy=f"write {example}")
    message, remedy = _KEYS_OF_TYPES.get(kind, (detail["msg"], "see docs/policies.md for what belongs here"))
    return Finding(path=path, message=message, remedy=remedy)


def _example(path: Path, given: object) -> str:
    """What would be right for a key, with the text that was given in its place if that is one of the words."""
    key = str(path[-1]) if path else ""
    if isinstance(path[-1], int):
        return _written_after(path[:-1]).removeprefix("[").removesuffix("]")
    written = _written_after(path)
    if key == "then" and isinstance(given, str) and given in ThenKeys.model_fields:
        return f"{{{given}: {{}}}}"
    if isinstance(given, str) and given.isprintable() and len(given) <= _LONGEST_EXAMPLE and "NAME" in written:
        return written.replace("NAME", given)
    return written or ("{}" if key in ThenKeys.model_fields else "")


def _written_after(path: Path) -> str:
    """An example of what a key holds; empty where there is none."""
    key, above = str(path[-1]), str(path[-2]) if len(path) > 1 else ""
    return _EXAMPLES.get(f"{above}.{key}") or _EXAMPLES.get(key, "")


def _closed_set(path: Path, detail: ErrorDetails, expected: str) -> Finding:
    words = tuple(expected.replace("'", "").replace(" or ", ", ").split(", "))
    given = detail["input"]
    if isinstance(given, str) and given in words and given.isdecimal():
        return Finding(path=path, message=f"{shown(given)} in quotes is a text", remedy=f"write {given} without quotes")
    if isinstance(given, list | dict):
        kind = "list" if isinstance(given, list) else "mapping"
        return Finding(path=path, message=f"a {kind} can't stand here", remedy=one_of(words))
    if given is None:
        return Finding(path=path, message="there is no value", remedy=one_of(words))
    message = f"{shown(str(given).lower() if isinstance(given, bool) else str(given))} is not known here"
    near = meant(given, words) if isinstance(given, str) else None
    hint = f"did you mean {near}? " if near else ""
    return Finding(path=path, message=message, remedy=hint + one_of(words))


def _keys_at(model: type[BaseModel], steps: Path) -> tuple[str, ...]:
    """The keys that the model knows at a path; none where keys are free."""
    here: type[BaseModel] | None = model
    for step in steps:
        if here is None:
            return ()
        if isinstance(step, str):
            here = _model_of(next((info for key, info in _fields(here) if key == step), None))
    return tuple(key for key, _ in _fields(here)) if here is not None else ()


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        yield info.alias or name, info


def _model_of(info: FieldInfo | None) -> type[BaseModel] | None:
    """The model that a field holds, alone, optional or in a list."""
    waiting: list[Any] = [info.annotation] if info is not None else []
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        waiting.extend(get_args(kind))
    return None
