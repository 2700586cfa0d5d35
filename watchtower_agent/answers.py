"""What the running agent answers over its control socket, gathered from its parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass

from watchtower_agent import __version__
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.engine.session import EngineSession
from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.lag import probe, told
from watchtower_agent.loop.loop import Loop
from watchtower_agent.loop.overview import Page, Sort, overview
from watchtower_agent.loop.past import past
from watchtower_agent.loop.pausing import meant
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.readings import container_values, cut, host_values, known_container, ranges
from watchtower_agent.loop.turns import Turns
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import EventMessage
from watchtower_agent.model.observation import PoliciesRejected
from watchtower_agent.model.pause import PauseAsked, Paused, ResumeAsked
from watchtower_agent.policies.policy import OnTrigger, Policy, ScheduleTrigger
from watchtower_agent.policy_folder import PolicyFolder
from watchtower_agent.ports import Clock, LedgerRow, Store
from watchtower_agent.publishing.outbox import NoBroker, OutboxPublisher
from watchtower_agent.settings import Settings
from watchtower_agent.state.engine_state import EngineState

_FOLLOWER_HOLDS = 10_000
"""Events that wait for a follower who reads too slowly; beyond that they are counted as missed."""
_LONGEST_REASON = 200
"""Characters of why something is paused."""


class Followers:
    """Those who want to see every event as it is published."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[EventMessage], int] = {}

    def committed(self, events: Sequence[EventMessage]) -> None:
        """Show these to everyone who follows. Never waits: who is too slow misses some, and is told."""
        for queue in self._queues:
            for event in events:
                if queue.full():
                    self._queues[queue] += 1
                else:
                    queue.put_nowait(event)

    async def follow(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from now on."""
        queue: asyncio.Queue[EventMessage] = asyncio.Queue(_FOLLOWER_HOLDS)
        self._queues[queue] = 0
        try:
            while True:
                event = await queue.get()
                yield {"topic": event.topic, "event": json.loads(event.payload)}
                if self._queues[queue] and queue.empty():
                    missed, self._queues[queue] = self._queues[queue], 0
                    yield {"missed": missed}
        finally:
            del self._queues[queue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Implements the port `Control` over the agent's parts. Reads them between two steps of the loop, never within."""

    settings: Settings
    clock: Clock
    started: Instant
    turns: Turns
    pipeline: Pipeline
    loop: Loop
    store: Store
    publisher: OutboxPublisher | NoBroker
    sampler: Sampler
    session: EngineSession
    folder: PolicyFolder
    followers: Followers

    async def status(self) -> Mapping[str, object]:
        """How everything is doing."""
        now = self.clock.now()
        outbox = await self.store.facts()
        state = self.pipeline.state
        statuses = [str(record.container.status) for record in state.containers.values()]
        mqtt = self._mqtt()
        reasons = unwell(state.engine, mqtt, self.loop.store_error, self.pipeline.problem_count)
        return {
            "well": not reasons,
            "unwell": reasons,
            "agent": {
                "version": __version__,
                "host": self.settings.host,
                "mode": self.settings.mode,
                "install_id": self.pipeline.publication.install_id,
                "started_at": self.started.wall,
                "uptime": now.wall - self.started.wall,
                "store_error": self.loop.store_error,
            },
            "loop": told(self.turns, now.monotonic - self.started.monotonic),
            "engine": self._engine(),
            "mqtt": mqtt,
            "outbox": {
                "depth": outbox.outbox_depth,
                "bytes": outbox.outbox_bytes,
                "oldest": outbox.outbox_oldest,
                "dropped": outbox.dropped,
                "dead_letters": outbox.dead_letters,
            },
            "sampling": self._sampling(),
            "containers": {
                "running": statuses.count("running"),
                "paused": statuses.count("paused"),
                "stopped": len(statuses) - statuses.count("running") - statuses.count("paused"),
            },
            "policies": {
                "digest": self.pipeline.policies.digest,
                "loaded_at": self.pipeline.policies.loaded_at,
                "problems": list(self.pipeline.problems),
                "problem_count": self.pipeline.problem_count,
                "items": [self._policy(policy) for policy in self.pipeline.policies.policies],
            },
            "paused": list(self.pipeline.pausing.told(now)),
            "shared_cause": self._shared_cause(now),
            "pending": [
                {
                    "policy": waiting.decision.policy,
                    "target": waiting.decision.target.name,
                    "verb": waiting.decision.verb.value,
                    "guard": waiting.held.guard.value if waiting.held else None,
                    "reason": waiting.held.reason if waiting.held else waiting.decision.reason,
                    "since": waiting.since,
                    "release_at": waiting.held.release_at if waiting.held else None,
                }
                for waiting in self.pipeline.decisions.agenda.waiting.values()
            ],
        }

    def _shared_cause(self, now: Instant) -> dict[str, object] | None:
        cause = self.pipeline.decisions.circumstances.shared_cause
        if cause is None:
            return None
        return {
            "cause": cause.kind.value,
            "reason": cause.reason,
            "numbers": dict(cause.numbers),
            "since": cause.since.wall,
            "until": now.wall + cause.left(now),
        }

    def _engine(self) -> dict[str, object]:
        engine = self.pipeline.state.engine
        info = engine.info
        return {
            "connected": engine.connected,
            "responding": engine.responding,
            "id": info.id if info else None,
            "version": info.version if info else None,
            "url": info.url if info else None,
            "url_source": info.url_source if info else None,
            "since": engine.since or None,
            "events": engine.events,
            "gaps": engine.gaps,
            "lag": engine.event_lag,
            "restarts": engine.restarts,
            "latency": engine.latency,
            "reconnects": self.session.counts.reconnects,
            "last_error": engine.last_error or None,
        }

    def _mqtt(self) -> dict[str, object] | None:
        if isinstance(self.publisher, NoBroker):
            return None
        facts = asdict(self.publisher.facts())
        facts["parked"] = len(facts.pop("parked_topics"))
        return facts

    def _sampling(self) -> dict[str, object]:
        counters = self.sampler.counters
        return {
            "interval": self.settings.sampling.interval,
            "source": counters.source,
            "containers": len(self.pipeline.state.slots),
            "ticks": counters.ticks,
            "left_out": counters.left_out,
            "last_duration": counters.last_duration,
            "failures": dict(self.pipeline.failing),
        }

    def _policy(self, policy: Policy) -> dict[str, object]:
        state = self.pipeline.state
        firing = self.pipeline.decisions.conditions.firing(policy.name)
        selector = policy.selector
        return {
            "name": policy.name,
            "mode": policy.mode.value,
            "trigger": _trigger(policy),
            "targets": sum(1 for record in state.containers.values() if selector.matches(record.container))
            if selector is not None
            else 1,
            "firing": [
                state.containers[target].container.name if target in state.containers else state.host
                for target in firing
            ],
            "last_decision": _decision(self.pipeline.decisions.last.get(policy.name)),
        }

    async def history(self, *, limit: int, policy: str | None, target: str | None) -> Sequence[Mapping[str, object]]:
        """Past actions, newest first."""
        rows = await self.store.history(limit=limit, policy=policy, target=target)
        return [_row(row) for row in rows]

    async def top(self, *, sort: str, backwards: bool, offset: int, limit: int) -> Mapping[str, object]:
        """One page of containers with their policies, under the host and its engine."""
        if sort not in set(Sort):
            raise PermanentError(f"there is no order by {sort[:60]!a}; choose one of {', '.join(Sort)}")
        now = self.clock.now()
        page = Page(sort=Sort(sort), backwards=backwards, offset=offset, limit=limit)
        found = await _in_turns(overview(self.pipeline, page, now))
        mqtt = self._mqtt()
        return {
            "agent": {
                "version": __version__,
                "host": self.settings.host,
                "mode": self.settings.mode,
                "uptime": now.wall - self.started.wall,
                "broker_connected": mqtt["connected"] if mqtt is not None else None,
                "store_error": self.loop.store_error,
                "interval": self.settings.sampling.interval,
                "failures": dict(self.pipeline.failing),
            }
        } | dict(found)

    async def metrics(self, *, container: str | None) -> Mapping[str, object]:
        """The present value of every name."""
        state, now = self.pipeline.state, self.clock.now()
        if container is not None:
            record = known_container(state, container)
            values = container_values(state, record, now)
            return {"container": record.container.name, "values": host_values(state, now) | values}
        found = {}
        for name, one in ranges(state, now):
            found[name] = one
            await asyncio.sleep(0)  # all names of thousands of containers are not for one turn of the loop
        return {"container": None, "values": host_values(state, now), "ranges": found}

    async def past(self, *, name: str, container: str | None, last: int) -> Mapping[str, object]:
        """The averages of one name."""
        return past(self.pipeline.state, name, container, last, self.clock.now())

    async def pause(self, *, policy: str | None, target: str | None, length: int, reason: str) -> Mapping[str, object]:
        """Keep still for a while."""
        what = self._meant(policy, target)
        await self.loop.bring(PauseAsked(what=what, length=float(length), reason=_worded(reason)))
        return self._pauses(what)

    async def resume(self, *, policy: str | None, target: str | None) -> Mapping[str, object]:
        """End that pause."""
        what = self._meant(policy, target)
        was_paused = what in self.pipeline.pausing.pauses.by
        await self.loop.bring(ResumeAsked(what=what))
        return {**self._pauses(what), "was_paused": was_paused}

    def _meant(self, policy: str | None, target: str | None) -> Paused:
        return meant(self.pipeline.pausing.pauses, self.pipeline.policies, self.pipeline.state, policy, target)

    def _pauses(self, what: Paused) -> dict[str, object]:
        paused = list(self.pipeline.pausing.told(self.clock.now()))
        return {"scope": what.scope.value, "name": what.name, "paused": paused}

    async def lag(self, *, seconds: float) -> Mapping[str, object]:
        """How late the loop is: so many seconds by its turns, then as many by timers."""
        return await probe(self.turns, seconds)

    def follow(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from now on."""
        return self.followers.follow()

    async def reload(self) -> Mapping[str, object]:
        """Read the policy folder now."""
        found = await self.folder.reload()
        if isinstance(found, PoliciesRejected):
            return {"policies": len(self.pipeline.policies.policies), "problems": list(found.problems)}
        return {"policies": len(found.policies), "problems": [], "warnings": list(map(str, found.warnings))}


def _trigger(policy: Policy) -> str:
    match policy.trigger:
        case OnTrigger():
            return "on"
        case ScheduleTrigger():
            return "schedule"
        case _:
            return "when"


async def _in_turns(work: Generator[None, None, Mapping[str, object]]) -> Mapping[str, object]:
    """The result of something long, with turns of the loop in between for whoever has something to do."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Mapping[str, object] = end.value
            return result
        await asyncio.sleep(0)


def unwell(engine: EngineState, mqtt: Mapping[str, object] | None, store_error: str, problems: int) -> list[str]:
    """What keeps the agent from its work, a sentence each; none when all is well.

    Args:
        engine: What is known of it.
        mqtt: Facts about the connection to the broker; None when none is configured.
        store_error: Why the store takes nothing; empty when it does.
        problems: How many the policy folder has.
    """
    reasons = []
    if not engine.connected:
        reasons.append(f"the engine is not connected: {engine.last_error or 'not found yet'}")
    elif engine.responding is False:
        reasons.append("the engine does not answer")
    if mqtt is not None and not mqtt["connected"]:
        reasons.append(f"the broker is not connected: {mqtt['last_error'] or 'not reached yet'}")
    if store_error:
        reasons.append(f"the store does not take anything: {store_error}")
    if problems:
        reasons.append(f"the policy folder has {problems:,} problem{'s' if problems > 1 else ''}")
    return reasons


def _worded(reason: str) -> str:
    """A person's words, as short as a line and such that they can be encoded."""
    return cut(reason.encode("utf-8", "replace").decode("utf-8"), _LONGEST_REASON)


def _decision(decision: Decision | None) -> dict[str, object] | None:
    if decision is None:
        return None
    return {
        "at": decision.decided_at,
        "target": decision.target.name,
        "verb": decision.verb.value,
        "reason": decision.reason,
        "correlation_id": decision.correlation_id,
    }


def _row(row: LedgerRow) -> dict[str, object]:
    decision, outcome = row.intent.decision, row.outcome
    return {
        "id": decision.id,
        "policy": decision.policy,
        "target": decision.target.name,
        "verb": decision.verb.value,
        "result": outcome.result.value if outcome else None,
        "reason": outcome.reason if outcome else "under way",
        "cause": decision.reason,
        "correlation_id": decision.correlation_id,
        "started_at": outcome.started_at if outcome else row.intent.at,
        "finished_at": outcome.finished_at if outcome else None,
        "numbers": {**decision.numbers, **(outcome.numbers if outcome else {})},
    }
