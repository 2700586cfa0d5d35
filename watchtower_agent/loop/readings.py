"""The present value of every name of the catalogue, as JSON: what `metrics` shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from watchtower_agent.errors import PermanentError
from watchtower_agent.model.decision import Number
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.catalogue import CATALOGUE, Scope, ValueType
from watchtower_agent.policies.conditions.closeness import Compared
from watchtower_agent.policies.conditions.subject import ContainerSubject, HostSubject
from watchtower_agent.policies.conditions.truth import UNKNOWN, Value
from watchtower_agent.policies.problem import nearest
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

LONGEST_VALUE: Final = 64
"""Characters of a text."""

HOST_NAMES: Final = tuple(name for name, entry in CATALOGUE.items() if entry.scope is Scope.HOST)
ENGINE_NAMES: Final = tuple(name for name, entry in CATALOGUE.items() if entry.scope is Scope.ENGINE)
_CONTAINER: Final = tuple(entry for entry in CATALOGUE.values() if entry.scope is Scope.CONTAINER)


def host_values(state: HostState, now: Instant) -> dict[str, Number]:
    """Every name of the host and its engine with its present value, None where it is not known."""
    host = HostSubject(state, now)
    return {name: json_value(host.value(name)) for name in (*HOST_NAMES, *ENGINE_NAMES)}


def container_values(state: HostState, record: ContainerRecord, now: Instant) -> dict[str, Number]:
    """Every name of a container with its present value, None where it is not known."""
    subject = ContainerSubject(state, now, record)
    return {entry.name: json_value(subject.value(entry.name)) for entry in _CONTAINER}


def ranges(state: HostState, now: Instant) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every name of containers, one at a time, and over what their values range: who asks may pause in between.

    `known` counts those whose value is known; `least` and `most` are of measured names, `words` of enums, with how many
    containers have each.
    """
    subjects = [ContainerSubject(state, now, record) for record in state.containers.values()]
    for entry in _CONTAINER:
        values = [value for subject in subjects if (value := subject.value(entry.name)) is not UNKNOWN]
        numbers = [value for value in values if isinstance(value, int | float)]
        found: dict[str, object] = {"known": len(values)}
        if entry.type is ValueType.ENUM:
            found["words"] = {word: count for word in entry.values if (count := values.count(word))}
        elif numbers:
            found |= {"least": min(numbers), "most": max(numbers)}
        elif values:
            found["different"] = len(set(values))
        yield entry.name, found


def find(state: HostState, wanted: str) -> ContainerRecord | None:
    """The container of that name, or whose id begins so, if only one does."""
    for record in state.containers.values():
        if record.container.name == wanted:
            return record
    matching = [
        record for container_id, record in state.containers.items() if wanted and container_id.startswith(wanted)
    ]
    return matching[0] if len(matching) == 1 else None


def known_container(state: HostState, wanted: str) -> ContainerRecord:
    """Like `find`, for people who may have written it wrongly.

    Raises:
        PermanentError: There is none; with the name that is most like it.
    """
    record = find(state, wanted)
    if record is not None:
        return record
    near = nearest(wanted, tuple(sorted(each.container.name for each in state.containers.values())))
    hint = f"did you mean {near}?" if near else "see: watchtower-agent top --once --sort name"
    if wanted in CATALOGUE:
        hint = f"to draw the past of that name: watchtower-agent metrics {wanted} --of CONTAINER"
    raise PermanentError(f"there is no container {wanted[:60]!a}; {hint}")


def comparison_json(compared: Compared) -> dict[str, object]:
    """One comparison of a condition as it stands, as a JSON object."""
    return {
        "name": cut(compared.name, LONGEST_VALUE),
        "value": json_value(compared.value),
        "sign": compared.sign,
        "threshold": cut(compared.threshold, LONGEST_VALUE),
        "limit": json_value(compared.limit),
        "true": compared.truth,
        "closeness": compared.ratio,
    }


def json_value(value: Value | None) -> Number:
    """The value as JSON can hold it: short, and no infinity."""
    if isinstance(value, str):
        return cut(value, LONGEST_VALUE)
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value if isinstance(value, int | float) else None


def cut(text: str, longest: int) -> str:
    """With an ellipsis in the middle: begin and end of a name tell it from others."""
    if len(text) <= longest:
        return text
    behind = (longest - 1) // 2
    return f"{text[: longest - 1 - behind]}…{text[-behind:]}"
