"""The parts of a running agent, and how they are doing: what `status` tells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

from watchtower_agent.actions.disk import Disk
from watchtower_agent.collectors.sampler import Sampler
from watchtower_agent.engine.session import EngineSession
from watchtower_agent.errors import TemporaryError
from watchtower_agent.loop import approval_answers
from watchtower_agent.loop.lag import told
from watchtower_agent.loop.limit_forms import resized_told
from watchtower_agent.loop.loop import Loop
from watchtower_agent.loop.pipeline import Pipeline
from watchtower_agent.loop.prune_forms import pruned_told, tracking_json
from watchtower_agent.loop.service_forms import services_told
from watchtower_agent.loop.turns import Turns
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.version import VERSION
from watchtower_agent.policies.policy import OnTrigger, Policy, ScheduleTrigger, WhenTrigger
from watchtower_agent.policies.strategies.resize import ResizeStrategy
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.store import Store
from watchtower_agent.publishing.outbox import NoBroker, OutboxPublisher
from watchtower_agent.serving.http import HttpServer
from watchtower_agent.settings import Settings
from watchtower_agent.settings.in_force import SettingsInForce
from watchtower_agent.state.engine_state import EngineState
from watchtower_agent.vitals import Vital

_STORE_MAY_TAKE = 1.0
"""Seconds in which the store says how it is doing: `status` answers within those of a container's health check."""

