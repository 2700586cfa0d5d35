"""One step of the loop: observations in, state changed, decisions made and guarded, effects out. Pure.

The async shell around it (`loop`) makes the effects durable, publishes them and carries out the actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from watchtower_agent import announcements
from watchtower_agent.effects import Effects
from watchtower_agent.interrupted import Interrupted, deadline
from watchtower_agent.model.commit import Record
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Dropped, Edge, Guard, Held, Mode, Target, Verb
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
from watchtower_agent.policies.agenda import Agenda, Waiting, stored_forms, waiting_from_json, waiting_json
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.policies.guards import DEFAULT_COOLDOWN, Cooldowns, Protection, Question, ask, cooldown_of
from watchtower_agent.policies.making import PENDING_FOR, digest
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.triggers import triggered
from watchtower_agent.ports import Composer
from watchtower_agent.publication import Publication
from watchtower_agent.record import ContainerRecord
from watchtower_agent.remembered import record_from_json
from watchtower_agent.state import INSPECT_AFTER, HostState

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


_ENDS_A_LIFE = frozenset({Verb.RESTART, Verb.START, Verb.STOP, Verb.KILL})
"""Verbs after which nothing is left of what was decided about a container's earlier life."""

_CLOCKS_DIFFER = 1.0
"""Seconds by which the engine's stamps may precede the intent that caused them."""


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
    _lost_at: float | None = None
    _begun: dict[str, Waiting] = field(default_factory=dict)
    """Decisions from events under way, by id, with what triggered them: an action that was not carried out after all
    is wanted still."""
    _policies_known: bool = False

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
            waiting = _waiting(stored, now)
            if waiting is not None and waiting.decision.expires_at > now.wall:
                self.agenda.restore(waiting)
        for decision_id, stored in resume.records.get("begun", {}).items():
            waiting = _waiting(stored, now)
            if waiting is not None:
                self._begun[decision_id] = waiting
        self._resume_actions(interrupted)
        if resume.store_was_reset:
            self._say(announcements.store_reset(resume.store_was_reset, now.wall), now)

    def _resume_actions(self, interrupted: Sequence[Intent]) -> None:
        for intent in interrupted:
            self._interrupted.intents[intent.decision.target.id] = intent
            self.state.apply_intent(intent, until=deadline(intent))
        for record in self.state.containers.values():
            if record.own is not None and record.own.ended is None:
                record.own = None  # its intent is in no ledger: it is not under way

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
            self.state.operator_acts_end(now.wall)
            self._forget_cooldowns(now)
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
        if event.kind is EventKind.CONTAINER and event.action == "destroy":
            self._settle_gone(event.actor_id, now)
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
        if not decision.from_event and decision.verb is not Verb.NOTIFY and self._busy(decision.target):
            return  # the timers of conditions start anew when the action ends
        self._give_up(self.agenda.overtaken(decision, self.state.containers.get(decision.target.id), now), now)
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
                self._lost_at = seen.at if self._lost_at is None else self._lost_at
                self._say(announcements.engine_down(seen, now.wall), now)
            case EnginePinged():
                engine.responding, engine.latency = True, seen.latency
            case GapObserved():
                engine.gaps += 1
                engine.uncertain_until = max(engine.uncertain_until, seen.until)
                self._say(announcements.event_gap(seen, now.wall), now)

    def _found(self, seen: EngineFound, now: Instant) -> None:
        engine = self.state.engine
        engine.info, engine.connected, engine.responding, engine.since = seen.info, True, True, seen.at
        engine.restarts += seen.restarted
        engine.last_error = ""
        self.composer.engine_changed(seen.info)
        self._out.data_root = seen.info.data_root
        lost_at, self._lost_at = self._lost_at, None
        self._say(announcements.engine_up(seen, lost_at, now.wall), now)

    def _inventory(self, inventory: InventoryObserved, now: Instant) -> None:
        first = not self.state.baseline
        for event in self.state.apply_inventory(inventory):
            self._engine_event(event, now)
        if first:
            self._out.records.append(Record(kind="baseline", key="made", value={"at": inventory.at}))
        self.publication.clear_ghosts(self._out)
        for container_id in self.state.containers:
            self._out.inspect[container_id] = None
        for target in list(self._interrupted.intents):
            if target not in self.state.containers:
                self._settle_gone(target, now)

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

    def _settle_gone(self, container_id: str, now: Instant) -> None:
        intent = self._interrupted.intents.get(container_id)
        if intent is not None:
            gone = ContainerObserved(container_id=container_id, container=None, after_position=0, at=now.wall)
            self._settle(intent, gone, now)

    def _settle(self, intent: Intent, seen: ContainerObserved, now: Instant) -> None:
        """What became of an action that a crash of the agent interrupted, as far as an inspection tells."""
        waiting = self._begun.get(intent.decision.id)
        outcome = self._interrupted.resolve(seen, now.wall)
        if outcome is None:
            return
        self._ended(outcome, now)
        if outcome.numbers.get("engine_did_it") is not False or seen.container is None:
            return
        decision = intent.decision
        if _left_stopped(intent, seen):
            # The engine got no further than the stop: whoever wanted a restart wants the start, whatever its trigger.
            self.state.ended_by_agent(seen.container_id)
            decision = replace(decision, from_event=True, expires_at=now.wall + PENDING_FOR)
        if decision.from_event and decision.expires_at > now.wall:
            self._want_again(decision, waiting, now)

    def _want_again(self, decision: Decision, waiting: Waiting | None, now: Instant) -> None:
        """What was wanted did not happen: it is wanted still, unless overtaken; the cooldown holds it back."""
        again = replace(decision, id=digest("again", decision.id))
        self._want(again, waiting.event if waiting is not None else None, now)

    # --- samples ----------------------------------------------------------------------------------------

    def _samples(self, batch: SampleBatch, now: Instant) -> None:
        self.state.apply_samples(batch)
        self._tick = True
        failing = dict(batch.failures)
        for name in failing.keys() - self._failing.keys():
            self._say(announcements.sampling_degraded(name, failing[name], now.wall), now)
        for name in self._failing.keys() - failing.keys():
            self._say(announcements.sampling_restored(name, now.wall), now)
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
        if not self._policies_known:
            return  # what waited in an earlier run is asked about once its policies are there
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
        self._give_up(verdicts.dropped, now)
        for waiting in verdicts.passed:
            self._begin(waiting, now)
        for key, value in stored_forms(verdicts.changed):
            self._out.records.append(Record(kind="pending", key=key, value=value))

    def _give_up(self, dropped: Sequence[Dropped], now: Instant) -> None:
        for each in dropped:
            self._publish(each, each.decision.correlation_id, now)

    def _begin(self, waiting: Waiting, now: Instant) -> None:
        decision = waiting.decision
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
        if decision.from_event:
            self._begun[decision.id] = waiting
            self._out.records.append(Record(kind="begun", key=decision.id, value=waiting_json(waiting)))
        self._give_up(self.agenda.acted(decision, now), now)
        self.state.apply_intent(intent)
        self.conditions.acted(decision.target, now)
        self._out.intents.append(intent)
        self._publish(intent, decision.correlation_id, now, record=record)

    def recheck(self, intent: Intent, now: Instant) -> Held | None:
        """Every guard once more, immediately before the write. The action's own cooldown does not count."""
        policy = self._policy(intent.decision.policy)
        decision = intent.decision
        if policy is None or policy.mode is Mode.OFF:
            policy_gone = f"policy {decision.policy} is not in force any more"
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
        waiting = self._begun.pop(decision.id, None)
        if waiting is not None:
            self._out.records.append(Record(kind="begun", key=decision.id, value=None))
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
        done = outcome.result is Result.SUCCEEDED or outcome.numbers.get("engine_did_it") is True
        if done and decision.verb in _ENDS_A_LIFE:
            self._give_up(self.agenda.acted(decision, now, events_before=outcome.started_at), now)
        if outcome.result is Result.ABANDONED and "guard" in outcome.numbers and decision.from_event:
            self._want_again(decision, waiting, now)

    def _cool(self, decision: Decision, now: Instant) -> None:
        policy = self._policy(decision.policy)
        if decision.verb is Verb.NOTIFY and (policy is None or not cooldown_of(decision, policy)):
            return  # telling people about an action must not delay the action
        self.cooldowns.acted(decision, now)
        key = f"{decision.policy}\0{decision.target.name}"
        self._out.records.append(Record(kind="cooldown", key=key, value={"at": now.wall}))

    def _forget_cooldowns(self, now: Instant) -> None:
        """Names of targets come and go: what counts no more is not kept for ever."""
        if not self._policies_known:
            return
        longest = max((policy.cooldown or 0.0 for policy in self.policies.policies), default=0.0)
        for policy, target in self.cooldowns.forget(now, max(longest, *DEFAULT_COOLDOWN.values())):
            self._out.records.append(Record(kind="cooldown", key=f"{policy}\0{target}", value=None))

    def _busy(self, target: Target) -> bool:
        return bool(target.id) and (target.id in self._open or target.id in self._interrupted.intents)

    # --- policies ---------------------------------------------------------------------------------------

    def _policies(self, seen: PolicySet | PoliciesRejected, now: Instant) -> None:
        if isinstance(seen, PolicySet):
            self.policies, self.problems, self._policies_known = seen, (), True
            self._out.demand = seen.names
            self._tick = True
            self._say(announcements.policies_loaded(seen, now.wall), now)
        else:
            self.problems = seen.problems
            self._say(announcements.policies_rejected(seen, now.wall), now)

    def _policy(self, name: str) -> Policy | None:
        return next((policy for policy in self.policies.policies if policy.name == name), None)

    # --- publishing -------------------------------------------------------------------------------------

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


def _waiting(stored: Mapping[str, object], now: Instant) -> Waiting | None:
    """What the store remembers of a decision; None when that can't be read."""
    try:
        waiting = waiting_from_json(stored)
    except (KeyError, TypeError, ValueError):
        return None
    # It never waits for longer than that, even if the clock was stepped back meanwhile.
    latest = min(waiting.decision.expires_at, now.wall + PENDING_FOR)
    return replace(waiting, decision=replace(waiting.decision, expires_at=latest))


def _left_stopped(intent: Intent, seen: ContainerObserved) -> bool:
    """Whether an interrupted restart ended its container and did not start it."""
    container = seen.container
    if intent.decision.verb is not Verb.RESTART or container is None or container.detail is None:
        return False
    ended = container.detail.finished_at
    exited = container.status is ContainerStatus.EXITED
    return exited and ended is not None and intent.at - _CLOCKS_DIFFER <= ended <= deadline(intent)
