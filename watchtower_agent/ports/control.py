"""What a person asks of the agent, over its control socket or the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol


class Control(Protocol):
    """What a running agent answers over its control socket. All answers are JSON-able."""

    async def status(self) -> Mapping[str, object]:
        """How the agent, engine, broker, outbox, sampling and policies are doing."""
        ...

    async def history(self, *, limit: int, policy: str | None, target: str | None) -> Sequence[Mapping[str, object]]:
        """Past actions, newest first."""
        ...

    async def top(self, *, sort: str, backwards: bool, offset: int, limit: int) -> Mapping[str, object]:
        """Host, engine, policies, and one page of containers: how each is, and how close its policies are to firing.

        Raises:
            PermanentError: There is no such order.

        Args:
            sort: Name of an order.
            backwards: The other way round.
            offset: How many of the first are left out.
            limit: How many at most.
        """
        ...

    async def explain(self, *, policy: str, target: str | None, offset: int, limit: int) -> Mapping[str, object]:
        """A policy and a page of its targets, the closest to firing first: condition, every guard, and what comes next.

        Raises:
            PermanentError: There is no such policy or container.

        Args:
            policy: Its name.
            target: A container's name, or the begin of its id, selected or not; None for all that the policy is about.
            offset: How many of the first are left out.
            limit: How many at most.
        """
        ...

    async def trigger(self, *, policy: str, target: str | None) -> Mapping[str, object]:
        """Set a policy off now, past its trigger and through all guards. Returns once what follows is durable.

        Raises:
            PermanentError: There is no such policy or container, the policy is off, or is not about the container.

        Args:
            policy: Its name.
            target: A container's name, or the begin of its id; None for all that the policy is about.
        """
        ...

    async def trigger_dry_run(
        self, *, policy: str, target: str | None, offset: int, limit: int
    ) -> Mapping[str, object]:
        """What `trigger` would do at this moment, told like `explain`.

        Raises:
            PermanentError: As of `trigger`.

        Args:
            policy: As for `trigger`.
            target: As for `trigger`.
            offset: How many of the targets that are closest to firing are left out.
            limit: How many at most.
        """
        ...

    async def revert(self, *, container: str, policy: str | None) -> Mapping[str, object]:
        """Give a container the limits back that it had before the agent changed them, through all guards.

        Returns once what follows is durable.

        Raises:
            PermanentError: There is no such container, no limit is as a policy made it, several policies changed some
                and none is named, or its memory does not fit into what it had.

        Args:
            container: Its name, or the begin of its id.
            policy: Name of the policy that changed them, in force or not; None: the only one.
        """
        ...

    async def prune_plan(
        self, *, policy: str | None, plan: str | None, offset: int, limit: int
    ) -> Mapping[str, object]:
        """What policies that prune would delete at this moment, and what they keep and why. Nothing is deleted.

        Without a plan the engine is asked what is on its disk: that may take minutes.

        Raises:
            PermanentError: There is no such policy, it prunes nothing, or there is no such plan any more.
            TemporaryError: The engine does not tell.

        Args:
            policy: Its name; None for every one that prunes.
            plan: Id of a plan that was made before, of which a further page is wanted.
            offset: How many of the first objects are left out, of those to be deleted and of those that are kept.
            limit: How many at most of each.
        """
        ...

    async def prune(self, *, policy: str, plan: str) -> Mapping[str, object]:
        """Have a plan carried out that was shown: that one and no other, through all guards.

        Returns once what follows is durable, and begun or held, or that the plan is over.

        Raises:
            PermanentError: There is no such policy.

        Args:
            policy: Its name.
            plan: The id that `prune_plan` told.
        """
        ...

    async def metrics(self, *, container: str | None) -> Mapping[str, object]:
        """The present value of every catalogue name: of the host, its engine, and a container or the range of all.

        Raises:
            PermanentError: There is no such container.

        Args:
            container: Name, or the begin of an id.
        """
        ...

    async def past(self, *, name: str, container: str | None, last: int) -> Mapping[str, object]:
        """The averages of one catalogue name, as `points`: `[seconds since the epoch, value or None]`.

        Raises:
            PermanentError: There is no such name or container, or its past is not kept.

        Args:
            name: Of the catalogue.
            container: Name, or the begin of an id; None for what is the host's or its engine's.
            last: How many seconds back.
        """
        ...

    async def pause(self, *, policy: str | None, target: str | None, length: int, reason: str) -> Mapping[str, object]:
        """Keep still for a while: nothing new is done or told. Returns once that is durable.

        Raises:
            PermanentError: There is no such policy or container, or both are given.

        Args:
            policy: The name of one; None with a target, or for the whole agent.
            target: A container's name, or the begin of its id: no policy acts on it.
            length: Seconds.
            reason: Why, for others to read.
        """
        ...

    async def resume(self, *, policy: str | None, target: str | None) -> Mapping[str, object]:
        """End that pause, and no other one. Returns once that is durable.

        Raises:
            PermanentError: There is no such policy or container, or both are given.

        Args:
            policy: As for `pause`.
            target: As for `pause`.
        """
        ...

    async def approve(self, *, approval: str | None, reason: str) -> Mapping[str, object]:
        """Have done what waits for approval, once every guard lets it. Returns once that is durable, and begun or held.

        Raises:
            PermanentError: Nothing of that id waits for an answer, or it is not wanted any more.

        Args:
            approval: Its id, or that of the decision; None only tells what waits.
            reason: Why, for others to read.
        """
        ...

    async def reject(self, *, approval: str, reason: str) -> Mapping[str, object]:
        """Have it not done, and not asked for again as long as its cause lasts. Returns once that is durable.

        Raises:
            PermanentError: Nothing of that id waits.

        Args:
            approval: As for `approve`.
            reason: As for `approve`.
        """
        ...

    async def lag(self, *, seconds: float) -> Mapping[str, object]:
        """How late the agent's event loop is: what its turns tell of so many seconds, then what timers find in as many.

        Args:
            seconds: How long each is looked at.
        """
        ...

    def follow(self) -> AsyncIterator[Mapping[str, object]]:
        """Every event from now on, as it is published: `{"topic": …, "event": {the CloudEvent}}`.

        A follower that reads too slowly gets `{"missed": n}` in place of what it missed.
        """
        ...

    async def reload(self) -> Mapping[str, object]:
        """Read the policy folder now."""
        ...
