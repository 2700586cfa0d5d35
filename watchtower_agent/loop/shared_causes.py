"""Shared causes, from the first failures to the end of the hold: recognised, told, remembered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Mode, Number, Severity
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.shared_cause import CauseKind, SharedCause, SharedCauseRule
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.wording import as_written
from watchtower_agent.state.failures import Failures
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

CAUSE, FAILED = "shared_cause", "failed"
"""Kinds of records that the store keeps: the cause that actions are held for; when containers failed."""

DISK: Final = "host.disk.percent"
DISK_FULL: Final = 95.0
"""Percent of the file system of the engine's data."""
_MOST_NAMES: Final = 20


@dataclass(slots=True)
class SharedCauses:
    """Looks for what ails many containers at once.

    Attributes:
        state: The host.
        publication: Where what is to be remembered goes.
        circumstances: Where the guard finds the cause.
        rule: When many failures are taken for one.
        say: Publishes a notice.
    """

    state: HostState
    publication: Publication
    circumstances: Circumstances
    rule: SharedCauseRule
    say: Callable[[Notice, Instant], None]
    _failures: Failures = field(default_factory=Failures)
    _news: bool = False
    """Something failed since the last look."""
    _engine_restarted: bool = False

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run of the agent."""
        seen = Instant.restored(resume.records.get("clock", {}).get("seen"))
        for container_id, stored in resume.records.get(FAILED, {}).items():
            if (at := Instant.restored(stored)) is not None:
                self._failures.at[container_id] = now.carried(at, seen)
        cause = _restored(resume.records.get(CAUSE, {}).get("host", {}), self.rule.hold)
        if cause is not None:
            since, last = now.carried(cause.since, seen), now.carried(cause.seen, seen)
            self.circumstances.shared_cause = replace(cause, since=since, seen=last)

    def take(self, event: EngineEvent, record: ContainerRecord, now: Instant) -> None:
        """Take in what happened to a container; the record has it already."""
        if self._failures.take(event, record, now):
            self._news = True
            stored = self._failures.at[event.actor_id].stored()
            self.publication.out.records.append(Record(kind=FAILED, key=event.actor_id, value=stored))

    def engine_restarted(self) -> None:
        """The daemon was restarted."""
        self._engine_restarted = True

    def look(self, policies: PolicySet, now: Instant) -> None:
        """See whether there is a shared cause, still or again, and whether the one that there was is over."""
        if self.rule.hold > 0:
            restarted, self._engine_restarted = self._engine_restarted, False
            if restarted:
                self._engine(now)
            self._disk(now)
            if self._news:
                self._many(policies, now)
        self._news = False
        cause, of_interest = self.circumstances.shared_cause, now.monotonic - self.rule.within
        if cause is not None and cause.left(now) <= 0:
            self.circumstances.shared_cause = None
            self._remember()
            self.say(_over(cause, now), now)
            of_interest = now.monotonic  # what failed up to here is no sign of another cause
        for container_id in self._failures.forget(of_interest):
            self.publication.out.records.append(Record(kind=FAILED, key=container_id, value=None))

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        self._remember()
        for container_id, at in self._failures.at.items():
            self.publication.out.records.append(Record(kind=FAILED, key=container_id, value=at.stored()))

    def _engine(self, now: Instant) -> None:
        self._seen(CauseKind.ENGINE_RESTARTED, "the engine was restarted", {}, {}, now)

    def _disk(self, now: Instant) -> None:
        used = self.state.host_metric(DISK, now)
        if used is not None and used >= DISK_FULL:
            numbers: dict[str, Number] = {DISK: round(used, 1), "full": DISK_FULL}
            self._seen(CauseKind.DISK_FULL, f"the disk of the engine's data is {used:.1f} % full", numbers, {}, now)

    def _many(self, policies: PolicySet, now: Instant) -> None:
        rule, selected = self.rule, self._selected(policies)
        failed = [each for each in self._failures.since(now.monotonic - rule.within) if each in selected]
        if len(failed) < rule.at_least or 100 * len(failed) <= rule.share * len(selected):
            return
        numbers: dict[str, Number] = {
            "failed": len(failed),
            "selected": len(selected),
            "share": rule.share,
            "at_least": rule.at_least,
            "within": rule.within,
        }
        self._seen(
            CauseKind.FAILURES,
            f"{len(failed)} of {len(selected)} containers died or became unhealthy within {as_written(rule.within)}",
            numbers,
            {"containers": sorted(selected[each] for each in failed)[:_MOST_NAMES]},
            now,
        )

    def _selected(self, policies: PolicySet) -> dict[str, str]:
        """Ids and names of the containers that policies may act on."""
        acting = [
            policy.selector
            for policy in policies.policies
            if policy.mode is not Mode.OFF and policy.then.verb is not None and policy.selector is not None
        ]
        containers = (record.container for record in self.state.containers.values())
        return {each.id: each.name for each in containers if any(selector.matches(each) for selector in acting)}

    def _seen(
        self, kind: CauseKind, reason: str, numbers: Mapping[str, Number], facts: Mapping[str, object], now: Instant
    ) -> None:
        """A cause is seen: actions are held from now on, or for longer. Only the first is told."""
        known = self.circumstances.shared_cause
        if known is not None and known.left(now) > 0:
            same = known.kind is kind
            self.circumstances.shared_cause = replace(
                known,
                seen=now,
                reason=reason if same else known.reason,
                numbers=numbers if same else known.numbers,
            )
        else:
            self.circumstances.shared_cause = SharedCause(
                kind=kind, reason=reason, numbers=numbers, since=now, seen=now, hold=self.rule.hold
            )
            self.say(_began(self.circumstances.shared_cause, facts, now), now)
        if known is None or kind is not CauseKind.DISK_FULL:  # a disk that is still full is seen by the next run, too
            self._remember()

    def _remember(self) -> None:
        cause = self.circumstances.shared_cause
        value = None if cause is None else _stored(cause)
        self.publication.out.records.append(Record(kind=CAUSE, key="host", value=value))


def _began(cause: SharedCause, facts: Mapping[str, object], now: Instant) -> Notice:
    return Notice(
        kind=EventKind.AGENT,
        action="shared_cause",
        severity=Severity.WARNING if cause.kind is CauseKind.ENGINE_RESTARTED else Severity.CRITICAL,
        reason=f"{cause.reason}: one cause is taken to be behind that, so for {as_written(cause.hold)} no container is "
        "acted on",
        data={
            "cause": cause.kind.value,
            "numbers": dict(cause.numbers),
            "hold": cause.hold,
            "until": round(now.wall + cause.left(now), 3),
            **facts,
        },
        at=now.wall,
    )


def _over(cause: SharedCause, now: Instant) -> Notice:
    return Notice(
        kind=EventKind.AGENT,
        action="shared_cause_over",
        reason=f"containers are acted on again: nothing of the kind was seen for {as_written(cause.hold)} "
        f"({cause.reason})",
        data={
            "cause": cause.kind.value,
            "numbers": dict(cause.numbers),
            "hold": cause.hold,
            "held_for": round(now.monotonic - cause.since.monotonic, 3),
        },
        at=now.wall,
    )


def _stored(cause: SharedCause) -> dict[str, object]:
    return {
        "cause": cause.kind.value,
        "reason": cause.reason,
        "numbers": dict(cause.numbers),
        "since": cause.since.stored(),
        "seen": cause.seen.stored(),
    }


def _restored(stored: Mapping[str, object], hold: float) -> SharedCause | None:
    """What the store remembers of a cause; None when there is none, or it can't be read."""
    match stored:
        case {
            "cause": str() as kind,
            "reason": str() as reason,
            "numbers": dict() as numbers,
            "since": dict() as since,
            "seen": dict() as seen,
        } if kind in set(CauseKind):
            first, last = Instant.restored(since), Instant.restored(seen)
            if first is None or last is None:
                return None
            return SharedCause(kind=CauseKind(kind), reason=reason, numbers=numbers, since=first, seen=last, hold=hold)
        case _:
            return None
