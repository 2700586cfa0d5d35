"""One step of the loop: observations in, state changed, decisions made and guarded, effects out. Pure.

The async shell around it (`loop`) makes the effects durable, publishes them and carries out the actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from watchtower_agent.effects import Effects
from watchtower_agent.interrupted import Interrupted
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Edge, Guard, Held, Severity, Target, Verb
from watchtower_agent.model.engine_event import EXEC_ACTIONS, Cursor, EngineEvent, EventKind, Origin
from watchtower_agent.model.fact import AgentInfo, Fact
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import (
    ContainerObserved,
    EngineFound,
    EngineLost,
    EnginePinged,
    EventsObserved,
    GapObserved,
    InventoryObserved,
    PoliciesRejected,
    Resume,
)
from watchtower_agent.model.outcome import Intent, Outcome, Result
from watchtower_agent.model.sample import SampleBatch
from watchtower_agent.policies.agenda import Agenda, stored_forms, waiting_from_json
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.policies.guards import Cooldowns, Protection, Question, ask
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.triggers import triggered
from watchtower_agent.ports import Composer
from watchtower_agent.publication import Publication
from watchtower_agent.remembered import record_from_json
from watchtower_agent.state import INSPECT_AFTER, ContainerRecord, HostState

Observation = (
    EventsObserved
    | InventoryObserved
    | ContainerObserved
    | EngineFound
    | EngineLost
    | EnginePinged
    | GapObserved
    | SampleBatch
    | Outcome
    | PolicySet
    | PoliciesRejected
    | Notice
)
"""Everything that can reach the inbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """What the agent's settings say to the pipeline.

    Attributes:
        host: The host's name in topics and payloads.
        mode: The agent's mode.
        interval: Seconds between samples.
        metrics_interval: Seconds between metrics batches.
        protection: What no policy may touch.
        settings_digest: Hash over the settings, for the `info` topic.
    """

    host: str
    mode: str
    interval: float
    metrics_interval: float
    protection: Protection
    settings_digest: str = ""


