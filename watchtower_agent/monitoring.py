"""What the running agent tells Prometheus, and whoever asks whether it is well, gathered from its parts."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from watchtower_agent.actions.executor import Executor
from watchtower_agent.errors import TemporaryError
from watchtower_agent.loop.readings import host_values
from watchtower_agent.model.container import Container, Health
from watchtower_agent.model.exposition import Exposition, Metric, Reading
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.version import VERSION
from watchtower_agent.parts import Parts, broker_facts, unwell
from watchtower_agent.ports.store import StoreFacts
from watchtower_agent.publishing.outbox import NoBroker
from watchtower_agent.serving import metric_table as table
from watchtower_agent.serving.counts import Counts
from watchtower_agent.state import views
from watchtower_agent.state.totals import Totals
from watchtower_agent.vitals import stuck

_STORE_MAY_TAKE = 1.0
"""Seconds in which the store says how it is doing; else the metrics of the outbox are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """Implements the port `Monitored` over the agent's parts. Reads them between two steps of the loop, never within.

    Attributes:
        parts: Of the agent.
        executor: Of its actions.
        totals: Counters of containers.
        counts: Of what was decided and done.
    """

    parts: Parts
    executor: Executor
    totals: Totals
    counts: Counts

    def ailing(self) -> Sequence[str]:
        """What a new start of the agent may mend. That the loop answers at all is what is asked for most."""
        return [f"no progress: {what}" for what in stuck(self.parts.vitals(), self.parts.clock.now().monotonic)]

    def not_ready(self) -> Sequence[str]:
        """What keeps the agent from watching and acting: engine, broker, inventory, disk, policies."""
        parts, engine = self.parts, self.parts.pipeline.state.engine
        reasons = unwell(engine, broker_facts(parts.publisher), parts.loop.store_error, 0)
        if engine.connected:
            silent = 0.0 if engine.alive_at is None else parts.clock.now().monotonic - engine.alive_at
            if not engine.listed:
                reasons.append("the containers were not listed since the engine was found, or since events were lost")
            elif silent > engine.silence_allowed:
                reasons.append(f"the engine has given no sign of life for {silent:.0f} s")
        if not parts.pipeline.policies.digest:
            reasons.append("no policies are in force: the folder was not read yet, or has mistakes")
        return reasons

    async def exposition(self) -> Exposition:
        """All metrics, of the newest samples."""
        parts = self.parts
        parts.sampler.scraped()
        facts = await self._store_facts()
        now, state = parts.clock.now(), parts.pipeline.state
        running = views.table(state, now)
        await asyncio.sleep(0)  # each of these takes a millisecond or two for a full host
        totals = self.totals.of([container.id for container in running.containers])
        await asyncio.sleep(0)
        records = [state.containers.get(container.id) for container in running.containers]
        return Exposition(
            table=running,
            totals=totals,
            started=array("d", [_number(record.started if record else None) for record in records]),
            memory_limits=array("d", [_memory_limit(container) for container in running.containers]),
            restarts=array("d", [_number(record.restarts if record else None) for record in records]),
            unhealthy=array("d", [_unhealthy(container) for container in running.containers]),
            readings=list(self._readings(now, facts)),
        )

    async def _store_facts(self) -> StoreFacts | None:
        try:
            async with asyncio.timeout(_STORE_MAY_TAKE):
                return await self.parts.store.facts()
        except (TimeoutError, TemporaryError):
            return None

    def _readings(self, now: Instant, facts: StoreFacts | None) -> Iterator[Reading]:
        parts = self.parts
        values = host_values(parts.pipeline.state, now)
        for metric, name, factor in table.HOST:
            value = values[name]
            if isinstance(value, int | float):
                yield _one(metric, factor * value)
        states = ("running", "paused", "stopped")
        yield _by(table.CONTAINERS, {state: values[f"engine.containers.{state}"] for state in states})
        settings = parts.settings
        yield Reading(metric=table.AGENT, values={(VERSION, settings.host, settings.mode): 1})
        yield _one(table.AGENT_STARTED, parts.started.wall)
        yield from self._of_events(now, facts)
        yield from self._of_broker()
        yield from self._of_sampling()
        yield from self._of_policies(now)

    def _of_events(self, now: Instant, facts: StoreFacts | None) -> Iterator[Reading]:
        engine = self.parts.pipeline.state.engine
        yield _one(table.EVENTS, engine.events)
        yield _one(table.EVENT_GAPS, engine.gaps)
        yield _one(table.RECONNECTS, self.parts.session.counts.reconnects)
        yield _one(table.STORE, float(facts is not None and not self.parts.loop.store_error))
        if facts is not None:
            yield _one(table.OUTBOX_DEPTH, facts.outbox_depth)
            yield _one(table.OUTBOX_BYTES, facts.outbox_bytes)
            oldest = facts.outbox_oldest
            yield _one(table.OUTBOX_OLDEST, 0.0 if oldest is None else max(0.0, now.wall - oldest))
            yield _one(table.OUTBOX_DROPPED, facts.dropped)
            yield _one(table.OUTBOX_DEAD, facts.dead_letters)
            yield _one(table.OUTBOX_BURIED, facts.buried)

    def _of_broker(self) -> Iterator[Reading]:
        publisher = self.parts.publisher
        if isinstance(publisher, NoBroker):
            return
        facts = publisher.facts()
        yield _one(table.MQTT_CONNECTED, float(facts.connected))
        yield _one(table.MQTT_DELIVERED, facts.delivered)
        yield _one(table.MQTT_IN_FLIGHT, facts.in_flight)
        yield _one(table.MQTT_PARKED, len(facts.parked_topics))
        yield Reading(metric=table.MQTT_PUBACK, distribution=publisher.acknowledged)

    def _of_sampling(self) -> Iterator[Reading]:
        counters = self.parts.sampler.counters
        yield _one(table.SAMPLES, counters.ticks)
        yield _one(table.SAMPLE_DURATION, counters.last_duration)
        yield _one(table.SAMPLE_OVERRUNS, counters.left_out)
        yield _by(table.COLLECTOR_DURATION, counters.collector_seconds)
        names = counters.collector_seconds.keys() | counters.failures.keys()
        yield _by(table.COLLECTOR_SUCCESS, {name: float(name not in counters.failures) for name in sorted(names)})

    def _of_policies(self, now: Instant) -> Iterator[Reading]:
        pipeline, decisions = self.parts.pipeline, self.parts.pipeline.decisions
        yield Reading(metric=table.DECISIONS, values={**self.counts.decisions})
        yield Reading(metric=table.ACTIONS, values={**self.counts.actions})
        yield _one(table.ACTIONS_RUNNING, self.executor.under_way)
        yield _one(table.PENDING, len(decisions.agenda.waiting))
        policies = pipeline.policies.policies
        yield _by(table.POLICIES, Counter(policy.mode.value for policy in policies))
        firing = {policy.name: len(list(decisions.conditions.firing(policy.name))) for policy in policies}
        yield _by(table.POLICY_FIRING, firing)
        yield _one(table.POLICY_RELOAD, float(bool(pipeline.policies.digest) and not pipeline.problem_count))
        yield _one(table.POLICY_PROBLEMS, pipeline.problem_count)
        yield _one(table.BREAKERS, sum(1 for _ in decisions.breaking.told(now)))


def _one(metric: Metric, value: float) -> Reading:
    return Reading(metric=metric, values={(): value})


def _by(metric: Metric, values: Mapping[str, object]) -> Reading:
    """By its one label; what is not known is left out."""
    known: dict[tuple[str, ...], float] = {
        (name,): float(value) for name, value in values.items() if isinstance(value, int | float)
    }
    return Reading(metric=metric, values=known)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _memory_limit(container: Container) -> float:
    return math.nan if container.detail is None else float(container.detail.memory_limit)


def _unhealthy(container: Container) -> float:
    if container.health is Health.NONE:
        return math.nan
    return float(container.health is Health.UNHEALTHY)