_LOOP_MAY_TAKE, _SAMPLER_MAY_TAKE, _ENGINE_MAY_TAKE, _BROKER_MAY_TAKE = 30.0, 60.0, 90.0, 60.0
"""Seconds without progress after which each stands still: far more than a busy host, or a try that fails, takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the agent was built of. Reads them between two steps of the loop, never within."""

    configuration: SettingsInForce
    clock: Clock
    started: Instant
    turns: Turns
    pipeline: Pipeline
    loop: Loop
    store: Store
    publisher: OutboxPublisher | NoBroker
    sampler: Sampler
    session: EngineSession
    disk: Disk
    http: HttpServer | None

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self.configuration.settings

    def vitals(self) -> tuple[Vital, ...]:
        """What must go on. A disk that does not answer is told by the loop, and a new start could not write either."""

        def disk() -> str:
            return self.loop.store_error

        def sampled() -> float | None:
            batch = self.pipeline.state.samples
            return self.started.monotonic if batch is None else batch.at.monotonic

        slack = 10 * self.settings.sampling.interval
        return (
            Vital(name="the loop", moved=lambda: self.loop.moved_at, within=_LOOP_MAY_TAKE + slack, excuse=disk),
            Vital(name="the sampler", moved=sampled, within=_SAMPLER_MAY_TAKE + slack, excuse=disk),
            Vital(
                name="the watch over the engine",
                moved=lambda: self.session.moved_at,
                within=_ENGINE_MAY_TAKE + 3 * self.settings.engine.timeout,
            ),
            Vital(name="the way to the broker", moved=self.publisher.stir, within=_BROKER_MAY_TAKE, excuse=disk),
        )

    def line(self) -> str:
        """How everything is doing, in a line."""
        state, mqtt = self.pipeline.state, broker_facts(self.publisher)
        engine = "engine connected" if state.engine.connected else "ENGINE DOWN"
        if state.engine.responding is None:
            engine = "engine not heard yet"
        broker = "no broker" if mqtt is None else ("broker connected" if mqtt["connected"] else "BROKER DOWN")
        running = sum(record.container.running for record in state.containers.values())
        told = f"{running} containers run, {engine}, {broker}"
        return told if self.settings.mode == "enforce" else f"{told}, mode {self.settings.mode}"

    async def status(self) -> Mapping[str, object]:
        """How everything is doing."""
        outbox = await self._outbox()
        now, state = self.clock.now(), self.pipeline.state
        statuses = [str(record.container.status) for record in state.containers.values()]
        approvals = self.pipeline.decisions.approving.approvals
        mqtt = broker_facts(self.publisher)
        store_error = self.loop.store_error or ("" if outbox is not None else "it does not answer")
        reasons = unwell(state.engine, mqtt, store_error, self.pipeline.problem_count)
        wrong = len(self.configuration.problems)
        if wrong:
            reasons.append(f"the settings have {wrong:,} problem{'s' if wrong > 1 else ''}: the agent would not start")
        return {
            "well": not reasons,
            "unwell": reasons,
            "agent": {
                "version": VERSION,
                "host": self.settings.host,
                "mode": self.settings.mode,
                "install_id": self.pipeline.publication.install_id,
                "started_at": self.started.wall,
                "uptime": now.passed_since(self.started),
                "store_error": store_error,
            },
            "settings": {
                "waiting": list(self.configuration.waiting),
                "problems": list(self.configuration.problems),
            },
            "loop": told(self.turns, now.monotonic - self.started.monotonic),
            "engine": self._engine(),
            "mqtt": mqtt,
            "http": self._http(),
            "outbox": outbox,
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
            "services": list(services_told(self.pipeline.policies, self.pipeline.decisions.scaling)),
            "pruned": list(pruned_told(self.pipeline.decisions.pruning, now)),
            "use_tracking": tracking_json(self.pipeline.decisions.pruning, now),
            "resized": list(resized_told(self.pipeline.decisions.resizing)),
            "paused": list(self.pipeline.pausing.told(now)),
            "approvals": list(approval_answers.told(approvals, self.pipeline.decisions.agenda, now)),
            "shared_cause": self._shared_cause(now),
            "breakers": list(self.pipeline.decisions.breaking.told(now)),
            "pending": [
                {
                    "policy": waiting.decision.policy,
                    "target": waiting.decision.target.name,
                    "verb": waiting.decision.verb.value,
                    "guard": waiting.held.guard.value if waiting.held else None,
                    "reason": waiting.held.reason if waiting.held else waiting.decision.reason,
                    "since": waiting.since,
                    "release_at": waiting.held.release_at if waiting.held else None,
                    "approval": approvals.asked_about(waiting.decision),
                }
                for waiting in self.pipeline.decisions.agenda.waiting.values()
            ],
        }

    async def _outbox(self) -> dict[str, object] | None:
        """None while the store does not answer: whoever asks how the agent is must hear just that."""
        try:
            async with asyncio.timeout(_STORE_MAY_TAKE):
                facts = await self.store.facts()
        except (TimeoutError, TemporaryError):
            return None
        return {
            "depth": facts.outbox_depth,
            "bytes": facts.outbox_bytes,
            "oldest": facts.outbox_oldest,
            "dropped": facts.dropped,
            "dead_letters": facts.dead_letters,
        }

    def _http(self) -> dict[str, object] | None:
        """None where the settings want it nowhere."""
        if self.http is None:
            return None
        return {"listen": self.settings.http.listen, "listening": self.http.listening, "error": self.http.error or None}

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
            "hanging": self._hanging(),
        }

    def _hanging(self) -> list[dict[str, object]]:
        containers = self.pipeline.state.containers
        return [
            {"name": containers[each].container.name, "id": each, "since": since}
            for each, since in self.pipeline.hanging.items()
            if each in containers
        ]

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
            "last_decision": _decision(self.pipeline.decisions.wishes.last.get(policy.name)),
        }


def broker_facts(publisher: OutboxPublisher | NoBroker) -> dict[str, object] | None:
    """About the connection to the broker; None when none is configured."""
    if isinstance(publisher, NoBroker):
        return None
    facts = asdict(publisher.facts())
    facts["parked"] = len(facts.pop("parked_topics"))
    return facts


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


def _trigger(policy: Policy) -> str:
    match policy.trigger:
        case OnTrigger():
            return "on"
        case ScheduleTrigger():
            return "schedule"
        case ScaleStrategy():
            return "scale"
        case ResizeStrategy():
            return "resize"
        case WhenTrigger():
            return "when"


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
