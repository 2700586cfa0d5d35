"""What the running agent answers over its control socket, gathered from its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping, Sequence

from watchtower_agent.errors import PermanentError, TemporaryError
from watchtower_agent.loop import approval_answers, reverting
from watchtower_agent.loop.explaining import Asked, explained, must_be_set_off, named
from watchtower_agent.loop.lag import probe
from watchtower_agent.loop.overview import Page, Sort, overview
from watchtower_agent.loop.past import past
from watchtower_agent.loop.pausing import meant
from watchtower_agent.loop.prune_answers import (
    alive,
    became as pruning_became,
    must_answer,
    over,
    plans_json,
    that_prune,
)
from watchtower_agent.loop.readings import container_values, cut, host_values, known_container, ranges
from watchtower_agent.loop.setting_off import became
from watchtower_agent.model.approval import ApprovalAnswered
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.observation import PoliciesRejected
from watchtower_agent.model.pause import PauseAsked, Paused, ResumeAsked
from watchtower_agent.model.removal import PlanAsked, PruneAsked
from watchtower_agent.model.revert import RevertAsked
from watchtower_agent.model.trigger import TriggerAsked
from watchtower_agent.model.values import dataclass
from watchtower_agent.model.version import VERSION
from watchtower_agent.parts import Parts, broker_facts
from watchtower_agent.policies.making import digest
from watchtower_agent.policy_folder import PolicyFolder
from watchtower_agent.ports.store import LedgerRow
from watchtower_agent.serving.followers import Followers

_LONGEST_REASON = 200
"""Characters of why something is paused."""
_HISTORY_MAY_TAKE = 5.0
"""Seconds in which past actions are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Implements the port `Control` over the agent's parts. Reads them between two steps of the loop, never within."""

    parts: Parts
    folder: PolicyFolder
    followers: Followers

    async def status(self) -> Mapping[str, object]:
        """How everything is doing."""
        return await self.parts.status()

    async def history(self, *, limit: int, policy: str | None, target: str | None) -> Sequence[Mapping[str, object]]:
        """Past actions, newest first."""
        try:
            async with asyncio.timeout(_HISTORY_MAY_TAKE):
                rows = await self.parts.store.history(limit=limit, policy=policy, target=target)
        except TimeoutError:
            why = f"the disk of {self.parts.settings.state_dir} has not answered for {_HISTORY_MAY_TAKE:.0f} s"
            raise TemporaryError(f"The past actions can't be read: {why}. Look whether it hangs.") from None
        return [_row(row) for row in rows]

    async def top(self, *, sort: str, backwards: bool, offset: int, limit: int) -> Mapping[str, object]:
        """One page of containers with their policies, under the host and its engine."""
        if sort not in set(Sort):
            raise PermanentError(f"there is no order by {sort[:60]!a}; choose one of {', '.join(Sort)}")
        now = self.parts.clock.now()
        page = Page(sort=Sort(sort), backwards=backwards, offset=offset, limit=limit)
        found = await _in_turns(overview(self.parts.pipeline, page, now))
        mqtt = broker_facts(self.parts.publisher)
        return {
            "agent": {
                "version": VERSION,
                "host": self.parts.settings.host,
                "mode": self.parts.settings.mode,
                "uptime": now.passed_since(self.parts.started),
                "broker_connected": mqtt["connected"] if mqtt is not None else None,
                "store_error": self.parts.loop.store_error,
                "interval": self.parts.settings.sampling.interval,
                "failures": dict(self.parts.pipeline.failing),
            }
        } | dict(found)

    async def explain(self, *, policy: str, target: str | None, offset: int, limit: int) -> Mapping[str, object]:
        """Why the policy does, or does not, do something to its targets."""
        found, record = named(self.parts.pipeline, policy, target)
        asked = Asked(policy=found, target=record, offset=offset, limit=limit)
        return await _in_turns(explained(self.parts.pipeline, asked, self.parts.clock.now()))

    async def trigger(self, *, policy: str, target: str | None) -> Mapping[str, object]:
        """Set a policy off by hand."""
        now = self.parts.clock.now()
        found, record = named(self.parts.pipeline, policy, target)
        must_be_set_off(self.parts.pipeline, found, record)
        target_id = None if record is None else record.container.id
        correlation = digest("by hand", found.name, target_id or "", repr(now.wall), repr(now.monotonic))
        asked = TriggerAsked(policy=found.name, target_id=target_id, correlation_id=correlation)
        effects = await self.parts.loop.bring(asked)
        return became(asked, effects.facts, self.parts.pipeline.decisions, self.parts.clock.now())

    async def trigger_dry_run(
        self, *, policy: str, target: str | None, offset: int, limit: int
    ) -> Mapping[str, object]:
        """What would come of it, if somebody set the policy off by hand now."""
        found, record = named(self.parts.pipeline, policy, target)
        must_be_set_off(self.parts.pipeline, found, record)
        asked = Asked(policy=found, target=record, by_hand=True, offset=offset, limit=limit)
        return await _in_turns(explained(self.parts.pipeline, asked, self.parts.clock.now()))

    async def revert(self, *, container: str, policy: str | None) -> Mapping[str, object]:
        """Give a container the limits back that it had before the agent changed them."""
        now, decisions = self.parts.clock.now(), self.parts.pipeline.decisions
        record = known_container(decisions.state, container)
        by = reverting.changed_by(decisions, record, policy, now)
        target_id = record.container.id
        correlation = digest("revert", by, target_id, repr(now.wall), repr(now.monotonic))
        asked = RevertAsked(policy=by, target_id=target_id, correlation_id=correlation)
        ways = reverting.ways_of(asked, decisions, now)
        effects = await self.parts.loop.bring(asked)
        return reverting.became(asked, ways, effects.facts, decisions, self.parts.clock.now())

    async def prune_plan(
        self, *, policy: str | None, plan: str | None, offset: int, limit: int
    ) -> Mapping[str, object]:
        """What policies that prune would delete at this moment, and what they keep and why."""
        decisions = self.parts.pipeline.decisions
        found = that_prune(self.parts.pipeline, policy)
        if plan is not None:
            known = decisions.pruning.planning.plans.by.get(plan)
            if known is None or known.decision.policy != found[0].name:
                raise PermanentError(f"there is no plan {plan[:60]!a} of policy {found[0].name} (any more)")
            plans = [known]
        else:
            must_answer(self.parts.pipeline.state.engine)
            listed = await self.parts.disk.listing()
            now = self.parts.clock.now()
            correlation = digest("plan by hand", policy or "", repr(now.wall), repr(now.monotonic))
            names = tuple(each.name for each in found)
            await self.parts.loop.bring(PlanAsked(policies=names, correlation_id=correlation, listed=listed))
            plans = decisions.pruning.planning.plans.of(correlation)
        return plans_json(plans, decisions, self.parts.clock.now(), offset=offset, limit=limit)

    async def prune(self, *, policy: str, plan: str) -> Mapping[str, object]:
        """Have a plan carried out that was shown."""
        decisions = self.parts.pipeline.decisions
        (found,) = that_prune(self.parts.pipeline, policy)
        planned = alive(decisions, found.name, plan, self.parts.clock.now())
        if isinstance(planned, str):
            return over(policy, plan, planned, self.parts.clock.now())
        effects = await self.parts.loop.bring(PruneAsked(policy=policy, plan=plan))
        return pruning_became(planned, effects.facts, decisions, self.parts.clock.now())

    async def metrics(self, *, container: str | None) -> Mapping[str, object]:
        """The present value of every name."""
        state, now = self.parts.pipeline.state, self.parts.clock.now()
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
        return past(self.parts.pipeline.state, name, container, last, self.parts.clock.now())

    async def pause(self, *, policy: str | None, target: str | None, length: int, reason: str) -> Mapping[str, object]:
        """Keep still for a while."""
        what = self._meant(policy, target)
        await self.parts.loop.bring(PauseAsked(what=what, length=float(length), reason=_worded(reason)))
        return self._pauses(what)

    async def resume(self, *, policy: str | None, target: str | None) -> Mapping[str, object]:
        """End that pause."""
        what = self._meant(policy, target)
        was_paused = what in self.parts.pipeline.pausing.pauses.by
        await self.parts.loop.bring(ResumeAsked(what=what))
        return {**self._pauses(what), "was_paused": was_paused}

    def _meant(self, policy: str | None, target: str | None) -> Paused:
        return meant(
            self.parts.pipeline.pausing.pauses,
            self.parts.pipeline.policies,
            self.parts.pipeline.state,
            policy,
            target,
        )

    def _pauses(self, what: Paused) -> dict[str, object]:
        paused = list(self.parts.pipeline.pausing.told(self.parts.clock.now()))
        return {"scope": what.scope.value, "name": what.name, "paused": paused}

    async def approve(self, *, approval: str | None, reason: str) -> Mapping[str, object]:
        """Have done what waits for approval; without an id only tell what does."""
        if approval is None:
            return {"answered": None, "approvals": self._approvals(self.parts.clock.now())}
        return await self._answer(approval, reason, approves=True)

    async def reject(self, *, approval: str, reason: str) -> Mapping[str, object]:
        """Have it not done."""
        return await self._answer(approval, reason, approves=False)

    async def _answer(self, approval: str, reason: str, *, approves: bool) -> Mapping[str, object]:
        decisions = self.parts.pipeline.decisions
        approvals = decisions.approving.approvals
        meant = approval_answers.meant(approvals, approval, self.parts.clock.now(), approves=approves)
        await self.parts.loop.bring(ApprovalAnswered(approval=meant.id, approves=approves, because=_worded(reason)))
        now = self.parts.clock.now()
        came = approval_answers.answered(approvals, decisions.agenda, meant.id, now)
        return {"answered": came, "approvals": self._approvals(now)}

    def _approvals(self, now: Instant) -> list[dict[str, object]]:
        decisions = self.parts.pipeline.decisions
        return list(approval_answers.told(decisions.approving.approvals, decisions.agenda, now))

    async def lag(self, *, seconds: float) -> Mapping[str, object]:
        """How late the loop is: so many seconds by its turns, then as many by timers."""
        return await probe(self.parts.turns, seconds)

    def follow(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from now on."""
        return self.followers.follow()

    async def reload(self) -> Mapping[str, object]:
        """Read the policy folder now."""
        found = await self.folder.reload()
        if isinstance(found, PoliciesRejected):
            return {"policies": len(self.parts.pipeline.policies.policies), "problems": list(found.problems)}
        return {"policies": len(found.policies), "problems": [], "warnings": list(map(str, found.warnings))}


async def _in_turns(work: Generator[None, None, Mapping[str, object]]) -> Mapping[str, object]:
    """The result of something long, with turns of the loop in between for whoever has something to do."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Mapping[str, object] = end.value
            return result
        await asyncio.sleep(0)


def _worded(reason: str) -> str:
    """A person's words, as short as a line and such that they can be encoded."""
    return cut(reason.encode("utf-8", "replace").decode("utf-8"), _LONGEST_REASON)


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
        "approval": decision.approval or None,
        "correlation_id": decision.correlation_id,
        "started_at": outcome.started_at if outcome else row.intent.at,
        "finished_at": outcome.finished_at if outcome else None,
        "verified_at": outcome.verified_at if outcome else None,
        "numbers": {**decision.numbers, **(outcome.numbers if outcome else {})},
    }
