"""What was done too often, from the ledger to the breakers: remembered, verified, told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import field, replace

from watchtower_agent.loop import announcements
from watchtower_agent.loop.policy_use import PolicyUse
from watchtower_agent.loop.publication import Publication
from watchtower_agent.loop.stored_breakers import breaker_restored, breaker_stored, scope_key, scope_restored
from watchtower_agent.model.boots import Boots
from watchtower_agent.model.commit import Record
from watchtower_agent.model.decision import Decision, Mode, Target, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import Resume
from watchtower_agent.model.outcome import Outcome, Result
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.guards.breakers import Breakers, Turn
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.futility import Futility, Use
from watchtower_agent.policies.guards.ledger import ATTEMPTS, HOST, KEPT, Ledger, Scope, ScopeKind, policy_scope
from watchtower_agent.policies.guards.renames import Rename
from watchtower_agent.policies.policy import Backoff, Budget, Policy, PolicySet
from watchtower_agent.policies.verdict import opened_if_futile
from watchtower_agent.policies.verification import Effect, Verdict
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.wellness import Wellness

BREAKER, WELL, RENAMED = "breaker", "well", "renamed"
"""Kinds of records: breakers that are not closed; when targets had been well for long enough; their earlier names."""


@dataclass(slots=True)
class Breaking:
    """Keeps ledger and breakers over time.

    Attributes:
        state: The host.
        publication: What is to be remembered goes into its effects of the step.
        circumstances: What holds for the host as a whole.
        ledger: What was done.
        breakers: Those that are not closed.
        use: Of what use it was what policies did.
    """

    state: HostState
    publication: Publication
    circumstances: Circumstances
    ledger: Ledger = field(default_factory=Ledger)
    breakers: Breakers = field(default_factory=Breakers)
    use: PolicyUse = field(init=False)
    _policies: Mapping[str, Policy] = field(default_factory=dict)
    """Those that may act, by name."""
    _wellness: Wellness = field(default_factory=Wellness)

    def __post_init__(self) -> None:
        self.use = PolicyUse(self.state, self.publication, self.circumstances)

    @property
    def futility(self) -> Futility:
        """Of which targets what a policy did was of no use."""
        return self.use.futility

    def resume(self, resume: Resume, now: Instant) -> None:
        """Take in what the store remembers of an earlier run."""
        boots = Boots.restored(resume.records.get("clock", {}), now)

        def carried(earlier: Instant) -> Instant:
            return boots.carried(earlier, now)

        stored = resume.records.get(WELL, {}).items()
        well = {target: carried(at) for target, value in stored if (at := Instant.restored(value)) is not None}
        self.ledger.renames.resume(resume.records.get(RENAMED, {}), carried)
        self.ledger.resume((replace(act, at=carried(act.at)) for act in resume.acts), well)
        for key, value in resume.records.get(BREAKER, {}).items():
            scope, breaker = scope_restored(key), breaker_restored(value, carried)
            if scope is not None and breaker is not None:
                self.breakers.by[scope] = breaker
        self.use.resume(resume, carried)

    def follow(self, policies: PolicySet) -> None:
        """From now on these are in force; of a policy that does something else what was done before tells nothing."""
        self._policies = {policy.name: policy for policy in policies.policies if policy.mode is not Mode.OFF}
        self.use.follow(self._policies)
        for scope, breaker in list(self.breakers.by.items()):
            if scope.kind is not ScopeKind.POLICY:
                continue
            policy = self._policies.get(scope.name)
            if policy is None:
                self.breakers.close(scope, "it is not in force any more")
            elif policy.digest != breaker.digest:
                self.breakers.close(scope, "it is another policy now")

    def ended(self, outcome: Outcome, now: Instant) -> None:
        """Take in how an action ended."""
        decision = outcome.decision
        did = outcome.numbers.get("engine_did_it")
        if outcome.result is Result.ABANDONED:
            self.ledger.abandoned(decision)
            self.breakers.abandoned(decision)
            return
        self.ledger.ended(decision, now)
        if outcome.result is Result.INTERRUPTED and did is not True:
            self.breakers.abandoned(decision)
        elif outcome.result is Result.FAILED:
            self._in_vain(decision, now, f"the {decision.verb} of {decision.target.name} failed")
        elif decision.verb in ATTEMPTS:
            self.breakers.done(decision, now)
        else:
            self._helped(decision, now)  # of what brings nothing back no more is asked

    def verified(self, verdict: Verdict, now: Instant) -> None:
        """It is known what came of an attempt: if it was a probe, its breaker goes by that."""
        decision = verdict.verification.decision
        match verdict.effect:
            case Effect.HELPED:
                self._helped(decision, now)
            case Effect.INEFFECTIVE:
                why = f"the {decision.verb} of {decision.target.name} did not help"
                self._in_vain(decision, now, f"{why}: {verdict.why}")
            case Effect.UNTOLD:
                self.breakers.abandoned(decision)

    def _helped(self, decision: Decision, now: Instant) -> None:
        self.ledger.judged(decision, helped=True)
        self.breakers.helped(decision)
        self.use.judged(decision, Use.STANDS, self._policies.get(decision.policy), now)

    def _in_vain(self, decision: Decision, now: Instant, why: str) -> None:
        self.ledger.judged(decision, helped=False)
        self.breakers.failed(decision, now, why, shared_cause=self.use.has_shared_cause(now))
        policy = self._policies.get(decision.policy)
        if self.use.judged(decision, Use.IN_VAIN, policy, now) and policy is not None:
            opened_if_futile(self.futility, self.breakers, decision, policy, now, why)

    def excuse(self, failed: Container[str], since: float) -> None:
        """Many containers have failed by one cause: what was of no use on these lately says nothing of policies.

        That it is one cause is seen when enough of them have failed; the first may have been put down to a policy by
        then.

        Args:
            failed: Ids of those containers.
            since: From when on they failed, a moment of the monotonic clock.
        """
        self.futility.excuse(failed, since)
        for name, policy in self._policies.items():
            breaker = self.breakers.by.get(policy_scope(name))
            if breaker is None or breaker.times > 1 or breaker.since.monotonic < since:
                continue
            if not self.futility.is_too_much(policy):
                self.breakers.close(policy_scope(name), "many containers have failed at once: that tells nothing of it")

    def renamed(self, rename: Rename, now: Instant, *, else_known: bool) -> None:
        """What was counted for a container's old name counts for its new one as well.

        Args:
            rename: Of a container.
            now: The present.
            else_known: Whether anything else is known under the old name that is to be taken along.
        """
        self.futility.renamed(rename)
        for scope in self.breakers.renamed(rename, now):
            self._remember(scope)
        has_breaker = Scope(ScopeKind.CONTAINER, rename.old) in self.breakers.by
        for name in self.ledger.renamed(rename, now, else_known=else_known or has_breaker):
            self._remember_earlier_names(name)

    def look(
        self,
        policies: PolicySet,
        host_budget: Budget,
        now: Instant,
        *,
        busy: Callable[[Target], bool],
        verifies: Callable[[Decision], bool],
        wanted: Collection[Decision],
    ) -> None:
        """See who has recovered, and forget what counts no more.

        Args:
            policies: Those in force.
            host_budget: How many actions there may be on all containers together.
            now: The present.
            busy: Whether an action on that target is under way.
            verifies: Whether what came of an attempt is still to be seen.
            wanted: What waits for its guards.
        """
        tried = self.ledger.tried()
        names = {*tried, *(scope.name for scope in self.breakers.by if scope.is_target)}
        self._wellness.look(names, self.state, now)
        for policy, target in self.use.look(self._policies, self.ledger, wanted, now):
            self.breakers.lasted(policy, target)
        for scope, breaker in list(self.breakers.by.items()):
            probe = breaker.probe
            if probe is None:
                continue
            known = busy(probe.decision.target) if probe.ended is None else verifies(probe.decision)
            lasts = scope.kind is ScopeKind.POLICY and self.futility.standing(probe.decision)
            if not known and not lasts:  # it can't be told, or what is known of it was lost with the store
                self.breakers.untried(scope)
        backoffs = {policy.name: policy.backoff for policy in policies.policies}
        for target in tried:
            self._recovered(target, backoffs, now)
        may_act = {each.name for each in policies.policies if each.mode in {Mode.ENFORCE, Mode.APPROVE}}
        probes = {each.target.name for each in wanted if each.policy in may_act and each.verb is not Verb.NOTIFY}
        for scope in list(self.breakers.by):
            if scope.is_target and scope.name not in probes:
                self._close_if_mended(scope)
        self._follow_budgets(policies, host_budget, now)
        self.breakers.lapse(now)
        for target in self.ledger.forget(now):
            self.publication.out.records.append(Record(kind=WELL, key=target, value=None))
        for name in self.ledger.renames.forget(now, KEPT):
            self._remember_earlier_names(name)

    def turned(self, now: Instant) -> Iterator[tuple[Turn, Notice]]:
        """Remember how breakers have changed since this was asked last, and say what people are told of it."""
        turns, self.breakers.turns = self.breakers.turns, []
        self.use.remember()
        for turn in turns:
            self._remember(turn.scope)
            if turn.why:
                yield turn, announcements.breaker_turned(turn, self.state.host, now)

    def told(self, now: Instant) -> Iterator[dict[str, object]]:
        """Breakers that are not closed, as JSON objects: what `status` says."""
        for scope, breaker in self.breakers.by.items():
            probe = breaker.probe
            yield {
                "scope": scope.kind.value,
                "name": scope.name,
                "phase": breaker.phase.value,
                "opened_by": breaker.policy,
                "budget": announcements.budget_of(scope, breaker),
                "cause": breaker.cause,
                "times_opened": breaker.times,
                "since": breaker.since.wall,
                "probe_at": now.wall + breaker.left(now) if probe is None else None,
                "probe": None
                if probe is None
                else {
                    "policy": probe.decision.policy,
                    "target": probe.decision.target.name,
                    "verb": probe.decision.verb.value,
                    "since": probe.begun.wall,
                },
            }

    def remember_again(self) -> None:
        """The store was lost while running: put what it must know into the new one."""
        for scope in self.breakers.by:
            self._remember(scope)
        for target, at in self.ledger.well.items():
            self.publication.out.records.append(Record(kind=WELL, key=target, value=at.stored()))
        for name in self.ledger.renames.by:
            self._remember_earlier_names(name)
        self.use.remember_again()

    def _remember_earlier_names(self, name: str) -> None:
        value = self.ledger.renames.stored(name)
        self.publication.out.records.append(Record(kind=RENAMED, key=name, value=value))

    def _remember(self, scope: Scope) -> None:
        breaker = self.breakers.by.get(scope)
        value = None if breaker is None else breaker_stored(breaker)
        self.publication.out.records.append(Record(kind=BREAKER, key=scope_key(scope), value=value))

    def _recovered(self, target: str, backoffs: Mapping[str, Backoff], now: Instant) -> None:
        """Note if it has been well for long enough by now: the next attempt is the first again."""
        attempts = self.ledger.attempts(target)
        since = self._wellness.since(target)
        if not attempts or since is None:
            return
        last = attempts[0]
        calm = backoffs.get(last.policy, Backoff()).calm(len(attempts), last.id)
        if now.monotonic - max(since.monotonic, last.at.monotonic) < calm:
            return
        self.ledger.recovered(target, now)
        self.publication.out.records.append(Record(kind=WELL, key=target, value=now.stored()))

    def _close_if_mended(self, scope: Scope) -> None:
        """Somebody else has mended it, and it was well for long enough since: no probe is needed to tell that."""
        breaker, well = self.breakers.by[scope], self.ledger.well.get(scope.name)
        if breaker.probe is not None or well is None or well.monotonic < breaker.since.monotonic:
            return
        if not self.ledger.attempts(scope.name) and self._wellness.since(scope.name) is not None:
            self.breakers.close(scope, f"{scope.name} has been well for long enough")

    def _follow_budgets(self, policies: PolicySet, host_budget: Budget, now: Instant) -> None:
        """A breaker goes by the budget as it is now. That of a policy which is gone stays as it was."""
        budgets = {policy.name: policy.budget for policy in policies.policies}
        for scope, breaker in list(self.breakers.by.items()):
            budget = host_budget if scope == HOST else budgets.get(breaker.policy, breaker.budget)
            if scope.kind is ScopeKind.POLICY:
                room = len(self.futility.in_vain(scope.name)) < budget.in_vain
                self.breakers.allow(scope, budget, room=room)
                continue
            done = self.ledger.newest(scope, budget.most, now.monotonic - budget.per)
            self.breakers.allow(scope, budget, room=len(done) < budget.most)
