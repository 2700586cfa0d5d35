"""Conditions over time: `for`, UNKNOWN, edges, and timers that start anew."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace

import pytest

from tests.support.core import INFO, FakeClock, container, container_id, event, policy_set
from watchtower_agent.model.decision import Decision, Edge, Severity, Target, TargetKind, Verb
from watchtower_agent.model.observation import ContainerObserved
from watchtower_agent.model.sample import SampleBatch, SampleTarget
from watchtower_agent.policies.conditions.subject import remember
from watchtower_agent.policies.evaluate import Conditions
from watchtower_agent.state.host_state import HostState
from watchtower_agent.state.record import ContainerRecord

FULL = '- {name: full, select: {name: "*"}, when: memory.percent > 90%, for: 3s, then: {restart: {}}}'
TARGET = Target(kind=TargetKind.CONTAINER, id=container_id("web"), name="web")
HIGH, LOW, LOST = 95.0, 50.0, None


@dataclass
class Ticking:
    """One tick a second; `None` is a value that is not known."""

    policies: str = FULL
    interval: float = 1.0
    clock: FakeClock = field(default_factory=FakeClock)
    edges: list[Edge] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.set = policy_set(self.policies)
        self.conditions = Conditions()
        self.state = HostState("h1")
        self.state.history.ask(self.set.windows)
        self.state.engine.info, self.state.engine.connected, self.state.engine.listed = INFO, True, True
        self.state.containers[container_id("web")] = ContainerRecord(container=container(), started=1.0)

    def see(self, *values: float | None, every: float | None = None) -> Ticking:
        for value in values:
            self.clock.advance(self.interval if every is None else every)
            known = {"memory.percent": array("d", [value])} if value is not None else {}
            self.state.apply_samples(
                SampleBatch(
                    at=self.clock.now(),
                    interval=self.interval,
                    targets=(SampleTarget(container_id=container_id("web")),),
                    columns=known,
                    host={"host.memory.percent": value} if value is not None else {},
                )
            )
            remember(self.state, self.clock.now(), self.interval)
            self.evaluate()
        return self

    def started(self, late: float = 0.0) -> Ticking:
        """The container ended and was started half a second ago; the event came so much after the start."""
        at = self.clock.wall - 0.5 + late
        for action in ("die", "start"):
            self.state.apply_event(event(action, at=at))
        return self

    def ended(self) -> Ticking:
        """The container ended half a second ago, and nothing has started it since."""
        self.state.apply_event(event("die", at=self.clock.wall - 0.5))
        return self

    def inspected(self, started: float) -> Ticking:
        """An inspection tells when the container was started, seconds from now."""
        seen = container(started_at=self.clock.wall + started)
        found = ContainerObserved(container_id=seen.id, container=seen, at=self.clock.wall, after_position=0)
        assert self.state.apply_inspection(found) == (False, [])
        return self

    def evaluate(self) -> None:
        found = self.conditions.evaluate(self.set, self.state, self.clock.now(), self.interval)
        self.edges.extend(found.edges)
        self.decisions.extend(found.decisions)

    @property
    def fired(self) -> list[bool]:
        return [edge.firing for edge in self.edges]


@pytest.mark.parametrize(
    ("values", "fired"),
    [
        ([HIGH], []),
        ([HIGH] * 3, []),
        ([HIGH] * 4, [True]),
        ([HIGH] * 9, [True]),
        ([HIGH] * 3 + [LOW], []),
        ([HIGH] * 3 + [LOW] + [HIGH] * 3, []),
        ([HIGH] * 3 + [LOW] + [HIGH] * 4, [True]),
        ([HIGH] * 4 + [LOW], [True, False]),
        ([HIGH] * 4 + [LOW] + [HIGH] * 4, [True, False, True]),
        ([LOST] * 9, []),
        ([LOW] * 9, []),
    ],
)
def test_for(values: list[float | None], fired: list[bool]) -> None:
    assert Ticking().see(*values).fired == fired


@pytest.mark.parametrize(
    ("values", "fired"),
    [
        ([HIGH, HIGH, LOST, HIGH], []),
        ([HIGH, HIGH, LOST, HIGH, HIGH], [True]),
        ([HIGH, HIGH, LOST, LOST, LOST, HIGH], []),
        ([HIGH, HIGH, LOST, LOST, LOST, HIGH, HIGH], [True]),
        ([HIGH, HIGH, LOST, LOST, LOST, LOST, HIGH, HIGH, HIGH], []),
        ([HIGH, HIGH, LOST, LOST, LOST, LOST, HIGH, HIGH, HIGH, HIGH], [True]),
        ([HIGH] * 3 + [LOST] * 3, []),
    ],
)
def test_unknown_freezes_the_timer_for_two_intervals(values: list[float | None], fired: list[bool]) -> None:
    assert Ticking().see(*values).fired == fired


def test_what_fires_keeps_firing_over_a_short_unknown_and_wants_nothing_meanwhile() -> None:
    ticking = Ticking().see(*[HIGH] * 4)
    assert len(ticking.decisions) == 1
    ticking.see(LOST, LOST, LOST)
    assert (ticking.fired, len(ticking.decisions)) == ([True], 1)

    ticking.see(LOST)

    assert ticking.fired == [True, False]
    assert ticking.edges[-1].reason == "no longer memory.percent > 90% (not known any more)"


@pytest.mark.parametrize(("second", "fires"), [(2.89, False), (2.91, True), (3.0, True)])
def test_a_tick_may_be_a_moment_early(second: float, *, fires: bool) -> None:
    ticking = Ticking().see(HIGH)

    assert bool(ticking.see(HIGH, every=second).fired) is fires


@pytest.mark.parametrize("step", [86400.0, -86400.0])
def test_a_step_of_the_wall_clock_changes_no_timer(step: float) -> None:
    ticking = Ticking().see(HIGH, HIGH)
    ticking.clock.step_wall(step)

    assert ticking.see(HIGH).fired == []
    assert ticking.see(HIGH).fired == [True]


def test_an_action_starts_the_timer_anew_before_it_fired() -> None:
    ticking = Ticking().see(*[HIGH] * 3)
    ticking.conditions.acted(TARGET, ticking.clock.now())

    assert ticking.see(*[HIGH] * 2).fired == []
    assert ticking.see(HIGH).fired == [True]


def test_an_action_starts_the_timer_anew_while_it_fires() -> None:
    ticking = Ticking().see(*[HIGH] * 4)
    ticking.conditions.acted(TARGET, ticking.clock.now())
    ticking.decisions.clear()
    ticking.see(HIGH, HIGH)
    assert ticking.decisions == []

    ticking.see(HIGH)

    assert ticking.fired == [True]
    (decision,) = ticking.decisions
    assert decision.numbers["true_for"] == 3.0


def test_an_action_on_another_target_is_no_concern() -> None:
    ticking = Ticking().see(*[HIGH] * 3)
    ticking.conditions.acted(Target(kind=TargetKind.CONTAINER, id="other", name="other"), ticking.clock.now())

    assert ticking.see(HIGH).fired == [True]


def test_a_decision_carries_its_reason_and_its_numbers_and_expires_after_two_intervals() -> None:
    decision = Ticking().see(HIGH, HIGH, HIGH, 97.5).decisions[0]

    assert (decision.verb, decision.target) == (Verb.RESTART, TARGET)
    assert decision.reason == "memory.percent 97.5 % for 3.0 s (for: 3s)"
    assert decision.numbers == {"memory.percent": 97.5, "true_for": 3.0, "for": 3.0}
    assert decision.expires_at == decision.decided_at + 2.0
    assert not decision.from_event


def test_one_firing_shares_one_correlation_id_and_the_next_has_another() -> None:
    ticking = Ticking().see(*[HIGH] * 6, LOW, *[HIGH] * 4)

    first, end, second = ticking.edges
    assert first.correlation_id == end.correlation_id != second.correlation_id
    assert {decision.correlation_id for decision in ticking.decisions[:3]} == {first.correlation_id}
    assert ticking.decisions[-1].correlation_id == second.correlation_id


def test_ids_differ_from_action_to_action_and_not_from_tick_to_tick() -> None:
    ticking = Ticking().see(*[HIGH] * 6)
    before = {decision.id for decision in ticking.decisions}
    ticking.decisions.clear()
    ticking.conditions.acted(TARGET, ticking.clock.now())
    ticking.see(*[HIGH] * 6)
    after = {decision.id for decision in ticking.decisions}

    assert len(before) == len(after) == 1
    assert before != after


def test_notify_is_wanted_once_an_edge() -> None:
    ticking = Ticking(FULL.replace("{restart: {}}", "{restart: {}, notify: {severity: critical}}")).see(*[HIGH] * 9)

    verbs = [decision.verb for decision in ticking.decisions]
    assert (verbs.count(Verb.NOTIFY), verbs.count(Verb.RESTART)) == (1, 6)
    assert ticking.edges[0].severity is Severity.CRITICAL
    assert ticking.decisions[0].parameters["severity"] == "critical"


def test_a_policy_about_the_host() -> None:
    ticking = Ticking("- {name: host, when: host.memory.percent > 90%, then: {notify: {}}}").see(HIGH, LOW)

    assert [edge.target for edge in ticking.edges] == [Target(kind=TargetKind.HOST, name="h1")] * 2
    assert len(ticking.decisions) == 1


def test_a_target_that_goes_is_resolved() -> None:
    ticking = Ticking().see(*[HIGH] * 4)
    ticking.state.containers.clear()
    ticking.see(HIGH)

    assert ticking.fired == [True, False]
    assert ticking.edges[-1].target == TARGET
    assert "gone or not selected" in ticking.edges[-1].reason


@pytest.mark.parametrize(
    ("after", "resolved"),
    [
        (FULL, False),
        (f"- {{name: other, on: {{image: pull}}, then: {{notify: {{}}}}}}\n{FULL}", False),
        (FULL.replace("then", "mode: shadow, then"), False),
        (FULL.replace("90%", "80%"), True),
        (FULL.replace("3s", "2s"), True),
        (FULL.replace("then", "mode: off, then"), True),
        (FULL.replace("full", "other"), True),
        ("", True),
    ],
)
def test_a_reload_resolves_only_what_changed(after: str, *, resolved: bool) -> None:
    ticking = Ticking().see(*[HIGH] * 4)
    ticking.set = policy_set(after)
    ticking.evaluate()

    assert ticking.fired == ([True, False] if resolved else [True])


def test_a_reload_starts_changed_timers_anew() -> None:
    ticking = Ticking().see(*[HIGH] * 3)
    ticking.set = policy_set(FULL.replace("90%", "91%"))

    assert ticking.see(*[HIGH] * 3).fired == []
    assert ticking.see(HIGH).fired == [True]


def test_who_fires_now() -> None:
    ticking = Ticking().see(*[HIGH] * 3)
    assert ticking.conditions.firing("full") == []
    ticking.see(HIGH)
    assert ticking.conditions.firing("full") == [container_id("web")]
    assert ticking.conditions.firing("other") == []
    ticking.see(LOW)
    assert ticking.conditions.firing("full") == []


# --- keep_for --------------------------------------------------------------------------------------------------------

KEPT = '- {name: full, select: {name: "*"}, when: memory.percent > 90%, for: 2s, keep_for: 4s, then: {restart: {}}}'


@pytest.mark.parametrize(
    ("after", "fires"),
    [
        # it is kept from the first tick on which it was not true
        ([LOW], [True]),
        ([LOW] * 4, [True] * 4),
        ([LOW] * 5, [True] * 4 + [False]),
        # true again: nothing ended, and the next time begins anew
        ([LOW, LOW, HIGH, LOW, LOW, LOW, LOW], [True] * 7),
        ([LOW, LOW, HIGH, LOW, LOW, LOW, LOW, LOW], [True] * 7 + [False]),
        # not known: frozen for two ticks, then it counts as ended when that is over
        ([LOST, LOST, LOST, HIGH], [True] * 4),
        ([LOST] * 7, [True] * 7),
        ([LOST] * 8, [True] * 7 + [False]),
        # false, then not known: the time goes on
        ([LOW, LOST, LOST, LOST], [True] * 4),
        ([LOW, LOST, LOST, LOST, LOST], [True] * 4 + [False]),
        ([LOST, LOW, LOW, LOW, LOW, LOW], [True] * 5 + [False]),
    ],
)
def test_keep_for(after: list[float | None], fires: list[bool]) -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH)
    assert ticking.conditions.firing("full") == [container_id("web")]
    seen = []
    for value in after:
        ticking.see(value)
        seen.append(ticking.conditions.firing("full") != [])
    assert seen == fires
    assert [edge.firing for edge in ticking.edges] == [True] + [False] * (not fires[-1])


def test_keep_for_begins_with_firing_and_lends_nothing_to_for() -> None:
    ticking = Ticking(KEPT).see(HIGH, LOW, HIGH, LOW, HIGH, HIGH)
    assert ticking.edges == []


def test_what_is_only_kept_wants_nothing() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH)
    ticking.decisions.clear()
    ticking.see(LOW, LOW)
    assert ticking.decisions == []
    assert not ticking.conditions.fires("full", container_id("web"))
    ticking.see(HIGH)
    assert [decision.verb for decision in ticking.decisions] == [Verb.RESTART]
    assert ticking.conditions.fires("full", container_id("web"))
    assert ticking.decisions[0].numbers["keep_for"] == 4.0


def test_after_an_action_for_has_to_be_served_anew_though_it_is_kept() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH)
    ticking.conditions.acted(TARGET, ticking.clock.now())
    ticking.decisions.clear()
    ticking.see(LOW, LOW, LOW, HIGH, HIGH)
    assert ticking.decisions == []
    ticking.see(HIGH)
    assert len(ticking.decisions) == 1
    assert [edge.firing for edge in ticking.edges] == [True]


def test_the_end_says_that_it_was_kept() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH, LOW, LOW, LOW, LOW, LOW)
    end = ticking.edges[-1]
    assert end.reason == "no longer memory.percent > 90% for 4s (keep_for)"
    assert end.numbers == {"memory.percent": 95.0, "kept_for": 4.0, "keep_for": 4.0}
    assert ticking.edges[0].correlation_id == end.correlation_id


def test_a_target_that_goes_is_kept_for_no_time() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH)
    ticking.state.containers.clear()
    ticking.evaluate()
    assert [edge.firing for edge in ticking.edges] == [True, False]


def test_a_changed_keep_for_begins_anew() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH)
    ticking.set = policy_set(KEPT.replace("4s", "5s"))
    ticking.evaluate()
    assert [edge.reason for edge in ticking.edges[1:]] == ["the policy was changed"]


def test_after_a_restart_it_is_kept_and_for_has_to_be_served_anew() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH).started()
    ticking.decisions.clear()
    ticking.see(HIGH, HIGH)
    assert ticking.decisions == []
    assert not ticking.conditions.fires("full", container_id("web"))
    ticking.see(HIGH)
    assert [decision.numbers["true_for"] for decision in ticking.decisions] == [2.0]
    assert ticking.conditions.fires("full", container_id("web"))
    assert ticking.fired == [True]


def test_after_a_restart_it_is_kept_for_no_longer_than_after_any_other_end() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH).started().see(LOST, LOST, LOST, LOST)
    assert ticking.fired == [True]
    ticking.see(LOST)
    assert ticking.fired == [True, False]


# --- the lives of a container ----------------------------------------------------------------------------------------


def test_for_begins_anew_with_the_containers_next_life() -> None:
    ticking = Ticking().see(HIGH, HIGH, HIGH).started().see(HIGH, HIGH, HIGH)
    assert ticking.fired == []
    ticking.see(HIGH)
    assert ticking.fired == [True]
    assert ticking.decisions[0].numbers["true_for"] == 3.0


def test_what_fires_ends_with_the_life_that_it_was_about() -> None:
    ticking = Ticking().see(*[HIGH] * 4).started().see(HIGH)
    assert ticking.fired == [True, False]
    assert ticking.edges[-1].reason == "no longer memory.percent > 90%: the container was started anew"
    assert len(ticking.decisions) == 1
    ticking.see(*[HIGH] * 3)
    assert ticking.fired == [True, False, True]
    assert len({edge.correlation_id for edge in ticking.edges}) == 2


def test_what_fires_ends_with_a_container_that_is_not_started_again_within_two_ticks() -> None:
    ticking = Ticking().see(*[HIGH] * 4).ended().see(LOST, LOST, LOST)
    assert ticking.fired == [True]
    ticking.see(LOST)
    assert ticking.edges[-1].reason == "no longer memory.percent > 90%: the container does not run"
    ticking.started().see(*[HIGH] * 4)
    assert ticking.fired == [True, False, True]


def test_what_was_kept_over_the_end_of_its_container_says_both() -> None:
    ticking = Ticking(KEPT).see(HIGH, HIGH, HIGH).ended().see(*[LOST] * 8)
    assert ticking.edges[-1].reason == "no longer memory.percent > 90% for 4s (keep_for): the container does not run"


def test_of_what_outlives_the_container_it_is_not_said_that_it_does_not_run() -> None:
    ticking = Ticking(FULL.replace("memory.percent", "host.memory.percent")).see(*[HIGH] * 4).ended()
    ticking.see(*[LOST] * 4)
    assert ticking.edges[-1].reason == "no longer host.memory.percent > 90% (not known any more)"


def test_a_start_within_two_ticks_is_told_as_such() -> None:
    ticking = Ticking().see(*[HIGH] * 4).ended().see(LOST, LOST, LOST).started().see(HIGH)
    assert ticking.edges[-1].reason == "no longer memory.percent > 90%: the container was started anew"


def test_between_two_ticks_a_start_is_no_reason_to_act_any_more() -> None:
    ticking = Ticking().see(*[HIGH] * 4)
    (policy,) = ticking.set.policies
    assert ticking.conditions.still_fires(policy, container_id("web"), ticking.state, ticking.clock.now())
    ticking.started()
    assert ticking.conditions.still_fires(policy, container_id("web"), ticking.state, ticking.clock.now()) is False


@pytest.mark.parametrize(
    ("when", "about_a_life"),
    [
        ("memory.percent > 90%", True),
        ("max(memory.percent, 1s) > 90%", True),
        ("status == 'running' and memory.percent > 90%", True),
        ("health != 'healthy'", True),
        ("uptime > 0s", True),
        ("restarts >= 0", False),
        ("status == 'running'", False),
        ("labels['tier'] != 'web'", False),
        ("host.memory.percent > 90%", False),
        ("engine.restarts >= 0", False),
        ("exit_code != 0 or age > 1s", False),
    ],
)
def test_what_outlives_a_restart_goes_on(when: str, *, about_a_life: bool) -> None:
    policies = f'- {{name: full, select: {{name: "*"}}, when: "{when}", for: 3s, then: {{restart: {{}}}}}}'
    assert Ticking(policies).see(*[HIGH] * 4).fired == [True]
    ticking = Ticking(policies).see(*[HIGH] * 3).started()
    assert ticking.see(HIGH).fired == ([] if about_a_life else [True])


@pytest.mark.parametrize("exactly", [-0.5, -0.8, 0.0])
def test_a_start_that_becomes_known_more_exactly_is_no_other_life(exactly: float) -> None:
    """The inspection tells the same start as its event did, a little earlier."""
    ticking = Ticking().started().see(HIGH, HIGH, HIGH).inspected(exactly - 3)
    assert ticking.see(HIGH).fired == [True]
    assert ticking.inspected(exactly - 4).see(HIGH).fired == [True]


def test_a_start_that_is_learned_late_is_no_other_life() -> None:
    ticking = Ticking()
    record = ticking.state.containers[container_id("web")]
    record.started, record.container = None, replace(record.container, detail=None)
    ticking.see(HIGH, HIGH, HIGH).inspected(-3600.0)
    assert ticking.see(HIGH).fired == [True]


def test_the_event_of_a_start_that_was_inspected_already_is_no_other_life() -> None:
    ticking = Ticking()
    record = ticking.state.containers[container_id("web")]
    record.started, record.container = None, replace(record.container, detail=None)
    ticking.inspected(-0.6).see(HIGH, HIGH, HIGH)
    ticking.state.apply_event(event("start", at=ticking.clock.wall - 3.55))
    assert ticking.see(HIGH).fired == [True]


def test_a_restart_of_which_only_an_inspection_tells_is_another_life() -> None:
    """Within a second of the event of the one before: only its exact start tells it apart."""
    ticking = Ticking().started().inspected(-0.5).see(HIGH, HIGH, HIGH)
    ticking.state.apply_event(event("die", at=ticking.clock.wall - 3.2))
    ticking.state.apply_event(event("start", at=ticking.clock.wall - 3.1))
    ticking.inspected(-3.15)
    assert ticking.see(HIGH).fired == []
    assert ticking.see(HIGH, HIGH, HIGH).fired == [True]


def test_a_restart_within_a_second_of_the_start_is_told_apart_by_its_inspection() -> None:
    ticking = Ticking().started().inspected(-0.5).see(HIGH)
    for action, ago in (("die", 1.1), ("start", 1.0)):
        ticking.state.apply_event(event(action, at=ticking.clock.wall - ago))
    ticking.see(HIGH)
    ticking.inspected(-2.05)
    assert ticking.see(HIGH, HIGH, HIGH).fired == []
    assert ticking.see(HIGH).fired == [True]
