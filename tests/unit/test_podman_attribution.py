"""Who ended a container, where Podman tells of it: the order and the gaps that its real service was seen to have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core import NOW, container, event
from watchtower_agent.model.container import ContainerDetail, ContainerStatus
from watchtower_agent.model.decision import Verb
from watchtower_agent.state.attribution import EndCause
from watchtower_agent.state.own_action import OwnAction
from watchtower_agent.state.record import ContainerRecord, change

STARTED = NOW - 600


def after(*actions: str, code: int = 137, own: OwnAction | None = None) -> ContainerRecord:
    """The record of a container that ran, after these, a tenth of a second one from the other."""
    record = ContainerRecord(container=container("web"), started=STARTED, own=own)
    for number, action in enumerate(actions):
        attributes = {"exitCode": str(code)} if action == "die" else {}
        told = event(action, "web", at=NOW + number / 10, labels=attributes)
        change(record, replace(told, podman=True), uncertain_until=0)
    return record


def test_a_stop_before_the_end_is_a_persons() -> None:
    record = after("stop", "die")

    assert (record.end_cause, record.container.status) == (EndCause.OPERATOR, ContainerStatus.EXITED)


@pytest.mark.parametrize("code", [0, 1, 3, 137, 143])
def test_an_end_of_which_nothing_else_is_told_may_be_a_persons(code: int) -> None:
    assert after("die", code=code).end_cause is EndCause.UNKNOWN


@pytest.mark.parametrize("code", [134, 139])
def test_a_fault_of_its_own_is_its_own(code: int) -> None:
    assert after("die", code=code).end_cause is EndCause.ITSELF


@pytest.mark.parametrize("acts", [("restart", "die", "start"), ("restart", "stop", "die", "start")])
def test_a_restart_by_hand_is_told_first_and_counts_once_it_runs_again(acts: tuple[str, ...]) -> None:
    assert after(*acts[:-1]).end_cause is EndCause.OPERATOR

    record = after(*acts)

    assert record.container.running
    assert record.operator is not None
    assert record.operator.action == "restart"
    assert after(*acts, "die").end_cause is EndCause.UNKNOWN, "the next end is none of that restart's"


@pytest.mark.parametrize("acts", [("restart", "die", "start"), ("restart", "stop", "die", "start")])
def test_our_own_restart_is_ours_to_its_start_and_no_further(acts: tuple[str, ...]) -> None:
    own = OwnAction(verb=Verb.RESTART, begun=NOW - 0.1, ended=None)

    record = after(*acts, own=own)

    assert after(*acts[:-1], own=own).end_cause is EndCause.AGENT
    assert (record.operator, record.restarts_by_agent) == (None, 1)
    assert record.own is not None
    assert record.own.complete


def test_our_own_stop_is_over_with_its_end() -> None:
    own = OwnAction(verb=Verb.STOP, begun=NOW - 0.1, ended=None)

    record = after("die", own=own)

    assert record.end_cause is EndCause.AGENT
    assert record.own is not None
    assert record.own.complete


def test_what_its_restart_policy_starts_again_nobody_has_restarted() -> None:
    record = after("die", "restart", "start")

    assert record.operator is None
    assert record.container.running


def test_a_restart_that_came_to_nothing_says_nothing_of_an_end_much_later() -> None:
    record = after("restart")
    late = event("die", "web", at=NOW + 3600, labels={"exitCode": "139"})
    change(record, replace(late, podman=True), uncertain_until=0)

    assert record.end_cause is EndCause.ITSELF


def test_a_restart_waits_for_as_long_as_a_container_may_take_to_stop() -> None:
    record = after("restart")
    record.container = replace(record.container, detail=ContainerDetail(stop_timeout=3600.0))
    late = event("die", "web", at=NOW + 3600, labels={"exitCode": "139"})
    change(record, replace(late, podman=True), uncertain_until=0)

    assert record.end_cause is EndCause.OPERATOR
