"""Who has changed a service's number of replicas: the agent, its like on another node, or somebody else. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from watchtower_agent.loop.scaled_service import OwnChange, Scaled
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.service import CLONE_OF, CLONED_BY, SwarmService
from watchtower_agent.policies.survey import Survey, is_meant_to_run
from watchtower_agent.state.attribution import HANDS_OFF, EndCause, signal_name
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

SETTLES_IN: Final = 30.0
"""Seconds without another change until what somebody did to a service's containers is taken for finished: Compose stops
and makes them one after the other."""
_SEEN_WITHIN: Final = 15.0
"""Seconds by which another node's agent may act sooner or later than this one would."""


def notice(known: Scaled, seen: Survey, state: HostState, now: Instant) -> bool:
    """See who has done what to it since the last look; what somebody else made of it is respected for a while.

    Args:
        known: The service; changed in place.
        seen: As it is seen now.
        state: The host.
        now: The present.

    Returns:
        Whether there is something new that the next run has to know.
    """
    if seen.swarm is not None:
        _follow_identity(known, seen.swarm)
    before, wanted = known.memory.wanted, seen.situation.wanted
    if seen.swarm is None:
        by_others = _by_others(known, seen, state, now)
    else:
        by_others = _swarm_by_others(known, seen.swarm, now)
        if by_others:
            known.hands_off_until = now.monotonic + HANDS_OFF
        if not known.acts:
            _follow_leader(known, seen.swarm, state, now)
        if wanted > 0 or before != 0:
            known.emptied = wanted == 0 and before is not None and not by_others
    if by_others and before is not None and wanted < before:
        known.memory = replace(known.memory, wanted=wanted)  # nobody's shrink that could be regretted
    return by_others or (before is not None and before != wanted)


# --- a Swarm --------------------------------------------------------------------------------------------------------


def _follow_identity(known: Scaled, service: SwarmService) -> None:
    """One that was removed, and made again under its name, is another: what was needed and said of it is over."""
    if known.service_id not in {"", service.id}:
        known.begin_anew()
    known.service_id = service.id


def _swarm_by_others(known: Scaled, service: SwarmService, now: Instant) -> bool:
    """Whether somebody else set the number that it has.

    The Swarm took the agent's own change at one version and no other: all later ones have come after it. So what is
    not what the agent wrote there was written since, however soon.
    """
    before, wanted, own = known.memory.wanted, service.replicas, known.own
    if before is None:
        return False
    later = own is not None and now.monotonic < own.until and service.version > own.version
    if own is not None and later and (own.done or wanted == own.to):
        if own.ended:
            known.own = None  # what is changed from here on is somebody else's doing
        return wanted != own.to
    return before != wanted and (known.acts or not _is_anothers(known, before, wanted, now))


def _follow_leader(known: Scaled, service: SwarmService, state: HostState, now: Instant) -> None:
    """Take over what the agent of the Swarm's leader makes of the number, once it has seen what is seen here.

    An agent that was away, or has just begun, can't tell that one's changes from a person's.
    """
    found = state.services.judgement(service.id, now.monotonic)
    if found is not None and found[0].version >= service.version:
        judgement, said = found
        known.hands_off_until = said + judgement.left_alone_for if judgement.left_alone_for > 0.0 else -math.inf


def _is_anothers(known: Scaled, before: int, wanted: int, now: Instant) -> bool:
    """Whether the agent of the Swarm's leader explains it.

    It sees the same metrics as this one, not at the same moment: so they may differ by one.
    """
    lately = [to for at, to in known.recommended if now.monotonic - at <= _SEEN_WITHIN]
    more = any(to > before and before < wanted <= to + 1 for to in lately)
    return more or any(to < before and to - 1 <= wanted < before for to in lately)


# --- containers -----------------------------------------------------------------------------------------------------


