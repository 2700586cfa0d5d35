"""The agenda: one wish per policy and target, what becomes of it, and the form in which the store keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, strategies as st

from tests.support.core import INFO, NOW, container, container_id, event, policy_set
from watchtower_agent.model.container import ContainerStatus
from watchtower_agent.model.decision import Decision, Guard, Held, Target, TargetKind, Verb
from watchtower_agent.model.engine_event import EngineEvent, Origin
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.pause import Pause
from watchtower_agent.policies.agenda import Agenda
from watchtower_agent.policies.guards.circumstances import Circumstances
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.pauses import AGENT
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.guards.question import Evidence
from watchtower_agent.policies.review import Verdicts, review
from watchtower_agent.policies.waiting import Waiting, key_of, stored_forms, waiting_from_json, waiting_json
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

P = '- {name: p, select: {name: "*"}, on: {container: die}, then: {restart: {}, notify: {}}}'
Q = P.replace("name: p", "name: q", 1)
WEB = Target(kind=TargetKind.CONTAINER, id=container_id("web"), name="web")


def decision(
    number: int = 1, *, policy: str = "p", verb: Verb = Verb.RESTART, from_event: bool = True, at: float = NOW
) -> Decision:
    return Decision(
        id=f"d{number}",
        policy=policy,
        target=WEB,
        verb=verb,
        reason=f"reason {number}",
        numbers={"number": number},
        correlation_id=f"c{number}",
        cause_id="cause" if from_event else "",
        from_event=from_event,
        decided_at=at,
        expires_at=at + (900 if from_event else 2),
    )


@dataclass
class Desk:
    policies: str = f"{P}\n{Q}"
    agenda: Agenda = field(default_factory=Agenda)
    at: float = NOW
    busy: bool = False
    fires: bool = True
    acts: bool = False

    def __post_init__(self) -> None:
        self.state = HostState("h1")
        self.state.engine.info, self.state.engine.connected, self.state.engine.listed = INFO, True, True
        self.record = ContainerRecord(
            container=container(status=ContainerStatus.EXITED), started=NOW - 60, settled_after_end=True
        )
        self.state.containers[WEB.id] = self.record
        self.cooldowns = Cooldowns()
        self.circumstances = Circumstances(protection=Protection())

    def review(self) -> Verdicts:
        return review(
            self.agenda,
            policy_set(self.policies),
            Evidence(
                state=self.state,
                cooldowns=self.cooldowns,
                circumstances=self.circumstances,
                protection=Protection(),
                under_way={WEB.id} if self.busy else frozenset(),
            ),
            Instant(wall=self.at, monotonic=self.at),
            acts=lambda _: self.acts,
            fires=lambda *_: self.fires,
        )

    def cool(self, seconds: float = 0.0) -> None:
        self.cooldowns.acted(decision(), Instant(wall=0, monotonic=self.at - seconds))


def test_what_no_guard_stops_passes_and_leaves() -> None:
    desk = Desk()
    assert desk.agenda.add(decision(), event("die"))
    verdicts = desk.review()

    assert [waiting.decision for waiting in verdicts.passed] == [decision()]
    assert verdicts.passed[0].event == event("die")
    assert desk.agenda.waiting == {}


def test_at_most_one_wish_to_act_and_one_to_tell_per_policy_and_target() -> None:
    desk = Desk()
    assert desk.agenda.add(decision(1), None)
    assert not desk.agenda.add(decision(2), None)
    assert desk.agenda.add(decision(3, verb=Verb.NOTIFY), None)
    assert desk.agenda.add(decision(4, policy="q"), None)

    assert [waiting.decision.id for waiting in desk.agenda.waiting.values()] == ["d1", "d3", "d4"]


def test_a_wish_from_another_event_waits_as_long_as_the_newest_and_keeps_its_id() -> None:
    desk = Desk()
    desk.agenda.add(decision(1), event("die", at=NOW))
    assert not desk.agenda.add(decision(2, at=NOW + 5), event("oom", at=NOW + 5))

    (waiting,) = desk.agenda.waiting.values()
    assert waiting.decision == replace(decision(1), expires_at=NOW + 905)
    assert waiting.event == event("oom", at=NOW + 5)
    assert waiting.since == NOW + 5


def test_a_wish_from_a_condition_is_refreshed_and_keeps_its_id() -> None:
    desk = Desk()
    desk.agenda.add(decision(1, from_event=False), None)
    assert not desk.agenda.add(decision(2, from_event=False, at=NOW + 1), None)

    (waiting,) = desk.agenda.waiting.values()
    assert (waiting.decision.id, waiting.decision.correlation_id) == ("d1", "c1")
    assert (waiting.decision.reason, waiting.decision.numbers) == ("reason 2", {"number": 2})
    assert (waiting.decision.expires_at, waiting.since) == (NOW + 3, NOW)


def test_of_two_policies_one_acts_at_a_time() -> None:
    desk = Desk()
    desk.agenda.add(decision(1), None)
    desk.agenda.add(decision(2, policy="q"), None)

    assert [waiting.decision.id for waiting in desk.review().passed] == ["d1"]
    desk.busy = True
    assert desk.review() == Verdicts()
    desk.busy = False
    assert [waiting.decision.id for waiting in desk.review().passed] == ["d2"]


def test_telling_waits_for_nobody() -> None:
    desk = Desk(busy=True)
    desk.agenda.add(decision(verb=Verb.NOTIFY), None)

    assert len(desk.review().passed) == 1


def test_held_is_told_when_the_guard_changes_only() -> None:
    desk = Desk()
    desk.cool()
    desk.agenda.add(decision(), event("die"))
    assert [held.guard for held in desk.review().held] == [Guard.COOLDOWN]
    desk.at += 1
    assert desk.review() == Verdicts()
    desk.state.engine.connected = False
    assert [held.guard for held in desk.review().held] == [Guard.ENGINE_DOWN]
    desk.state.engine.connected = True
    assert [held.guard for held in desk.review().held] == [Guard.COOLDOWN]
    desk.at += 40

    assert len(desk.review().passed) == 1


def test_what_can_never_be_released_does_not_wait() -> None:
    desk = Desk(P.replace("on:", "mode: shadow, on:"))
    desk.agenda.add(decision(), None)
    verdicts = desk.review()

    assert [held.final for held in verdicts.held] == [True]
    assert verdicts.dropped == ()
    assert desk.agenda.waiting == {}


def test_a_condition_in_shadow_is_told_once_and_goes_without_a_word() -> None:
    desk = Desk(P.replace("on:", "mode: shadow, on:"))
    for at in range(3):
        desk.agenda.add(decision(at, from_event=False, at=NOW + at), None)
        desk.at = NOW + at
        assert len(desk.review().held) == (at == 0)
    desk.fires = False

    assert desk.review().dropped == ()
    assert desk.agenda.waiting == {}


def started(desk: Desk) -> None:
    desk.record.container = replace(desk.record.container, status=ContainerStatus.RUNNING)
    desk.record.started = NOW + 1


def removed(desk: Desk) -> None:
    desk.state.containers.clear()


def late(desk: Desk) -> None:
    desk.at = NOW + 900.1


def in_time(desk: Desk) -> None:
    desk.at = NOW + 900


def no_policy(desk: Desk) -> None:
    desk.policies = Q


def off(desk: Desk) -> None:
    desk.policies = P.replace("on:", "mode: off, on:")


def other_verb(desk: Desk) -> None:
    desk.policies = P.replace("restart", "stop")


def other_selection(desk: Desk) -> None:
    desk.policies = P.replace('"*"', "db")


def quiet(desk: Desk) -> None:
    desk.policies = P.replace(", notify: {}", "")


def resolved(desk: Desk) -> None:
    desk.fires = False


def nothing(_: Desk) -> None:
    """Nothing happens."""


@pytest.mark.parametrize(
    ("wish", "cause", "happens", "reason"),
    [
        (decision(), event("die"), nothing, ""),
        (decision(), event("die"), in_time, ""),
        (decision(), event("die"), late, "it waited for 15 min"),
        (decision(), event("die"), started, "web has been started meanwhile"),
        (decision(), None, started, "web has been started meanwhile"),
        (decision(), event("oom", at=NOW + 2), started, ""),
        (decision(), event("oom", at=NOW + 0.5), started, "web has been started meanwhile"),
        (decision(), event("pause"), nothing, "web has been stopped meanwhile"),
        (decision(), event("die"), removed, "web was removed"),
        (decision(), event("die"), no_policy, "policy p is not in force any more"),
        (decision(), event("die"), off, "policy p is not in force any more"),
        (decision(), event("die"), other_verb, "policy p does not restart any more"),
        (decision(), event("die"), other_selection, "policy p does not select web any more"),
        (decision(from_event=False), None, nothing, ""),
        (decision(from_event=False), None, started, ""),
        (decision(from_event=False), None, resolved, "its condition does not hold any more"),
        (decision(verb=Verb.NOTIFY), event("die"), started, ""),
        (decision(verb=Verb.NOTIFY), event("die"), removed, ""),
        (decision(verb=Verb.NOTIFY), event("die"), in_time, ""),
        (decision(verb=Verb.NOTIFY), event("die"), late, "it waited for 15 min"),
        (decision(verb=Verb.NOTIFY), event("die"), quiet, "policy p does not notify any more"),
        (decision(verb=Verb.NOTIFY), event("die", origin=Origin.REPLAY), nothing, ""),
        (decision(verb=Verb.NOTIFY), event("die", origin=Origin.REPLAY), started, "web has changed since"),
    ],
)
def test_when_a_wish_is_obsolete(
    wish: Decision, cause: EngineEvent | None, happens: Callable[[Desk], None], reason: str
) -> None:
    desk = Desk()
    desk.agenda.add(wish, cause)
    happens(desk)
    verdicts = desk.review()

    assert [dropped.reason for dropped in verdicts.dropped] == ([reason] if reason else [])
    assert len(verdicts.passed) == (not reason)


@pytest.mark.parametrize(
    ("wish", "events_before", "left"),
    [
        (decision(2, policy="q", from_event=False), None, 0),
        (decision(2, policy="q", from_event=False), NOW, 0),
        (decision(2, policy="q"), None, 1),
        (decision(2, policy="q"), NOW, 0),
        (decision(2, policy="q", at=NOW + 0.1), NOW, 1),
        (decision(2, policy="q", verb=Verb.NOTIFY), NOW, 1),
        (replace(decision(2, policy="q"), target=replace(WEB, id="x")), NOW, 1),
        (replace(decision(2, policy="q"), target=replace(WEB, name="renamed")), NOW, 0),
    ],
)
def test_what_an_action_overtakes(wish: Decision, events_before: float | None, left: int) -> None:
    desk = Desk()
    desk.agenda.add(wish, None)
    dropped = desk.agenda.acted(decision(1), Instant(wall=NOW, monotonic=NOW), events_before=events_before)

    assert len(desk.agenda.waiting) == left
    assert [each.reason for each in dropped] == ["policy p did a restart of web meanwhile"] * (1 - left)


# --- what the store has to know --------------------------------------------------------------------------------------


def forms(verdicts: Verdicts) -> dict[str, bool]:
    """Keys to be written, and whether there is something to keep."""
    return {key.split("\0")[0]: value is not None for key, value in stored_forms(verdicts.changed)}


@pytest.mark.parametrize(("from_event", "kept"), [(True, {"p": True}), (False, {})])
def test_a_held_wish_from_an_event_is_stored(*, from_event: bool, kept: dict[str, bool]) -> None:
    desk = Desk()
    desk.cool()
    desk.agenda.add(decision(from_event=from_event), None)

    assert forms(desk.review()) == kept
    assert forms(desk.review()) == {}


def test_a_wish_that_waits_without_a_word_is_stored_too() -> None:
    desk = Desk(busy=True)
    desk.agenda.add(decision(), None)

    assert forms(desk.review()) == {"p": True}
    assert forms(desk.review()) == {}


def test_what_leaves_is_taken_out_of_the_store() -> None:
    desk = Desk()
    desk.cool()
    desk.agenda.add(decision(), None)
    desk.agenda.add(decision(2, policy="q"), None)
    desk.busy = True
    desk.review()
    desk.busy = False
    desk.agenda.acted(decision(3, policy="r"), Instant(wall=NOW, monotonic=NOW), events_before=NOW)

    assert forms(desk.review()) == {"p": False, "q": False}


def test_of_two_news_held_in_one_review_the_store_keeps_the_one_that_waits() -> None:
    desk = Desk()
    since = Instant(wall=NOW, monotonic=NOW)
    desk.circumstances.pauses.by[AGENT] = Pause(what=AGENT, since=since, length=1.0)
    desk.agenda.add(decision(1, verb=Verb.NOTIFY), None)
    desk.agenda.add(decision(2, verb=Verb.NOTIFY), None)
    written = dict(stored_forms(desk.review().changed))

    assert [waiting.decision.id for waiting in desk.agenda.waiting.values()] == ["d2"]
    assert [each and each["id"] for each in written.values()] == ["d2"]


def test_what_is_restored_is_asked_about_and_does_not_replace_a_newer_one() -> None:
    desk = Desk()
    desk.agenda.restore(Waiting(decision=decision(1), since=NOW))
    desk.agenda.restore(Waiting(decision=decision(2), since=NOW))

    assert [waiting.decision.id for waiting in desk.review().passed] == ["d1"]


numbers = st.dictionaries(
    st.text(max_size=9), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
decisions = st.builds(
    Decision,
    id=st.text(),
    policy=st.text(),
    target=st.builds(Target, kind=st.sampled_from(TargetKind), id=st.text(), name=st.text()),
    verb=st.sampled_from(Verb),
    reason=st.text(),
    numbers=numbers,
    parameters=numbers,
    correlation_id=st.text(),
    cause_id=st.text(),
    from_event=st.just(value=True),
    decided_at=st.floats(0, 4e9),
    expires_at=st.floats(0, 4e9),
)


@given(
    decisions, st.none() | st.sampled_from(["die", "oom", "health_status"]), st.floats(0, 4e9), st.integers(0, 2**62)
)
def test_a_waiting_decision_comes_back_as_it_went(made: Decision, action: str | None, since: float, at: int) -> None:
    cause = replace(event(action, detail="unhealthy"), time_ns=at) if action else None
    held = Held(decision=made, guard=Guard.COOLDOWN, reason="")
    waiting = Waiting(decision=made, event=cause, held=held, since=since)
    back = waiting_from_json(json.loads(json.dumps(waiting_json(waiting))))

    assert (back.decision, back.since, back.held) == (made, since, None)
    assert (back.event is None) is (cause is None)
    if back.event is not None and cause is not None:
        assert (back.event.action, back.event.detail, back.event.time_ns) == (action, "unhealthy", at)
        assert back.event.origin is Origin.REPLAY


@pytest.mark.parametrize("broken", [{}, {"numbers": []}, {"verb": "dance"}, {"decided_at": "soon"}])
def test_what_is_no_decision_is_refused(broken: dict[str, object]) -> None:
    stored = {**waiting_json(Waiting(decision=decision(), since=NOW)), **broken} if broken else {}

    with pytest.raises((KeyError, TypeError, ValueError)):
        waiting_from_json(stored)


def test_keys_tell_policies_targets_and_telling_apart() -> None:
    wishes = [decision(), decision(policy="q"), decision(verb=Verb.NOTIFY), decision(verb=Verb.STOP)]

    assert len({key_of(wish) for wish in wishes}) == 3
