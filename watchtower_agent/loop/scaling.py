"""Scaling services: looks at each at every sample, remembers what it needed, says what is wanted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from watchtower_agent.loop.interventions import notice
from watchtower_agent.loop.own_changes import OwnChanges
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.replica_wellness import ReplicaWellness
from watchtower_agent.loop.scaled_service import MISSED, Scaled
from watchtower_agent.loop.scaling_news import ScalingNews, by_another
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Mode, Number, Target
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Intent, Outcome
from watchtower_agent.model.service import Judgement
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.contested import contested
from watchtower_agent.policies.policy import Policy, PolicySet
from watchtower_agent.policies.scaled import NO_LIMITS, TO, litter_decision, scale_decision, target_of
from watchtower_agent.policies.scaling.rules import Rules
from watchtower_agent.policies.scaling.situation import Idleness, Situation
from watchtower_agent.policies.scaling.tracking import look
from watchtower_agent.policies.strategies.scale import ScaleStrategy
from watchtower_agent.policies.survey import Survey, Unseen, is_idle, survey
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

KIND: Final = "scaling"
"""Of the records that the store keeps."""
_REMEMBER_EVERY: Final = 5.0
"""Seconds between two records of a service's memory: after a longer gap nobody knows what was needed meanwhile."""
_GATHERS_FOR: Final = 15.0
"""Seconds after the agent's start until the means of its own samples can be known. To look before would be to take
every metric for unknown, and as many replicas for needed as there are: each restart would put off a shrink."""


