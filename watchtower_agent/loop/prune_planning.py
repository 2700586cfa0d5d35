"""Plans of pruning: made of a wish and a listing, rested from where there is nothing to do, over when too old. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field

from watchtower_agent.loop import prune_notices
from watchtower_agent.loop.prune_plans import Planned, Plans
from watchtower_agent.loop.use_tracking import UseTracking
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.removal import DiskListed
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.conditions.subject import HostSubject
from watchtower_agent.policies.conditions.truth import UNKNOWN, Value
from watchtower_agent.policies.guards.circumstances import Circumstances as Guarded
from watchtower_agent.policies.guards.pacing import cooldown_of
from watchtower_agent.policies.policy import Policy
from watchtower_agent.policies.pruned import lasting_for, plan_of, planned
from watchtower_agent.policies.pruning.circumstances import Cause, Circumstances
from watchtower_agent.policies.pruning.plan import plan
from watchtower_agent.policies.waiting import is_by_hand, keeps_to_the_wall_clock
from watchtower_agent.state.host_state import HostState


class _Sampled(HostSubject):
    """The host, whose file system is never short of inodes where it has as many as fit (btrfs): none are sampled.

    So it is measured in a pass, too. Unknown they would have the engine count what there is enough of.
    """

    __slots__ = ()

    def value(self, name: str) -> Value:
        """The value of a `host.…` or `engine.…` name."""
        found = super().value(name)
        if found is UNKNOWN and name == "host.disk.inodes_percent" and self.value("host.disk.percent") is not UNKNOWN:
            return 0.0
        return found


@dataclass(slots=True)
class PrunePlanning:
    """Makes plans of what policies and people wish.

    Attributes:
        state: The host.
        guarded: Says what no policy may touch.
        say: Publishes a notice.
        tracking: When everything was last used.
        plans: Those that are alive.
        policies: Those that prune and are not off, by name.
    """

    state: HostState
    guarded: Guarded
    say: Callable[[Notice, Instant], None]
    tracking: UseTracking
    plans: Plans = field(default_factory=Plans)
    policies: dict[str, Policy] = field(default_factory=dict)
    _rests: dict[str, float] = field(default_factory=dict)
    """Policy -> until when it is not planned anew for a condition, since there was nothing to delete; monotonic."""

    def follow(self, policies: dict[str, Policy]) -> None:
        """From now on these prune."""
        self.policies = policies
        self._rests = {name: until for name, until in self._rests.items() if name in policies}
        self.plans.follow(frozenset(policies))

    def rests(self, wish: Decision, now: Instant) -> bool:
        """Whether a condition's wish comes too soon after there was nothing to delete."""
        return not wish.from_event and now.monotonic < self._rests.get(wish.policy, -math.inf)

    def has_enough(self, wish: Decision, now: Instant) -> bool:
        """Whether there is as much space already as a condition's wish would end at: no sizes are asked for then.

        What a person or a schedule wants is planned whatever there is.
        """
        policy = self.policies.get(wish.policy)
        until = None if policy is None or policy.prune is None else policy.prune.until
        if until is None or is_by_hand(wish) or keeps_to_the_wall_clock(wish):
            return False
        return until.evaluate(_Sampled(self.state, now)) is True

    def rest(self, wish: Decision, now: Instant) -> None:
        """There is nothing to do for it: a condition that goes on being true is not planned for at once again."""
        if (policy := self.policies.get(wish.policy)) is not None:
            self._rests[policy.name] = now.monotonic + cooldown_of(wish, policy)

    def plan(self, wish: Decision, seen: DiskListed, now: Instant, *, shown: bool = False) -> Decision | None:
        """Plan what a policy wants to delete, and tell of it.

        Args:
            wish: A decision without a plan.
            seen: A listing with sizes.
            now: The present.
            shown: A person looks at it: nothing more comes of that by itself.

        Returns:
            The decision with its plan; None where nothing may be deleted.
        """
        policy, usage = self.policies.get(wish.policy), self.tracking.usage
        if policy is None or policy.prune is None or usage is None:
            return None
        rules = policy.prune.permitted(volumes=self.guarded.protection.prune_volumes)
        made = lasting_for(plan(rules, usage, seen.disk, self.circumstances(wish, now), now), policy)
        decision = planned(wish, made, now)
        self.say(prune_notices.planned(wish, made, seen.space, plan_of(decision), now), now)
        strategy = policy.prune
        self.plans.add(
            Planned(decision=decision, plan=made, strategy=strategy, disk=seen.disk, space=seen.space, shown=shown), now
        )
        if not made.items and not shown:
            self.rest(wish, now)
        return decision if made.items else None

    def wanted(self, plan_id: str, policy: str, now: Instant) -> Decision | None:
        """A person wants the plan carried out that they were shown.

        Returns:
            The decision; None where it is not alive any more, or deletes nothing.
        """
        known = self.plans.by.get(plan_id)
        if known is None or known.decision.policy != policy or not known.plan.items:
            return None
        if self.no_plan(known.decision, now):
            return None
        self.plans.wanted(plan_id)
        return known.decision

    def no_plan(self, decision: Decision, now: Instant) -> str:
        """Why the plan of a decision can't be carried out any more; empty while it can."""
        known, policy = self.plans.by.get(plan_of(decision)), self.policies.get(decision.policy)
        if known is None:
            return "its plan went with an earlier run of the agent"
        if policy is not None and policy.prune != known.strategy:
            return "its policy was changed after its plan was made"
        return f"its plan is {known.plan.lasts / 60:.0f} min old" if known.plan.is_over(now) else ""

    def circumstances(self, decision: Decision, now: Instant) -> Circumstances:
        """What has to be known beside the disk, of a plan or of a pass of it."""
        engine = self.state.engine
        # Behind a socket that systemd listens on nobody tells when the engine started: it was up since it was found.
        started = engine.info.started_at if engine.info is not None else None
        if started is None and engine.connected:
            started = engine.since
        cause = Cause.PRESSURE
        if is_by_hand(decision):
            cause = Cause.HAND
        elif keeps_to_the_wall_clock(decision):
            cause = Cause.SCHEDULE
        return Circumstances(
            cause=cause,
            own_containers=self.guarded.protection.own_containers,
            engine_up=None if started is None else self.state.clock.age(started, now),
            aged=self.state.clock.age,
        )
