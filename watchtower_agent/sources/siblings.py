"""What the agents of other hosts tell in their batches of metrics about the replicas there. Pure."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import field, replace
from typing import Final, TypeGuard

from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import SiblingObserved, SiblingReplica
from watchtower_agent.model.service import Judgement
from watchtower_agent.model.values import dataclass
from watchtower_agent.sources.payload import UnreadableError, parsed, stamp_of

MOST_ROWS: Final = 10_000
"""Containers of one host at most. A batch with more is none of an agent's."""
MOST_PARTS: Final = 999
_MOST_UNFINISHED: Final = 100
"""Batches of which parts are still to come, at most; each host has one."""
_MOST_HOSTS: Final = 1000
"""Of which the newest time is kept."""
_NEWER_FOR: Final = 30.0
"""Seconds for which a batch stands against older ones."""
_MOST_MEANS: Final = 50
_MOST_SERVICES: Final = 1000
_LONGEST_LEFT_ALONE: Final = 3600.0
"""Seconds. An agent leaves a service alone for a quarter of that."""
_LONGEST_NAME: Final = 256
_LONGEST_INTERVAL: Final = 3600.0
_LARGEST_FLOAT: Final = sys.float_info.max


@dataclass(slots=True, kw_only=True)
class _Unfinished:
    sequence: int
    parts: int
    came: dict[int, SiblingObserved] = field(default_factory=dict)


class Siblings:
    """Reads batches, and puts together those that come in parts.

    Args:
        base_topic: The first level or levels of every agent's topics.
        host: This one, whose own batches tell it nothing.
    """

    def __init__(self, base_topic: str, host: str) -> None:
        self._own = host
        self._topic = re.compile(rf"{re.escape(base_topic)}/v1/([^/]+)/metrics")
        self.filter = f"{base_topic}/v1/+/metrics"
        self._unfinished: dict[str, _Unfinished] = {}
        self._newest: dict[str, tuple[float, float]] = {}
        """Host -> the time that its newest batch bears, and when that came, on the monotonic clock."""

    @property
    def unfinished(self) -> int:
        """Batches of which parts are still to come."""
        return len(self._unfinished)

    def host_of(self, topic: str) -> str:
        """The other host whose batches come on that topic; empty where none do."""
        match = self._topic.fullmatch(topic)
        return match[1] if match and match[1] != self._own else ""

    def take(self, host: str, payload: bytes, now: Instant) -> SiblingObserved | None:
        """One message. What is no batch of that host's tells nothing.

        Args:
            host: Whose topic it came on: the broker says who may write there.
            payload: Of the message.
            now: When it came.

        Returns:
            The batch; None for no batch, and while parts of it are still to come.
        """
        try:
            batch = parsed(payload)
        except UnreadableError:
            return None
        if not isinstance(batch, dict) or batch.get("schema") != 1 or batch.get("host") != host:
            return None
        if self._is_old(host, stamp_of(batch), now.monotonic):
            return None
        seen = _observed(host, batch, now)
        if seen is None or batch.get("parts") is None:
            self._unfinished.pop(host, None)
            return seen
        return self._join(seen, batch.get("sequence"), batch.get("part"), batch.get("parts"))

    def _is_old(self, host: str, stamp: float | None, now: float) -> bool:
        """Whether it says itself that it is older than the one before, as what is sent a second time does.

        By the sender's own clock, whatever that is; where it was set back that clock has been silent for a while soon.
        """
        newest, came = self._newest.get(host, (-math.inf, -math.inf))
        said = -math.inf if stamp is None else stamp
        if said < newest and now - came < _NEWER_FOR:
            return True
        self._newest.pop(host, None)
        self._newest[host] = said, now
        if len(self._newest) > _MOST_HOSTS:
            del self._newest[next(iter(self._newest))]
        return False

    def _join(self, seen: SiblingObserved, sequence: object, part: object, parts: object) -> SiblingObserved | None:
        if not (isinstance(sequence, int) and isinstance(part, int) and isinstance(parts, int)):
            return None
        if not 1 <= part <= parts <= MOST_PARTS:
            return None
        known = self._unfinished.pop(seen.host, None)
        if known is None or (known.sequence, known.parts) != (sequence, parts):
            known = _Unfinished(sequence=sequence, parts=parts)
        known.came[part] = seen
        rows = [row for _, each in sorted(known.came.items()) for row in each.replicas]
        if len(rows) > MOST_ROWS:
            return None
        if len(known.came) == parts:
            return replace(seen, replicas=tuple(rows))
        self._unfinished[seen.host] = known
        if len(self._unfinished) > _MOST_UNFINISHED:
            del self._unfinished[next(iter(self._unfinished))]
        return None


def _observed(host: str, batch: dict[str, object], now: Instant) -> SiblingObserved | None:
    interval, rows, node = batch.get("interval"), batch.get("containers"), batch.get("node", "")
    if not _is_number(interval) or not 0 < interval <= _LONGEST_INTERVAL:
        return None
    if not isinstance(rows, list) or len(rows) > MOST_ROWS or not _is_name(node, empty=True):
        return None
    return SiblingObserved(
        host=host,
        node=node,
        interval=float(interval),
        moment=now.monotonic,
        replicas=tuple(_replicas(rows)),
        judgements=tuple(_judgements(batch.get("services"))),
    )


def _judgements(services: object) -> Iterator[Judgement]:
    for each in services[:_MOST_SERVICES] if isinstance(services, list) else ():
        if not isinstance(each, dict):
            continue
        identity, version, left = each.get("id"), each.get("version"), each.get("left_alone_for")
        if not isinstance(version, int) or isinstance(version, bool) or version < 0:
            continue
        if _is_name(identity) and _is_number(left) and 0 <= left <= _LONGEST_LEFT_ALONE:
            yield Judgement(service_id=identity, version=version, left_alone_for=float(left))


def _replicas(rows: list[object]) -> Iterator[SiblingReplica]:
    for row in rows:
        if not isinstance(row, dict):
            continue
        container_id, service, means = row.get("id"), row.get("service"), row.get("means", {})
        if _is_name(container_id) and _is_name(service) and isinstance(means, dict):
            yield SiblingReplica(container_id=container_id, service=service, means=_known(means))


def _known(means: dict[str, object]) -> dict[str, float]:
    items = list(means.items())[:_MOST_MEANS]
    return {name: float(value) for name, value in items if len(name) <= _LONGEST_NAME and _is_number(value)}


def _is_name(found: object, *, empty: bool = False) -> TypeGuard[str]:
    return isinstance(found, str) and (0 if empty else 1) <= len(found) <= _LONGEST_NAME


def _is_number(found: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return False
    return -_LARGEST_FLOAT <= found <= _LARGEST_FLOAT