@dataclass(slots=True)
class Scaling:
    """Every scaled service.

    Attributes:
        state: The host.
        publication: Where effects of the step go.
        interval: Seconds between samples.
        want: Takes a decision.
        busy: Whether an action on that target is under way.
        say: Publishes a notice.
        lowered: The limits of a container that the agent has lowered, as others had made them.
        by: Name of the policy -> its service.
    """

    state: HostState
    publication: Publication
    interval: float
    want: Callable[[Decision, Instant], None]
    busy: Callable[[Target], bool]
    say: Callable[[Notice, Instant], None]
    lowered: Callable[[ContainerRecord, Instant], Mapping[str, Number]]
    by: dict[str, Scaled] = field(default_factory=dict)
    _policies: tuple[tuple[Policy, ScaleStrategy], ...] = ()
    _contested: Mapping[str, str] = field(default_factory=dict)
    """Policy whose containers another one scales, too -> that one."""
    _began: float | None = None
    """When services were looked at first, on the monotonic clock."""
    _changes: OwnChanges = field(init=False)
    _wellness: ReplicaWellness = field(init=False)
    _news: ScalingNews = field(init=False)

    def __post_init__(self) -> None:
        self._changes = OwnChanges(self.by, self.interval)
        self._wellness = ReplicaWellness(self.state)
        self._news = ScalingNews(self.say)

    def resume(self, resume: Resume, interrupted: Sequence[Intent], now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        boots = Boots.restored(resume.records.get("clock", {}), now)
        for policy, stored in resume.records.get(KIND, {}).items():
            known = Scaled.restored(stored, now, boots)
            if known is not None:
                self.by[policy] = known
        self._changes.resume(interrupted, now)

    def follow(self, policies: PolicySet) -> None:
        """From now on these are in force."""
        self._policies = tuple(
            (policy, policy.trigger)
            for policy in policies.policies
            if policy.mode is not Mode.OFF and isinstance(policy.trigger, ScaleStrategy)
        )
        targets = {policy.name: strategy.target.key for policy, strategy in self._policies}
        for name, known in list(self.by.items()):
            if targets.get(name) != known.target:
                del self.by[name]
                self.publication.out.records.append(Record(kind=KIND, key=name, value=None))
        for name, target in targets.items():
            self.by.setdefault(name, Scaled(target=target))

    @property
    def strategies(self) -> Iterator[ScaleStrategy]:
        """Of the policies in force."""
        return (strategy for _, strategy in self._policies)

    @property
    def swarm_services(self) -> frozenset[str]:
        """Names of the Swarm's services that are scaled."""
        return frozenset(each.target.service for each in self.strategies if not each.clones)

    @property
    def readings(self) -> frozenset[str]:
        """Names of the metrics from outside that are asked for."""
        return frozenset(rule.name for each in self.strategies for rule in each.metrics)

    def judgements(self, now: Instant) -> tuple[Judgement, ...]:
        """What is made here of services that this agent changes, for those who may have to go on with them."""
        return tuple(
            Judgement(
                service_id=known.seen.swarm.id,
                version=known.seen.swarm.version,
                left_alone_for=max(0.0, known.hands_off_until - now.monotonic),
            )
            for known in self.by.values()
            if known.acts and isinstance(known.seen, Survey) and known.seen.swarm is not None
        )

    def look(self, now: Instant) -> None:
        """Look at every service once."""
        self._wellness.follow([each.target for each in self.strategies if each.clones], now)
        self._contested = contested(self._policies, (each.container for each in self.state.containers.values()))
        self._began = now.monotonic if self._began is None else self._began
        gathers = now.monotonic - self._began < _GATHERS_FOR
        for policy, strategy in self._policies:
            if gathers:
                self._meet(policy, strategy, self.by[policy.name], now)
            else:
                self._look(policy, strategy, self.by[policy.name], now)

    def wants(self, policy: str) -> bool | None:
        """Whether a policy wants its service changed; None while that is not known."""
        known = self.by.get(policy)
        return None if known is None else known.wants

    def outdated(self, decision: Decision) -> bool:
        """Whether the newest look wants more than a change that has not begun would leave, or the opposite of it."""
        known, before, to = self.by.get(decision.policy), decision.parameters.get("from"), decision.parameters.get(TO)
        if known is None or known.looked is None or not isinstance(before, int) or not isinstance(to, int):
            return False
        newest = known.looked.recommendation.to
        return newest > to if to < before else newest < before < to

    def begins(self, decision: Decision) -> None:
        """The agent is about to change a service: that change is nobody else's."""
        self._changes.begins(decision)

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """It has ended, however."""
        if outcome.decision.policy in self.by:
            self.publication.out.look_again = True
            self._changes.ended(outcome, now)

    def interrupted(self, now: Instant) -> Iterator[Outcome]:
        """What became of changes that an earlier run began and did not end, as far as the services tell by now."""
        return self._changes.interrupted(now)

    def remember_again(self, now: Instant) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for name, known in self.by.items():
            self._remember(name, known, now)

    # --- one service ----------------------------------------------------------------------------------

    def _meet(self, policy: Policy, strategy: ScaleStrategy, known: Scaled, now: Instant) -> None:
        """Of its number nothing has to be gathered: what people do to it counts from the first sight on."""
        seen = self._survey(policy.name, strategy, known, now)
        if isinstance(seen, Unseen):
            return
        news, first = notice(known, seen, self.state, now), known.memory.wanted is None
        known.memory = known.memory.noted(seen.situation.wanted, now.monotonic, self._rules(strategy))
        if news or first:
            self._remember(policy.name, known, now)

    def _survey(self, name: str, strategy: ScaleStrategy, known: Scaled, now: Instant) -> Survey | Unseen:
        known.acts = strategy.clones or self.state.services.leads(now.monotonic)
        if name in self._contested:
            return Unseen(why=by_another(self._contested[name]))
        return survey(strategy, self.state, now, lambda record: self._wellness.lasts(record, now))

    def _look(self, policy: Policy, strategy: ScaleStrategy, known: Scaled, now: Instant) -> None:
        known.seen = seen = self._survey(policy.name, strategy, known, now)
        self._news.of_another(policy, known, self._contested.get(policy.name, ""), now)
        if isinstance(seen, Unseen):
            known.promised = 0.0
            return
        changed = notice(known, seen, self.state, now)
        situation = self._completed(strategy, known, seen.situation, now)
        rules = self._rules(strategy)
        looked = look(rules, situation, known.memory, now)
        known.promised = known.promises(seen.situation, looked, begins=policy.mode is Mode.ENFORCE)
        known.looked = looked
        known.memory = looked.memory
        known.recommended.append((now.monotonic, looked.recommendation.to))
        if known.acts:
            self._news.of_look(policy, known, looked, now)
        grows = looked.recommendation.to > looked.recommendation.wanted
        waits = now.monotonic < known.retry_at and (grows or not known.growth_failed)
        if known.acts and not waits and not self.busy(target_of(strategy)) and self._knows(known):
            lasts = now.wall + 2 * self.interval
            if looked.recommendation.moves:
                limits = self.lowered(seen.originals[0], now) if seen.originals else NO_LIMITS
                advice = looked.recommendation
                self.want(scale_decision(policy, strategy, seen, advice, now, expires_at=lasts, limits=limits), now)
            elif seen.litter:
                advice = looked.recommendation
                self.want(litter_decision(policy, strategy, seen, advice, now, expires_at=lasts), now)
        if changed or looked.regretted or now.monotonic - known.remembered >= _REMEMBER_EVERY:
            self._remember(policy.name, known, now)

    def _rules(self, strategy: ScaleStrategy) -> Rules:
        """As the policy has them, with its idle rule, and for looks that are no closer than samples."""
        rules = strategy.rules
        idle_for = None if strategy.idle is None else strategy.idle.idle_for
        return replace(rules, idle_for=idle_for, gap=max(rules.gap, MISSED * self.interval))

    def _knows(self, known: Scaled) -> bool:
        """Whether the Swarm was asked since the agent's last change: what it said before is no reason for another."""
        asked = self.state.services.asked_at
        return isinstance(known.seen, Survey) and (known.seen.swarm is None or asked is None or asked >= known.ended)

    def _completed(self, strategy: ScaleStrategy, known: Scaled, situation: Situation, now: Instant) -> Situation:
        """With what only time tells."""
        idleness = None
        if strategy.idle is not None:
            holds = is_idle(strategy.idle, situation, self._rules(strategy))
            if holds is not True:
                known.idle_since = None
            elif known.idle_since is None or known.memory.is_gap(now.monotonic, self._rules(strategy)):
                known.idle_since = now.monotonic
            held_for = 0.0 if known.idle_since is None else now.monotonic - known.idle_since
            idleness = Idleness(holds=holds, held_for=held_for)
        paused_for = max(0.0, known.hands_off_until - now.monotonic)
        settling = now.monotonic < known.settles_until
        # Where no idle rule lets it have none, that is somebody's word, as is the end of a container.
        stopped = not strategy.clones and idleness is None and situation.wanted == 0 and not known.emptied
        room = situation.room
        if room is not None:  # several services may grow at the same moment
            others = sum(each.promised for each in self.by.values() if each is not known)
            room = replace(room, promised=room.promised + others)
        return replace(
            situation, paused_for=paused_for, settling=settling, stopped=stopped, idleness=idleness, room=room
        )

    # --- remembered -----------------------------------------------------------------------------------

    def _remember(self, name: str, known: Scaled, now: Instant) -> None:
        known.remembered = now.monotonic
        self.publication.out.records.append(Record(kind=KIND, key=name, value=known.stored(now)))
