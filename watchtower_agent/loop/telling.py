"""How breakers and approvals have turned: told, and what that sets off. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from watchtower_agent.loop.approving import Approving, as_notice
from watchtower_agent.loop.breaking import Breaking
from watchtower_agent.loop.publication import Publication
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.values import dataclass
from watchtower_agent.policies.making import last_resorts
from watchtower_agent.policies.policy import PolicySet
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord


class Trigger(Protocol):
    """Sees which policies a notice sets off."""

    def __call__(self, event: Notice, record: ContainerRecord | None, correlation: str, now: Instant) -> None:
        """As `Decisions.trigger`."""


@dataclass(slots=True)
class Telling:
    """Tells each change once.

    Attributes:
        state: The host.
        publication: Where facts are told.
        breaking: What was done too often.
        approving: What people are asked about.
        trigger: Sees which policies that sets off.
        want: Takes what is wanted for it.
    """

    state: HostState
    publication: Publication
    breaking: Breaking
    approving: Approving
    trigger: Trigger
    want: Callable[[Iterable[Decision], Instant], None]

    def of_approvals(self, now: Instant) -> None:
        """Tell how approvals have turned since this was asked last."""
        for approval in self.approving.turned():
            correlation = approval.decision.correlation_id
            self.publication.tell(approval, correlation, now)
            self.trigger(as_notice(approval), None, correlation, now)

    def of_breakers(self, policies: PolicySet, now: Instant) -> None:
        """Tell how breakers have turned since this was asked last.

        Args:
            policies: Those in force: one of them may want a container stopped over it.
            now: The present.
        """
        for turn, notice in self.breaking.turned(now):
            correlation = notice.correlation_id or self.publication.next_correlation()
            self.publication.tell(notice, correlation, now)
            self.trigger(notice, None, correlation, now)
            if turn.decision is None or turn.decision.follows:
                continue  # nobody asked for its end
            record = self.state.containers.get(turn.decision.target.id)
            if turn.is_of_a_target_that_opened and record is not None and _is_up(record):
                self.want(last_resorts(policies, turn.decision, record, now), now)


def _is_up(record: ContainerRecord) -> bool:
    """Whether a stop would change anything: it runs, or the engine is about to start it again."""
    return record.container.running or record.container.status is ContainerStatus.RESTARTING
