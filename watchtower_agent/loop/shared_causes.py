"""Shared causes, from the first failures to the end of the hold: recognised, told, remembered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import field, replace
from typing import Final

from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.container import Health
from watchtower_agent.model.decision import Mode, Number, Severity
from watchtower_agent.model.engine_event import EngineEvent, EventKind
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.shared_cause import CauseKind, FailureCount, SharedCause, SharedCauseRule
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.protected import protected_because
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.policies.wording import as_written
from watchtower_agent.state.failures import Failures
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

CAUSE, FAILED = "shared_cause", "failed"
"""Kinds of records that the store keeps: the cause that actions are held for; when containers failed."""

DISK: Final = "host.disk.percent"
_MOST_NAMES: Final = 20
_INSPECTED_BY: Final = 5.0
"""Seconds after the first listing ever for which nothing is done while containers are not inspected."""
_ACT: Final = frozenset({Mode.ENFORCE, Mode.APPROVE})


@dataclass(slots=True)
class SharedCauses:
    """Looks for what ails many containers at once.

    Attributes:
        state: The host.
        publication: Where what is to be remembered goes.
        circumstances: Where the guard finds the cause; when many failures are taken for one; what no policy may act on.
        say: Publishes a notice.
        excuse: Is told which containers have failed since which moment of the monotonic clock, when a cause is seen.
    """

    state: HostState
    publication: Publication
    circumstances: Circumstances
    say: Callable[[Notice, Instant], None]
    excuse: Callable[[Container[str], float], None]
    _failures: Failures = field(default_factory=Failures)
    _news: bool = False
    """Something failed since the last look."""
    _engine_restarted: bool = False
    _policies: PolicySet | None = None
    """Those for which was looked last."""

    @property
    def rule(self) -> SharedCauseRule:
        """When many failures are taken for one."""
        return self.circumstances.shared_cause_rule

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run of the agent."""
        boots = Boots.restored(resume.records.get("clock", {}), now)
        for container_id, stored in resume.records.get(FAILED, {}).items():
            if (at := Instant.restored(stored)) is not None:
                self._failures.at[container_id] = boots.carried(at, now)
        cause = _restored(resume.records.get(CAUSE, {}).get("host", {}), self.rule.hold)
        if cause is not None:
            since, last = boots.carried(cause.since, now), boots.carried(cause.seen, now)
            self.circumstances.shared_cause = replace(cause, since=since, seen=last)

    def take(self, event: EngineEvent, record: ContainerRecord, now: Instant) -> None:
        """Take in what happened to a container; the record has it already."""
        if self._failures.take(event, record, now, age=self.state.age(event.time, now) or 0.0):
            self._failed_lately(event.actor_id)

    def listed_first(self, now: Instant) -> None:
        """The containers were listed for the first time ever: those that are unhealthy count as failed just now.

        When they became so nobody knows. Those that are stopped may be so for years, and do not count. Not every engine
        tells in a listing who is unhealthy: nothing is done before the inspections have, or for a while.
        """
        self.state.engine.counted_by = now.monotonic + _INSPECTED_BY if self.rule.hold > 0 else None
        for container_id, record in self.state.containers.items():
            container = record.container
            if container.running and container.health is Health.UNHEALTHY and container_id not in self._failures.at:
                self._failures.at[container_id] = now
                self._failed_lately(container_id)

    def _counted(self, now: Instant) -> None:
        engine = self.state.engine
        if engine.counted_by is None or not engine.listed:
            return
        running = (record for record in self.state.containers.values() if record.container.running)
        if now.monotonic >= engine.counted_by or all(
            record.container.detail is not None and record.doubted is None for record in running
        ):
            engine.counted_by = None

    def _failed_lately(self, container_id: str) -> None:
        self._news = True
        stored = self._failures.at[container_id].stored()
        self.publication.out.records.append(Record(kind=FAILED, key=container_id, value=stored))

    def engine_restarted(self) -> None:
        """The daemon was restarted."""
        self._engine_restarted = True

    def look(self, policies: PolicySet, now: Instant) -> None:
        """See whether there is a shared cause, still or again, and whether the one that there was is over."""
        self._counted(now)
        other, self._policies = policies is not self._policies, policies
        # Who failed before there were policies, or others, counts for these. A known cause needs no other.
        self._news |= other and self.circumstances.shared_cause is None
        if self.rule.hold > 0:
            restarted, self._engine_restarted = self._engine_restarted, False
            if restarted:
                self._engine(now)
            self._disk(now)
            if self._news:
                self._many(policies, now)
        self._news = False
        cause, of_interest = self.circumstances.shared_cause, now.monotonic - self.rule.within
        if cause is not None and cause.hold != self.rule.hold:  # another one was set meanwhile
            cause = self.circumstances.shared_cause = replace(cause, hold=self.rule.hold)
        if cause is not None and cause.left(now) <= 0:
            self.circumstances.shared_cause = None
            self._remember()
            self.say(_over(cause, now), now)
            of_interest = now.monotonic  # what failed up to here is no sign of another cause
        for container_id in self._failures.forget(of_interest):
            self.publication.out.records.append(Record(kind=FAILED, key=container_id, value=None))

    def count(self, policies: PolicySet, now: Instant) -> FailureCount:
        """How many have failed, of how many that policies may act on."""
        selected = self._selected(policies, now)
        return FailureCount(failed=len(self._failed(selected, now)), selected=len(selected), rule=self.rule)

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        self._remember()
        for container_id, at in self._failures.at.items():
            self.publication.out.records.append(Record(kind=FAILED, key=container_id, value=at.stored()))

    def _engine(self, now: Instant) -> None:
        self._seen(CauseKind.ENGINE_RESTARTED, "the engine was restarted", {}, {}, now)

    def _disk(self, now: Instant) -> None:
        full = self.rule.disk
        used = self.state.host_metric(DISK, now) if full > 0 else None
        if used is not None and used >= full:
            numbers: dict[str, Number] = {DISK: round(used, 1), "full": full}
            self._seen(CauseKind.DISK_FULL, f"the disk of the engine's data is {used:.1f} % full", numbers, {}, now)

    def _many(self, policies: PolicySet, now: Instant) -> None:
        rule, selected = self.rule, self._selected(policies, now)
        failed = self._failed(selected, now)
        if not rule.is_shared(len(failed), len(selected)):
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

    def _failed(self, selected: Mapping[str, str], now: Instant) -> list[str]:
        return [each for each in self._failures.since(now.monotonic - self.rule.within) if each in selected]

    def _selected(self, policies: PolicySet, now: Instant) -> dict[str, str]:
        """Ids and names of the containers that policies may act on, and that run, or did when they failed."""
        failed = frozenset(self._failures.since(now.monotonic - self.rule.within))
        acting = [(policy, policy.selector) for policy in policies.policies if policy.mode in _ACT and policy.then.verb]
        return {
            record.container.id: record.container.name
            for record in self.state.containers.values()
            if record.container.running or record.container.id in failed
            if any(
                selector is not None
                and selector.matches(record.container)
                and not protected_because(record, policy, self.circumstances.protection)
                for policy, selector in acting
            )
        }

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
            since = now.monotonic - self.rule.within
            self.excuse(frozenset(self._failures.since(since)), since)
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