@dataclass(slots=True)
class Pipeline:
    """The pure heart of the agent. All of its memory is in its fields; one task drives it."""

    options: PipelineOptions
    composer: Composer
    state: HostState = field(init=False)
    publication: Publication = field(init=False)
    policies: PolicySet = field(default_factory=PolicySet)
    problems: tuple[str, ...] = ()
    agenda: Agenda = field(default_factory=Agenda)
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    conditions: Conditions = field(default_factory=Conditions)
    last_decisions: dict[str, Decision] = field(default_factory=dict)
    _open: dict[str, Intent] = field(default_factory=dict)
    _interrupted: Interrupted = field(default_factory=Interrupted)
    _out: Effects = field(default_factory=Effects)
    _failing: dict[str, str] = field(default_factory=dict)
    _tick: bool = False
    _was_lost_at: float | None = None

    def __post_init__(self) -> None:
        self.state = HostState(self.options.host)
        self.publication = Publication(self.composer, self.state)

    # --- start ----------------------------------------------------------------------------------------

    def resume(self, resume: Resume, interrupted: Sequence[Intent], now: Instant) -> None:
        """Take in what the store remembers of an earlier run. Called once, before the first step."""
        self.publication.resume(resume)
        for container_id, stored in resume.records.get("container", {}).items():
            record = record_from_json(stored)
            if record is not None:
                self.state.containers[container_id] = record
        self.state.baseline = bool(resume.records.get("baseline"))
        for key, stored in resume.records.get("cooldown", {}).items():
            policy, _, target = key.partition("\0")
            at = stored.get("at")
            if isinstance(at, int | float):
                # A stamp from the future means that the clock was stepped back: the full cooldown counts again.
                age = max(0.0, now.wall - at)
                self.cooldowns.last[policy, target] = Instant(wall=at, monotonic=now.monotonic - age)
        for stored in resume.records.get("pending", {}).values():
            try:
                waiting = waiting_from_json(stored)
            except (KeyError, TypeError, ValueError):
                continue
            if waiting.decision.expires_at > now.wall:
                self.agenda.restore(waiting)
        for intent in interrupted:
            self._interrupted.intents[intent.decision.target.id] = intent
            self.state.apply_intent(intent)
        if resume.store_was_reset:
            self._notice(
                EventKind.AGENT,
                "event_gap",
                Severity.CRITICAL,
                f"the store was set aside and a new one made ({resume.store_was_reset}): events that were not "
                f"delivered yet are lost",
                now,
                data={"cause": "store_reset"},
            )

    # --- the step -------------------------------------------------------------------------------------

    def step(self, observations: Sequence[Observation], now: Instant) -> Effects:
        """Take observations in, in their order, and say what follows from them.

        Args:
            observations: What the shell saw since the last step.
            now: The present.
        """
        for observation in observations:
            self._take(observation, now)
        if self._tick:
            self._evaluate(now)
        self._review(now)
        if self._tick:
            self.publication.metrics(self._out, now, self.options.interval, self.options.metrics_interval)
            self._ask_again(now)
            self._tick = False
        self.publication.states(self._out, self._info())
        out, self._out = self._out, Effects()
        return out

    def _ask_again(self, now: Instant) -> None:
        """Inspect where only time tells: interrupted actions, and what the engine may or may not restart itself."""
        for container_id in self._interrupted.due(now.wall):
            self._out.inspect[container_id] = None
        for waiting in self.agenda.waiting.values():
            if waiting.held is not None and waiting.held.guard in {Guard.RESTART_POLICY, Guard.STALE}:
                self._out.inspect[waiting.decision.target.id] = None
        self._out.inspect.pop("", None)

    def _take(self, observation: Observation, now: Instant) -> None:
        match observation:
            case EventsObserved():
                self.state.engine.event_lag = observation.lag
                for event in observation.events:
                    self._engine_event(event, now)
            case SampleBatch():
                self._samples(observation, now)
            case InventoryObserved():
                self._inventory(observation, now)
            case ContainerObserved():
                self._inspection(observation, now)
            case Outcome():
                self._ended(observation, now)
            case PolicySet() | PoliciesRejected():
                self._policies(observation, now)
            case Notice():
                self._say(observation, now)
            case _:
                self._engine(observation, now)

    def _engine_event(self, event: EngineEvent, now: Instant) -> None:
        known = self.state.containers.get(event.actor_id) if event.kind is EventKind.CONTAINER else None
        own = known.own if known is not None and known.own is not None and known.own.covers(event) else None
        record = self.state.apply_event(event)
        if event.origin is not Origin.SYNTHETIC:
            self._out.cursor = Cursor(time_ns=event.time_ns, event_id=event.id)
            self._out.event_ids.append(event.id)
        correlation = own.correlation_id if own is not None else event.id
        self._publish(event, correlation, now, record=record)
        if event.action in EXEC_ACTIONS:
            return
        if event.action in INSPECT_AFTER and event.actor_id in self.state.containers:
            self._out.inspect[event.actor_id] = None
        if event.action == "oom":
            self._out.oom.append(event.actor_id)
        if own is None:  # what the agent itself caused triggers nothing
            self._trigger(event, record, correlation, now)

    def _trigger(
        self, event: EngineEvent | Notice | Edge, record: ContainerRecord | None, correlation: str, now: Instant
    ) -> None:
        for decision in triggered(self.policies, self.state, event, record, correlation, now):
            self._want(decision, event if isinstance(event, EngineEvent) else None, now)

    def _want(self, decision: Decision, event: EngineEvent | None, now: Instant) -> None:
        if decision.verb is not Verb.NOTIFY and self._busy(decision.target):
            return
        if self.agenda.add(decision, event) and decision.verb is not Verb.NOTIFY:
            self.last_decisions[decision.policy] = decision
            self._publish(decision, decision.correlation_id, now)

    # --- what the engine room tells ---------------------------------------------------------------------

    def _engine(self, seen: EngineFound | EngineLost | EnginePinged | GapObserved, now: Instant) -> None:
        engine = self.state.engine
        match seen:
            case EngineFound():
                self._found(seen, now)
            case EngineLost():
                engine.connected, engine.responding, engine.listed = False, False, False
                engine.since, engine.last_error = seen.at, seen.reason
                self._was_lost_at = seen.at
                self._notice(
                    EventKind.ENGINE,
                    "down",
                    Severity.CRITICAL,
                    f"the engine is lost: {seen.reason}; the agent keeps trying and acts on nothing meanwhile",
                    now,
                    data={"error": seen.reason},
                )
            case EnginePinged():
                engine.responding, engine.latency = True, seen.latency
            case GapObserved():
                engine.gaps += 1
                engine.uncertain_until = max(engine.uncertain_until, seen.until)
                self._gap(seen, now)

    def _found(self, seen: EngineFound, now: Instant) -> None:
        engine = self.state.engine
        engine.info, engine.connected, engine.responding, engine.since = seen.info, True, True, seen.at
        engine.restarts += seen.restarted
        engine.last_error = ""
        self.composer.engine_changed(seen.info)
        self._out.data_root = seen.info.data_root
        down_for = round(seen.at - self._was_lost_at, 3) if self._was_lost_at is not None else None
        self._was_lost_at = None
        after = f" after {down_for:.1f} s" if down_for is not None else ""
        self._notice(
            EventKind.ENGINE,
            "up",
            Severity.INFO,
            f"the engine answers{after}: version {seen.info.version} at {seen.info.url}"
            + ("; it was restarted" if seen.restarted else ""),
            now,
            data={
                "version": seen.info.version,
                "api_version": seen.info.api_version,
                "restarted": seen.restarted,
                "down_seconds": down_for,
            },
        )

    def _gap(self, seen: GapObserved, now: Instant) -> None:
        many = f"{seen.count} events" if seen.count is not None else "events"
        self._notice(
            EventKind.AGENT,
            "event_gap",
            Severity.WARNING,
            f"{many} may have been lost in {max(0.0, seen.until - seen.since):.1f} s ({seen.reason}); "
            f"the containers are listed anew and what changed is published as synthetic events",
            now,
            data={"cause": seen.reason, "since": seen.since, "until": seen.until, "count": seen.count},
        )

    def _inventory(self, inventory: InventoryObserved, now: Instant) -> None:
        first = not self.state.baseline
        for event in self.state.apply_inventory(inventory):
            self._engine_event(event, now)
        if first:
            self._out.records.append(Record(kind="baseline", key="made", value={"at": inventory.at}))
        self.publication.clear_ghosts(self._out)
        for container_id in self.state.containers:
            self._out.inspect[container_id] = None
        for target, intent in list(self._interrupted.intents.items()):
            if target not in self.state.containers:
                gone = ContainerObserved(container_id=target, container=None, after_position=0, at=inventory.at)
                self._settle(intent, gone, now)

    def _inspection(self, seen: ContainerObserved, now: Instant) -> None:
        again, events = self.state.apply_inspection(seen)
        if again:
            self._out.inspect[seen.container_id] = None
            return
        for event in events:
            self._engine_event(event, now)
        intent = self._interrupted.intents.get(seen.container_id)
        if intent is not None:
            self._settle(intent, seen, now)

    def _settle(self, intent: Intent, seen: ContainerObserved, now: Instant) -> None:
        outcome = self._interrupted.resolve(seen, now.wall)
        if outcome is None:
            return
        self._ended(outcome, now)
        if outcome.numbers.get("engine_did_it") is False and intent.decision.from_event:
            # What was wanted did not happen: it is wanted still, unless overtaken; the cooldown holds it back.
            decision = replace(intent.decision, id=f"{intent.decision.id}-again")
            if seen.container is not None and decision.expires_at > now.wall:
                self._want(decision, None, now)

    # --- samples ----------------------------------------------------------------------------------------

    def _samples(self, batch: SampleBatch, now: Instant) -> None:
        self.state.apply_samples(batch)
        self._tick = True
        failing = dict(batch.failures)
        for name, why in failing.items():
            if name not in self._failing:
                self._notice(
                    EventKind.AGENT,
                    "sampling_degraded",
                    Severity.WARNING,
                    why,
                    now,
                    subject=name,
                    data={"collector": name},
                )
        for name in self._failing.keys() - failing.keys():
            self._notice(
                EventKind.AGENT,
                "sampling_restored",
                Severity.INFO,
                f"{name} can be sampled again",
                now,
                subject=name,
                data={"collector": name},
            )
        self._failing = failing

    def _evaluate(self, now: Instant) -> None:
        wanted = self.conditions.evaluate(self.policies, self.state, now, self.options.interval)
        for edge in wanted.edges:
            record = self.state.containers.get(edge.target.id)
            self._publish(edge, edge.correlation_id, now, record=record)
            self._trigger(edge, record, edge.correlation_id, now)
        for decision in wanted.decisions:
            self._want(decision, None, now)

    # --- guards, actions --------------------------------------------------------------------------------

    def _review(self, now: Instant) -> None:
        if not self.agenda.waiting:
            return
        firing = {policy.name: set(self.conditions.firing(policy.name)) for policy in self.policies.policies}
        verdicts = self.agenda.review(
            self.policies,
            self.state,
            self.cooldowns,
            self.options.protection,
            now,
            busy=self._busy,
            fires=lambda policy, target: target in firing.get(policy, ()),
        )
        for held in verdicts.held:
            self._publish(held, held.decision.correlation_id, now)
        for dropped in verdicts.dropped:
            self._publish(dropped, dropped.decision.correlation_id, now)
        for decision in verdicts.passed:
            self._begin(decision, now)
        for key, value in stored_forms(verdicts.changed):
            self._out.records.append(Record(kind="pending", key=key, value=value))

    def _begin(self, decision: Decision, now: Instant) -> None:
        record = self.state.containers.get(decision.target.id)
        detail = record.container.detail if record else None
        intent = Intent(decision=decision, at=now.wall, started_at_before=detail.started_at if detail else None)
        self._cool(decision, now)
        if decision.verb is Verb.NOTIFY:
            outcome = Outcome(
                decision=decision,
                result=Result.SUCCEEDED,
                reason=str(decision.parameters.get("message") or decision.reason),
                started_at=now.wall,
                finished_at=now.wall,
                numbers=decision.numbers,
            )
            self._out.told.append(intent)
            self._out.outcomes.append(outcome)
            self._publish(outcome, decision.correlation_id, now, record=record)
            return
        self._open[decision.target.id] = intent
        self.state.apply_intent(intent)
        self.conditions.acted(decision.target, now)
        self._out.intents.append(intent)
        self._publish(intent, decision.correlation_id, now, record=record)

    def recheck(self, intent: Intent, now: Instant) -> Held | None:
        """Every guard once more, immediately before the write. The action's own cooldown does not count."""
        policy = self._policy(intent.decision.policy)
        decision = intent.decision
        if policy is None:
            policy_gone = f"policy {decision.policy} is not there any more"
            return Held(decision=decision, guard=Guard.STALE, reason=policy_gone, at=now.wall)
        return ask(
            Question(
                decision=decision,
                policy=policy,
                state=self.state,
                record=self.state.containers.get(decision.target.id),
                cooldowns=Cooldowns(),
                protection=self.options.protection,
                now=now,
            )
        )

    def _ended(self, outcome: Outcome, now: Instant) -> None:
        decision = outcome.decision
        self._open.pop(decision.target.id, None)
        self.state.apply_outcome(outcome)
        self.conditions.acted(decision.target, now)
        if outcome.result is not Result.ABANDONED:
            self._cool(decision, now)
        self._out.outcomes.append(outcome)
        record = self.state.containers.get(decision.target.id)
        self._publish(outcome, decision.correlation_id, now, record=record)
        if record is not None:
            self._out.inspect[decision.target.id] = None

    def _cool(self, decision: Decision, now: Instant) -> None:
        self.cooldowns.acted(decision, now)
        key = f"{decision.policy}\0{decision.target.name}"
        self._out.records.append(Record(kind="cooldown", key=key, value={"at": now.wall}))

    def _busy(self, target: Target) -> bool:
        return bool(target.id) and (target.id in self._open or target.id in self._interrupted.intents)

    # --- policies ---------------------------------------------------------------------------------------

    def _policies(self, seen: PolicySet | PoliciesRejected, now: Instant) -> None:
        if isinstance(seen, PolicySet):
            self.policies, self.problems = seen, ()
            self._out.demand = seen.names
            self._tick = True
            self._notice(
                EventKind.POLICY,
                "loaded",
                Severity.INFO,
                f"{len(seen.policies)} policies are in force",
                now,
                data={"policies": {p.name: p.mode.value for p in seen.policies}, "digest": seen.digest},
            )
            return
        self.problems = seen.problems
        self._notice(
            EventKind.POLICY,
            "rejected",
            Severity.WARNING,
            f"the policy folder has {len(seen.problems)} problems; the last good set keeps running. "
            f"The first: {seen.problems[0] if seen.problems else 'not known'}",
            now,
            data={"problems": list(seen.problems[:50]), "count": len(seen.problems)},
        )

    def _policy(self, name: str) -> Policy | None:
        return next((policy for policy in self.policies.policies if policy.name == name), None)

    # --- publishing -------------------------------------------------------------------------------------

    def _notice(
        self,
        kind: EventKind,
        action: str,
        severity: Severity,
        reason: str,
        now: Instant,
        *,
        subject: str = "",
        data: Mapping[str, object] | None = None,
    ) -> None:
        notice = Notice(
            kind=kind,
            action=action,
            subject=subject,
            severity=severity,
            reason=reason,
            data=data or {},
            at=now.wall,
        )
        self._say(notice, now)

    def _say(self, notice: Notice, now: Instant) -> None:
        correlation = notice.correlation_id or self.publication.next_correlation()
        self._publish(notice, correlation, now)
        self._trigger(notice, None, correlation, now)

    def _publish(self, fact: Fact, correlation: str, now: Instant, *, record: ContainerRecord | None = None) -> None:
        self._out.facts.append(fact)
        self.publication.event(self._out, fact, correlation, record, now)

    def _info(self) -> AgentInfo:
        return AgentInfo(
            policies={policy.name: policy.mode.value for policy in self.policies.policies},
            policies_digest=self.policies.digest,
            settings_digest=self.options.settings_digest,
            last_sequence=self.publication.sequence,
            mode=self.options.mode,
        )