def _by_others(known: Scaled, seen: Survey, state: HostState, now: Instant) -> bool:
    """Whether somebody else has made, started, stopped or removed one of its containers: what follows is awaited."""
    members = {each.container.id: each for each in (*seen.originals, *seen.clones) if is_meant_to_run(each)}
    originals = sum(map(is_meant_to_run, seen.originals))
    if known.members is None:
        lost, made = _while_away(known, seen.situation.wanted, originals, now)
    else:
        gone = [each for identity, each in known.members.items() if identity not in members]
        taken = [each for each in gone if _was_taken(each, known.own, state)]
        known.taken += taken
        lost = bool(taken) or _is_missed(known.own, members, state)
        made = any(_was_begun(each) for identity, each in members.items() if identity not in known.members)
    known.members = members
    if lost or made:
        known.settles_until = now.monotonic + SETTLES_IN
        known.lost = known.lost or lost
    if known.own is not None and known.own.ended:
        known.own = None
    _settle(known, seen, originals, state, now)
    return lost or made


def _while_away(known: Scaled, wanted: int, originals: int, now: Instant) -> tuple[bool, bool]:
    """Whether some are gone, and whether some are new, since an earlier run looked: there is its number alone."""
    before, own = known.memory.wanted, known.own
    if before is None:
        return False, False
    explained = own is not None and now.monotonic < own.until and own.is_between(wanted)
    made = known.originals is not None and originals > known.originals
    return wanted < before and not explained, made or (wanted > before and not explained)


def _was_taken(record: ContainerRecord, own: OwnChange | None, state: HostState) -> bool:
    """Whether somebody else stopped or removed one that was there."""
    labels = record.container.labels
    if CLONE_OF not in labels:
        # The agent removes none of these: one that is gone altogether was removed, however it had ended.
        return record.container.id not in state.containers or record.end_cause is not EndCause.ITSELF
    if own is not None and labels.get(CLONED_BY) == own.decision and record.container.id not in own.made:
        return False  # one that did not get well is removed again
    return record.end_cause not in {EndCause.AGENT, EndCause.ITSELF}


def _is_missed(own: OwnChange | None, members: dict[str, ContainerRecord], state: HostState) -> bool:
    """Whether a clone that the agent has just made, by its own word, is gone before it was seen to stay."""
    for identity in own.made if own is not None else ():
        record = state.containers.get(identity)
        if identity not in members and (record is None or record.end_cause is not EndCause.ITSELF):
            return True
    return False


def _was_begun(record: ContainerRecord) -> bool:
    """Whether somebody else made or started one that was not there: clones, and who is healed, the agent begins."""
    if record.own is not None and record.own.begun_again is not None and record.own.begun_again == record.started:
        return False
    return CLONE_OF not in record.container.labels or record.restarts > 0


def _settle(known: Scaled, seen: Survey, originals: int, state: HostState, now: Instant) -> None:
    """What somebody did to containers is over: have they said how many there should be?

    They have where they made more or fewer, left some of the clones, or ended some as Compose never does. Who removed
    all clones and nothing else has not: Compose does so whenever it brings a project up to date.
    """
    if seen.leaving:
        known.settles_until = now.monotonic + SETTLES_IN
    if now.monotonic < known.settles_until:
        if known.originals is None:
            known.originals = originals
        return
    if known.is_settling:
        if originals != known.originals or (known.lost and seen.clones) or _is_meant(known.taken, state):
            known.hands_off_until = now.monotonic + HANDS_OFF - SETTLES_IN
        known.is_settled()
    known.originals = originals


def _is_meant(taken: list[ContainerRecord], state: HostState) -> bool:
    """Whether clones, and nothing else, were stopped and left there, or removed by force: `up` stops, then removes."""
    if not all(CLONE_OF in each.container.labels for each in taken):
        return False
    return any(each.container.id in state.containers or _was_forced(each) for each in taken)


def _was_forced(record: ContainerRecord) -> bool:
    act = record.operator
    return act is not None and act.action == "kill" and signal_name(record.kill_signal) == "KILL"
