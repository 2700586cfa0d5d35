"""The engine's raw events -> EngineEvent. Pure, and safe against anything that a stream may bring."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from watchtower_agent.engine.bounds import bounded, own_attributes
from watchtower_agent.engine.podman import docker_attributes, docker_word
from watchtower_agent.model.engine_event import ENGINE_KINDS, EXEC_ACTIONS, EngineEvent, EventKind
from watchtower_agent.model.values import dataclass

MAX_LINE = 4 * 1024 * 1024
"""Bytes of one event. The engine's own are a few hundred; labels make them longer."""

CUT = b"\0"
"""Stands where the middle of a line that is too long was left out. No JSON has it, anywhere."""

_HEAD, _TAIL = 4096, 1024
"""Bytes of a line that tell it apart: the action and the actor stand at its begin, the stamp at its end."""

MAX_ATTRIBUTES = 512
MAX_KEY = 1024
MAX_VALUE = 65536
MAX_TOTAL = 512 * 1024
"""Characters of all attributes together: labels that exceed it are left out, the engine's own attributes never."""
MAX_WORD = 1024

_KINDS = {kind.value: kind for kind in ENGINE_KINDS}
_EXEC_KEYS = frozenset({"name", "image", "execID", "exitCode"})
_COMMAND_KEYS = frozenset({"command", "cmd", "args", "arguments", "entrypoint", "exec"})
_LATEST_NS = 2**63


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that may have been an event: what it told is lost.

    Attributes:
        id: The same each time that the engine shows it.
        cause: Of the gap.
    """

    id: str
    cause: str


def parse_event(line: bytes, *, engine_id: str, podman: bool = False) -> EngineEvent | Unreadable | None:
    """One line of the event stream.

    Args:
        line: JSON, as the engine wrote it, or what `shortened` made of it.
        engine_id: Part of the event's deterministic id.
        podman: Podman wrote it.

    Returns:
        The event with origin `stream` and position 0; None for JSON that is no event of a known kind.
    """
    if len(line) > MAX_LINE or CUT in line:
        return Unreadable(id=_line_identity(engine_id, line), cause="event_too_large")
    try:
        raw = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return Unreadable(id=_line_identity(engine_id, line), cause="event_unreadable")
    return normalise_event(raw, engine_id=engine_id, podman=podman)


def shortened(head: bytes, tail: bytes) -> bytes:
    """What stands for a line that is too long to be kept; the same however much of its begin and end is given."""
    return head[:_HEAD] + CUT + tail[-_TAIL:]


def _line_identity(engine_id: str, line: bytes) -> str:
    text = line if CUT in line else shortened(line, line)
    return hashlib.sha256(engine_id.encode("utf-8", "replace") + b"\0" + text).hexdigest()[:32]


def normalise_event(raw: object, *, engine_id: str, podman: bool = False) -> EngineEvent | None:
    """One raw event. Only Type, Action and Actor are read: API 1.52 has no `status`, `id` and `from` any more."""
    if not isinstance(raw, Mapping):
        return None
    kind = _kind(raw.get("Type"))
    action, detail = _action(raw.get("Action"))
    time_ns = _time_ns(raw)
    if kind is not None and podman:
        action = docker_word(kind, action)
    if kind is None or not action or time_ns is None:
        return None
    actor = raw.get("Actor")
    actor = actor if isinstance(actor, Mapping) else {}
    actor_id = _text(actor.get("ID"), MAX_WORD)
    attributes = _attributes(actor.get("Attributes"), kind)
    if podman:
        attributes = docker_attributes(kind, attributes)
        actor_id = actor_id or attributes.get("name", "")  # a volume's
    if action in EXEC_ACTIONS:
        # Health checks carry passwords on their command line: it is dropped here, wherever it stands.
        attributes = {
            key: value
            for key, value in attributes.items()
            if key in _EXEC_KEYS or (key.lower() not in _COMMAND_KEYS and not (detail and detail in value))
        }
        detail = ""
    elif action == "health_status" and not detail:
        # Podman sends the bare word and the status beside it.
        detail = _text(raw.get("HealthStatus"), MAX_WORD) or attributes.get("health_status", "")
    return EngineEvent(
        id=_identity(engine_id, time_ns, kind, f"{action}:{detail}", actor_id),
        kind=kind,
        action=action,
        detail=detail,
        actor_id=actor_id,
        attributes=attributes,
        time_ns=time_ns,
        swarm=raw.get("scope") == "swarm",
        podman=podman,
    )


def stamp_text(time_ns: int) -> str:
    """A stamp for `since` and `until`, as `seconds.nanoseconds`.

    A float loses the event, bare nanoseconds mean another time.
    """
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{seconds}.{nanoseconds:09d}"


def _identity(engine_id: str, time_ns: int, kind: EventKind, action: str, actor_id: str) -> str:
    parts = "\0".join((engine_id, str(time_ns), kind, action, actor_id))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _kind(value: object) -> EventKind | None:
    return _KINDS.get(value) if isinstance(value, str) else None


def _action(value: object) -> tuple[str, str]:
    """`health_status: unhealthy` -> (`health_status`, `unhealthy`)."""
    # Not cut before the colon is found: a command line may be long, and is dropped whole.
    word, _, detail = _text(value, MAX_VALUE).partition(":")
    word = word.strip()[:MAX_WORD]
    return word, detail.strip()[: MAX_VALUE if word in EXEC_ACTIONS else MAX_WORD]


def _time_ns(raw: Mapping[object, object]) -> int | None:
    stamp = raw.get("timeNano")
    if isinstance(stamp, int) and not isinstance(stamp, bool) and 0 < stamp < _LATEST_NS:
        return stamp
    seconds = raw.get("time")
    if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds < _LATEST_NS // 1_000_000_000:
        return seconds * 1_000_000_000
    return None


def _attributes(value: object, kind: EventKind) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    given = {_text(key, MAX_KEY): _text(content, MAX_VALUE) for key, content in value.items()}
    return bounded(given, always=own_attributes(kind), most=MAX_ATTRIBUTES, total=MAX_TOTAL)


def _text(value: object, limit: int) -> str:
    """A string that can be encoded: lone surrogates, which JSON can spell, are replaced."""
    if not isinstance(value, str):
        return "" if value is None or isinstance(value, (Mapping, list)) else str(value)[:limit]
    value = value[:limit]
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
