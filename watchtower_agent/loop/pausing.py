"""Pauses, from the asking to the end: remembered, told, over in time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.readings import known_container
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Severity
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.pause import Pause, PauseAsked, Paused, PauseScope, ResumeAsked
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.pauses import AGENT, Pauses
from watchtower_agent.policies.guards.renames import Rename
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.problem import did_you_mean
from watchtower_agent.policies.wording import as_written
from watchtower_agent.state.host_state import HostState

KIND: Final = "pause"
"""Of the records that the store keeps."""


@dataclass(slots=True)
class Pausing:
    """Keeps pauses over time.

    Attributes:
        publication: Where what is to be remembered goes.
        pauses: Those that are not over; the guard looks at them.
        say: Publishes a notice.
    """

    publication: Publication
    pauses: Pauses
    say: Callable[[Notice, Instant], None]

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what an earlier run of the agent was told. One whose time came meanwhile ends in the first step."""
        boots = Boots.restored(resume.records.get("clock", {}), now)
        for stored in resume.records.get(KIND, {}).values():
            pause = _restored(stored)
            if pause is not None:
                since = boots.carried(pause.since, now)
                self.pauses.by[pause.what] = Pause(
                    what=pause.what, since=since, length=pause.length, reason=pause.reason
                )

    def take(self, asked: PauseAsked | ResumeAsked, now: Instant) -> None:
        """Do as a person asks."""
        known = self.pauses.by.get(asked.what)
        if isinstance(asked, PauseAsked):
            pause = Pause(what=asked.what, since=now, length=asked.length, reason=asked.reason)
            self.pauses.by[pause.what] = pause
            self._remember(pause.what)
            self.say(_paused(pause, now), now)
        elif known is not None:
            self._end(known, "by command", now)

    def renamed(self, rename: Rename, now: Instant) -> None:
        """A container that keeps still has another name: it goes on keeping still."""
        for what in self.pauses.renamed(rename, now):
            self._remember(what)

    def look(self, now: Instant) -> None:
        """End those whose time has come."""
        for pause in [each for each in self.pauses.by.values() if each.left(now) <= 0]:
            self._end(pause, f"it was for {as_written(pause.length)}", now)

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for what in self.pauses.by:
            self._remember(what)

    def told(self, now: Instant) -> Iterator[dict[str, object]]:
        """Those that are not over, as JSON objects: what `status` says."""
        for pause in self.pauses.by.values():
            yield {
                "scope": pause.what.scope.value,
                "name": pause.what.name,
                "since": pause.since.wall,
                "until": now.wall + pause.left(now),
                "left": pause.left(now),
                "reason": pause.reason,
            }

    def _end(self, pause: Pause, why: str, now: Instant) -> None:
        del self.pauses.by[pause.what]
        self._remember(pause.what)
        self.say(_resumed(pause, why, now), now)

    def _remember(self, what: Paused) -> None:
        pause = self.pauses.by.get(what)
        value = None if pause is None else _stored(pause)
        self.publication.out.records.append(Record(kind=KIND, key=f"{what.scope}\0{what.name}", value=value))


def meant(pauses: Pauses, policies: PolicySet, state: HostState, policy: str | None, target: str | None) -> Paused:
    """What a command is about. What is paused can be named though it is not there any more.

    Args:
        pauses: Those that are not over.
        policies: Those in force.
        state: The host.
        policy: The name of one; None with a target, or for the whole agent.
        target: A container's name, or the begin of its id.

    Raises:
        PermanentError: There is no such policy or container, or both are given.
    """
    if policy is not None and target is not None:
        raise PermanentError("a policy and a target are two pauses: ask for one, then for the other")
    if target is not None:
        named = Paused(scope=PauseScope.CONTAINER, name=target)
        if named in pauses.by:
            return named
        return Paused(scope=PauseScope.CONTAINER, name=known_container(state, target).container.name)
    if policy is None:
        return AGENT
    named = Paused(scope=PauseScope.POLICY, name=policy)
    names = [each.name for each in policies.policies]
    if policy not in names and named not in pauses.by:
        hint = did_you_mean(policy, names) if names else "none is in force"
        raise PermanentError(f"there is no policy {policy[:60]!a}; {hint}")
    return named


def _paused(pause: Pause, now: Instant) -> Notice:
    why = f": {pause.reason}" if pause.reason else ""
    return _notice(
        "paused",
        pause,
        f"{pause.what.words} is paused for {as_written(pause.length)}{why}",
        now,
        severity=Severity.WARNING,
        until=round(now.wall + pause.left(now), 3),
    )


def _resumed(pause: Pause, why: str, now: Instant) -> Notice:
    return _notice("resumed", pause, f"{pause.what.words} goes on: its pause is over, {why}", now)


def _notice(
    action: str,
    pause: Pause,
    reason: str,
    now: Instant,
    *,
    severity: Severity = Severity.INFO,
    **facts: object,
) -> Notice:
    what = pause.what
    of_policy = what.scope is PauseScope.POLICY
    return Notice(
        kind=EventKind.POLICY if of_policy else EventKind.AGENT,
        action=action,
        subject=what.name,
        severity=severity,
        reason=reason,
        data={
            "scope": what.scope.value,
            "name": what.name,
            "for": pause.length,
            "because": pause.reason,
            **facts,
        },
        at=now.wall,
    )


def _stored(pause: Pause) -> dict[str, object]:
    return {
        "scope": pause.what.scope.value,
        "name": pause.what.name,
        "length": pause.length,
        "reason": pause.reason,
        "since": pause.since.stored(),
    }


def _restored(stored: Mapping[str, object]) -> Pause | None:
    """What the store remembers of a pause; None when that can't be read."""
    match stored:
        case {
            "scope": str() as scope,
            "name": str() as name,
            "length": float() | int() as length,
            "reason": str() as reason,
            "since": dict() as since,
        } if scope in set(PauseScope):
            begun = Instant.restored(since)
            what = Paused(scope=PauseScope(scope), name=name)
            return None if begun is None else Pause(what=what, since=begun, length=length, reason=reason)
        case _:
            return None
