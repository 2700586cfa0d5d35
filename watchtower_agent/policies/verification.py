"""Whether bringing a container back has helped: healthy, or running for long enough, by a deadline. Pure.

What is not known is no verdict: it is waited for, and given up in the end. Nor is what somebody else has done since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import Final

from watchtower_agent.model.container import ContainerDetail, ContainerStatus, Health
from watchtower_agent.model.decision import Decision, Number
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.outcome import Outcome
from watchtower_agent.model.values import dataclass
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord
from watchtower_agent.state.wellness import RUNNING_FOR, is_well

_SPARE: Final = 30.0
"""Seconds that a container gets beyond what its health check needs."""
_KNOWN_BY: Final = 300.0
"""Seconds after the deadline for which what is not known then is waited for."""
_TOLD_BY: Final = 5.0
"""Seconds after the call by which the engine has told of the start that it made, if there was one."""
SAME_START: Final = 1.0
"""Seconds by which the engine's event and its inspection may differ about one start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A restart or start that the engine has carried out, and of which it is to be seen whether it helps.

    Attributes:
        outcome: How the call ended.
        since: When that was known.
        operator_at: When a person had last acted on the container by then, as far as that counted; None: nobody had.
    """

    outcome: Outcome
    since: Instant
    operator_at: float | None = None

    @property
    def decision(self) -> Decision:
        """What was wanted."""
        return self.outcome.decision


class Effect(Enum):
    """What came of it."""

    HELPED = "helped"
    INEFFECTIVE = "ineffective"
    UNTOLD = "untold"
    """It can't be told any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one.

    Attributes:
        verification: Of which.
        effect: Whether it helped.
        why: In few words for people.
        numbers: What that rests on.
    """

    verification: Verification
    effect: Effect
    why: str
    numbers: Mapping[str, Number] = field(default_factory=dict)


def judged(asked: Verification, state: HostState, spell: Instant | None, now: Instant) -> Verdict | None:
    """What came of it; None while that is to be seen.

    Args:
        asked: About which.
        state: The host.
        spell: Since when its container has been well, as far as was seen; None when it is not.
        now: The present.
    """
    record = state.containers.get(asked.decision.target.id)
    waited = now.monotonic - asked.since.monotonic
    allowed = allowed_for(record)
    if not (state.engine.connected and state.engine.listed):
        return _untold(asked, "the engine is away") if waited > allowed + _KNOWN_BY else None
    if record is None:
        return _untold(asked, "it was removed")
    begun = record.own.begun_again if record.own is not None else None
    if begun is None and waited < _TOLD_BY:
        return None
    if why := _somebody_else(asked, state, record, begun):
        return _untold(asked, why)
    told = _told_already(asked, record, begun, spell, state.uptime(record, now) or 0.0, now)
    if told is not None or waited < allowed:
        return told
    return _at_the_deadline(asked, record, waited, allowed)


def judged_at_the_next(asked: Verification, state: HostState, spell: Instant | None, now: Instant) -> Verdict:
    """What came of it when the agent acts on the container again: nothing can be told of it later.

    Args:
        asked: As for `judged`.
        state: Likewise.
        spell: Likewise.
        now: Likewise.
    """
    verdict = judged(asked, state, spell, now)
    record = state.containers.get(asked.decision.target.id)
    if verdict is not None or record is None:
        return verdict or _untold(asked, "it was removed")
    if record.container.status is ContainerStatus.RUNNING and record.container.health is Health.UNHEALTHY:
        return _ineffective(asked, record, now.monotonic - asked.since.monotonic)
    return _untold(asked, "the agent acted on it again before that could be told")


def allowed_for(record: ContainerRecord | None) -> float:
    """Seconds within which a container has to be well."""
    detail = record.container.detail if record is not None else None
    return _SPARE + (detail.health_start_period + 2 * detail.health_interval if detail is not None else 0.0)


def _somebody_else(asked: Verification, state: HostState, record: ContainerRecord, begun: float | None) -> str:
    """Who has done what to the container since, in words; empty when nobody has."""
    name, own, operator = record.container.name, record.own, record.operator
    ours = own is not None and own.correlation_id == asked.decision.correlation_id
    if (ours and own is not None and own.crossed) or (operator is not None and operator.at != asked.operator_at):
        return f"someone else has acted on {name}"
    if not record.container.running and record.end_cause in {EndCause.OPERATOR, EndCause.AGENT, EndCause.UNKNOWN}:
        unseen = record.end_cause is EndCause.UNKNOWN
        return f"{name} ended unseen" if unseen else f"{name} was stopped"
    if state.engine.restarting[1] > asked.outcome.finished_at:
        return "the engine was restarted"
    if _begins_again_by_itself(record.container.detail) or begun is None:
        return ""
    later = record.started is not None and record.started > begun + SAME_START
    return f"{name} was started by someone else" if later else ""


def _begins_again_by_itself(detail: ContainerDetail | None) -> bool:
    return detail is None or detail.restart_policy != "no"


def _told_already(
    asked: Verification,
    record: ContainerRecord,
    begun: float | None,
    spell: Instant | None,
    uptime: float,
    now: Instant,
) -> Verdict | None:
    """What needs no waiting: it is well, or has ended and stays so."""
    waited = now.monotonic - asked.since.monotonic
    checked = record.container.health is not Health.NONE
    if is_well(record):
        seen = now.monotonic - spell.monotonic if spell is not None else 0.0
        # By the engine's stamps it can be told at the first look, whatever passes between two; but clocks are stepped.
        enough = checked or max(seen, min(waited, uptime)) >= RUNNING_FOR
        return _helped(asked, waited) if enough else None
    ran = _ran_for(record, begun)
    if ran is None:
        return None
    # No longer than since the call began, whatever was done to the clock of the stamps.
    ran = min(ran, waited + max(0.0, asked.outcome.finished_at - asked.outcome.started_at))
    if not checked and ran >= RUNNING_FOR:
        return _helped(asked, waited)
    if ran >= allowed_for(record):
        return _untold(asked, f"{record.container.name} ended after {ran:.0f} s, unseen whether it was well")
    code = record.exit_code
    return Verdict(
        verification=asked,
        effect=Effect.INEFFECTIVE,
        why=f"{'ended' if code is None else f'exited with code {code}'} after {ran:.1f} s",
        numbers={"exit_code": code, "ran_for": round(ran, 3)},
    )


def _ran_for(record: ContainerRecord, begun: float | None) -> float | None:
    """Seconds of the life that the action began, once it is over and stays so; None before."""
    stays = record.settled_after_end or not _begins_again_by_itself(record.container.detail)
    if begun is None or record.ended is None or record.ended < begun or not stays:
        return None
    by_itself = record.container.status is ContainerStatus.EXITED and record.end_cause is EndCause.ITSELF
    return record.ended - begun if by_itself else None


def _at_the_deadline(asked: Verification, record: ContainerRecord, waited: float, allowed: float) -> Verdict | None:
    container = record.container
    unknown = container.status in {None, ContainerStatus.PAUSED} or container.detail is None
    if unknown:
        return _untold(asked, f"how {container.name} is is not known") if waited > allowed + _KNOWN_BY else None
    return _ineffective(asked, record, waited)


def _ineffective(asked: Verification, record: ContainerRecord, waited: float) -> Verdict:
    container = record.container
    after = f"{waited:.0f} s after the {asked.decision.verb}"
    numbers: dict[str, Number] = {"after": round(waited, 3)}
    if container.status is not ContainerStatus.RUNNING:
        status = container.status.value if container.status is not None else None
        why, numbers = f"{status} {after}", numbers | {"status": status, "exit_code": record.exit_code}
    elif container.health is Health.NONE:
        why = f"not running for {RUNNING_FOR:.0f} s without a break {after}"
    else:
        still = "still " if container.health is Health.STARTING else ""
        why, numbers = f"{still}{container.health.value} {after}", numbers | {"health": container.health.value}
    return Verdict(verification=asked, effect=Effect.INEFFECTIVE, why=why, numbers=numbers)


def _helped(asked: Verification, waited: float) -> Verdict:
    numbers = {"well_after": round(waited, 3)}
    return Verdict(verification=asked, effect=Effect.HELPED, why=f"well {waited:.0f} s after it", numbers=numbers)


def _untold(asked: Verification, why: str) -> Verdict:
    return Verdict(verification=asked, effect=Effect.UNTOLD, why=why)
