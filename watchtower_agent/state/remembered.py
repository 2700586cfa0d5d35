"""What the store remembers of containers, as JSON objects and back. Pure.

A record that can't be read back (written by another version, damaged) is forgotten: the next listing tells it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchtower_agent.model.container import Container, ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.decision import Verb
from watchtower_agent.model.service import NOTHING_AGAINST, CloneFacts
from watchtower_agent.state.attribution import EndCause, OperatorIntent
from watchtower_agent.state.own_action import OwnAction
from watchtower_agent.state.record import ContainerRecord


def record_json(record: ContainerRecord) -> dict[str, object]:
    """A container's record, without what only this process knows: positions of events, what its samples precede.

    The agent's own newest action is kept: its last events may be replayed to the next run, which must not take them
    for a person's doing.
    """
    return {
        "container": _container_json(record.container),
        "restarts": record.restarts,
        "restarts_by_agent": record.restarts_by_agent,
        "started": record.started,
        "ended": record.ended,
        "exit_code": record.exit_code,
        "end_cause": record.end_cause.value,
        "operator": _fields(record.operator) if record.operator else None,
        "kill_at": record.kill_at,
        "kill_signal": record.kill_signal,
        "own": _fields(record.own) if record.own else None,
        "settled_after_end": record.settled_after_end,
        "oom_kills": record.oom_kills,
    }


def _container_json(container: Container) -> dict[str, object]:
    detail = container.detail
    return {**_fields(container), "detail": _detail_json(detail) if detail is not None else None}


def _detail_json(detail: ContainerDetail) -> dict[str, object]:
    """What stands against cloning it only where there is something: of most there is not."""
    fields = _fields(detail)
    facts = fields.pop("cloning")
    return fields if facts == NOTHING_AGAINST else {**fields, "cloning": _fields(detail.cloning)}


def _fields(value: Container | ContainerDetail | OperatorIntent | OwnAction | CloneFacts) -> dict[str, object]:
    """Of a frozen value, by name. `dataclasses.asdict` copies all of it in depth, in five times the time."""
    return {name: getattr(value, name) for name in value.__slots__}


def record_from_json(stored: Mapping[str, object]) -> ContainerRecord | None:
    """The inverse of `record_json`; None for what is no such record."""
    try:
        return _record(dict(stored))
    except (KeyError, TypeError, ValueError):
        return None


def _record(stored: dict[str, Any]) -> ContainerRecord:
    container = dict(stored["container"])
    detail = container.pop("detail")
    operator, own = stored["operator"], stored["own"]
    return ContainerRecord(
        container=Container(
            **{
                **container,
                "status": ContainerStatus(container["status"]) if container["status"] is not None else None,
                "health": Health(container["health"]),
                "networks": tuple(container["networks"]),
                "published_ports": tuple(container["published_ports"]),
                "labels": dict(container["labels"]),
            },
            detail=_detail(detail) if detail is not None else None,
        ),
        restarts=int(stored["restarts"]),
        restarts_by_agent=int(stored["restarts_by_agent"]),
        started=stored["started"],
        ended=stored["ended"],
        exit_code=stored["exit_code"],
        end_cause=EndCause(stored["end_cause"]),
        operator=OperatorIntent(**operator) if operator is not None else None,
        kill_at=stored["kill_at"],
        kill_signal=str(stored["kill_signal"]),
        own=_own_action(own) if own is not None else None,
        settled_after_end=bool(stored["settled_after_end"]),
        oom_kills=int(stored["oom_kills"]),
    )


def _own_action(stored: dict[str, Any]) -> OwnAction:
    """Of an earlier version too, which did not know what the action may still cause: then any signal may be its own."""
    return OwnAction(**{**stored, "verb": Verb(stored["verb"]), "seen": tuple(stored.get("seen", ()))})


def _detail(stored: dict[str, Any]) -> ContainerDetail:
    # A record of an earlier version has no exposed ports: its next inspection tells them.
    known = {**stored, "exposed_ports": tuple(stored.get("exposed_ports", ()))}
    facts = known.pop("cloning", None)
    return ContainerDetail(**known, cloning=NOTHING_AGAINST if facts is None else _clone_facts(facts))


def _clone_facts(stored: dict[str, Any]) -> CloneFacts:
    return CloneFacts(
        blockers=tuple(map(str, stored["blockers"])),
        volumes=tuple(map(str, stored["volumes"])),
        reservation=int(stored["reservation"]),
    )
