"""Scheduled runs in the core: at most once, made up within an hour, over restarts of the agent; and windows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.core import Host, policy_set
from tests.support.numbers import examples
from tests.support.slow_cron import utc
from watchtower_agent.model.decision import Dropped, Held
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.observation import ScheduleDue
from watchtower_agent.policies.policy import ScheduleTrigger
from watchtower_agent.policies.timetable import Timed
from watchtower_agent.schedules import Schedules

NIGHTLY = """
- name: nightly
  schedule: {cron: "30 3 * * *", timezone: Europe/Berlin}
  select: {labels: {nightly: "true"}}
  then: {restart: {}}
"""
TOLD = '- {name: told, schedule: {cron: "30 3 * * *", timezone: UTC}, then: {notify: {severity: info}}}'


class Scheduled(Host):
    """A host whose clock is watched by the real schedules."""

    def __init__(self, policies: str, at: str, *, first_start: bool = False) -> None:
        super().__init__("", first_start=True)
        self.due: list[ScheduleDue] = []
        self.schedules = Schedules(self.clock, self.due.append)
        self.at(at)
        self.load(policies)
        if not first_start:
            self.connect()

    def load(self, policies: str) -> None:
        self.policies = policy_set(policies)
        self._follow(self.see(self.policies).timetable)

    def _follow(self, timetable: tuple[Timed, ...] | None) -> None:
        if timetable is not None:
            self.schedules.follow(timetable)

    def at(self, text: str) -> None:
        """Time passes until then (UTC)."""
        self.clock.advance(utc(text).timestamp() - self.clock.wall)

    def look(self) -> None:
        """The clock is looked at, and the loop takes what is due. The engine answers."""
        self.ping()
        self.schedules.look()
        due, self.due[:] = list(self.due), []
        self.see(*due)

    def restarts(self, at: str) -> None:
        """kill -9 now, and a new agent then."""
        self.due.clear()
        self.at(at)
        self._boot(with_policies=False)
        self._follow(self.see(self.policies).timetable)

    def finish(self) -> list[str]:
        """Everything that is begun is carried out, what follows too. Names in the order in which it was."""
        names = []
        while self.open:
            names += [intent.decision.target.name for intent in self.open.values()]
            self.carry_out()
        return names

    @property
    def said(self) -> list[str]:
        """Notices about schedules."""
        return [f"{each.action}: {each.reason}" for each in self.of(Notice) if each.action in {"scheduled", "missed"}]


def host(policies: str = NIGHTLY, at: str = "2027-01-01 02:00", containers: int = 1, **options: bool) -> Scheduled:
    made = Scheduled(policies, at, **options)
    for number in range(containers):
        made.docker.create(f"web-{number}", labels={"nightly": "true"}, silent=True)
    made.docker.create("other", silent=True)
    if not options.get("first_start"):
        made.relist()
        made.inspect()
    return made


def test_each_selected_container_is_acted_on_at_the_time_with_reason_and_numbers() -> None:
    agent = host(containers=2)
    agent.at("2027-01-01 02:30")
    agent.look()
    assert agent.finish() == ["web-0", "web-1"]

    assert agent.said == ["scheduled: scheduled at 03:30 Europe/Berlin: restart of 2 containers"]
    first, second = agent.wanted
    assert first.reason == second.reason == "scheduled at 03:30 Europe/Berlin"
    assert first.numbers == {
        "due": utc("2027-01-01 02:30").timestamp(),
        "late": 0.0,
        "cron": "30 3 * * *",
        "timezone": "Europe/Berlin",
    }
    (notice,) = (each for each in agent.of(Notice) if each.action == "scheduled")
    assert notice.subject == "nightly"
    assert {first.correlation_id, second.correlation_id} == {notice.correlation_id}
    published = [each["topic"] for each in agent.published() if "policy/scheduled" in each["topic"]]
    assert published == ["watchtower/v1/h1/event/policy/scheduled/nightly"]


def test_its_containers_are_taken_one_after_the_other_in_order_of_name() -> None:
    agent = host(containers=5)
    agent.at("2027-01-01 02:30")
    agent.look()
    begun = []
    while agent.open:
        (intent,) = agent.open.values()  # never two at once
        begun.append(intent.decision.target.name)
        agent.carry_out()
    assert begun == [f"web-{number}" for number in range(5)]


def test_what_waits_for_its_turn_for_an_hour_is_given_up() -> None:
    agent = host(containers=2)
    agent.at("2027-01-01 02:30")
    agent.look()
    agent.at("2027-01-01 03:31")
    agent.ping()
    agent.carry_out()
    assert [(dropped.decision.target.name, dropped.reason) for dropped in agent.of(Dropped)] == [
        ("web-1", "it waited for 61 min")
    ]


@pytest.mark.parametrize(("step", "dropped"), [(0, False), (2 * 3600, True)], ids=["steady", "set forward"])
def test_a_clock_that_is_set_forward_by_hours_makes_what_waits_too_late(step: float, *, dropped: bool) -> None:
    agent = host(containers=2)
    agent.at("2027-01-01 02:30")
    agent.look()
    agent.clock.step_wall(step)
    agent.ping()
    agent.carry_out()
    assert [each.reason for each in agent.of(Dropped)] == (["it waited for 120 min"] if dropped else [])


def test_without_a_selector_it_tells_once() -> None:
    agent = host(TOLD)
    agent.at("2027-01-01 03:30")
    agent.look()
    agent.look()
    (told,) = agent.told
    assert told.reason == "scheduled at 03:30 UTC"
    assert told.decision.target.name == "h1"
    assert agent.said == ["scheduled: scheduled at 03:30 UTC"]


@pytest.mark.parametrize(
    ("back", "said"),
    [
        ("2027-01-01 02:29", []),
        ("2027-01-01 02:40", ["scheduled: scheduled at 03:30 Europe/Berlin, 10.0 min late: restart of 1 container"]),
        ("2027-01-01 03:29", ["scheduled: scheduled at 03:30 Europe/Berlin, 59.0 min late: restart of 1 container"]),
        (
            "2027-01-01 03:30",
            [
                (
                    "missed: scheduled at 03:30 Europe/Berlin, 60.0 min late: not made up after 1h; "
                    "the next is at 2027-01-02 03:30 Europe/Berlin"
                )
            ],
        ),
        (
            "2027-01-03 12:00",
            [
                (
                    "missed: scheduled at 2027-01-01 03:30 Europe/Berlin, 2.4 d late: not made up after 1h; "
                    "the next is at 2027-01-04 03:30 Europe/Berlin"
                )
            ],
        ),
    ],
)
def test_what_an_agent_missed_that_was_away_is_made_up_within_an_hour_and_once(back: str, said: list[str]) -> None:
    agent = host()
    agent.restarts(back)
    agent.look()
    agent.connect()
    agent.look()
    assert agent.said == said
    assert agent.finish() == (["web-0"] if said and said[0].startswith("scheduled") else [])
    agent.restarts(back)
    agent.connect()
    agent.look()
    assert agent.said == said


def test_a_run_is_not_repeated_by_a_crash_right_after_it() -> None:
    agent = host(containers=3)
    agent.at("2027-01-01 02:30")
    agent.look()
    (first,) = agent.open.values()
    agent.begins(first)
    agent.docker.do(first)
    agent.restarts("2027-01-01 02:31")
    agent.connect()
    agent.look()
    assert len(agent.said) == 1
    assert agent.finish() == ["web-1", "web-2"]
    assert [name for _, name in agent.did] == ["web-0", "web-1", "web-2"]


def test_what_waits_waits_on_for_its_hour_after_a_restart_of_the_agent() -> None:
    agent = host(at="2027-01-01 02:20")
    agent.docker.restart("web-0")
    agent.deliver()
    agent.at("2027-01-01 02:30")
    agent.look()
    assert agent.guards == ["operator_intent"]
    agent.restarts("2027-01-01 02:31")
    agent.connect()
    (waiting,) = agent.pipeline.decisions.agenda.waiting.values()
    assert waiting.decision.expires_at == pytest.approx(utc("2027-01-01 03:30").timestamp(), abs=1)


def test_a_run_that_is_due_before_the_containers_are_known_waits_for_the_listing() -> None:
    agent = host(first_start=True)
    agent.at("2027-01-01 02:30")
    agent.look()
    assert agent.said == []
    agent.at("2027-01-01 02:35")
    agent.connect()
    assert agent.finish() == ["web-0"]


def test_a_crash_while_it_waits_for_the_listing_loses_no_run() -> None:
    agent = host(first_start=True)
    agent.at("2027-01-01 02:30")
    agent.look()
    agent.restarts("2027-01-01 02:40")
    agent.look()
    agent.connect()
    assert agent.finish() == ["web-0"]


def test_an_engine_that_is_down_for_an_hour_makes_it_missed() -> None:
    agent = host(first_start=True)
    agent.at("2027-01-01 02:30")
    agent.look()
    agent.at("2027-01-01 03:30")
    agent.look()
    assert [each[:7] for each in agent.said] == ["missed:"]


@pytest.mark.parametrize("text", ["0 1 * * *", "30 3 * * sun"])
def test_a_policy_that_is_new_or_changed_begins_with_its_next_time(text: str) -> None:
    agent = host()
    agent.at("2027-01-01 02:29")
    agent.load(NIGHTLY.replace("30 3 * * *", text))
    agent.at("2027-01-01 12:00")
    agent.look()
    assert agent.said == []


def test_what_is_told_twice_or_out_of_order_is_run_once() -> None:
    agent = host()
    agent.at("2027-01-01 02:30")
    agent.schedules.look()
    (told,) = agent.due
    agent.see(told)
    agent.see(told, replace(told, due=told.due - 86400))
    agent.finish()
    agent.see(replace(told, policy="unknown"), told)
    assert len(agent.said) == len(agent.wanted) == 1


def test_a_policy_that_stays_keeps_its_time_over_a_reload() -> None:
    agent = host()
    agent.at("2027-01-01 02:31")
    agent.load(f"{NIGHTLY}\n{TOLD}")
    agent.look()
    assert [each[:9] for each in agent.said] == ["scheduled"]


def test_what_was_due_of_a_schedule_that_is_not_in_force_any_more_is_not_run() -> None:
    agent = host()
    agent.at("2027-01-01 02:30")
    agent.schedules.look()
    agent.load(NIGHTLY.replace("30 3", "45 3"))
    agent.see(*agent.due)
    assert agent.said == []


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_a_policy_that_may_not_act_does_not(mode: str) -> None:
    agent = host(NIGHTLY.replace("- name: nightly", f"- name: nightly\n  mode: {mode}"))
    agent.at("2027-01-01 02:30")
    agent.look()
    assert agent.did == []
    assert agent.guards == (["mode"] if mode == "shadow" else [])


def test_a_run_waits_for_its_guards() -> None:
    agent = host()
    agent.docker.restart("web-0")
    agent.deliver()  # a person was there: hands off for 15 minutes
    agent.at("2027-01-01 02:30")
    agent.look()
    assert agent.guards == []  # the restart was half an hour ago
    agent = host(at="2027-01-01 02:20")
    agent.docker.restart("web-0")
    agent.deliver()
    agent.at("2027-01-01 02:30")
    agent.look()
    assert agent.guards == ["operator_intent"]
    agent.at("2027-01-01 02:36")
    agent.look()
    assert agent.finish() == ["web-0"]


def test_the_last_run_is_durable_with_what_it_led_to() -> None:
    agent = host()
    agent.at("2027-01-01 02:30")
    agent.look()
    (step,) = (each for each in agent.steps if each.intents)
    records = {record.key: record.value for record in step.records if record.kind == "schedule"}
    assert records == {
        "nightly": {"schedule": "30 3 * * * Europe/Berlin", "until": utc("2027-01-01 02:30").timestamp()}
    }


def test_a_policy_that_is_taken_back_is_forgotten() -> None:
    agent = host()
    agent.load("")
    assert agent.steps[-1].timetable == ()
    assert [(r.key, r.value) for r in agent.steps[-1].records if r.kind == "schedule"] == [("nightly", None)]


# --- maintenance windows ---------------------------------------------------------------------------------------------

WINDOWED = """
- name: leak
  select: {name: web}
  when: memory.percent > 90%
  then: {restart: {}}
  windows: [{cron: "0 2 * * *", for: 3h, timezone: Europe/Berlin}]
"""


def test_an_action_waits_for_its_window_and_says_until_when() -> None:
    agent = Scheduled(WINDOWED, "2027-01-01 00:59")
    agent.docker.create("web", silent=True)
    agent.relist()
    agent.inspect()
    agent.tick(2, memory_percent=95.0)
    (held,) = agent.of(Held)
    assert held.guard.value == "outside_window"
    assert held.reason == "outside its maintenance windows: the next opens at 02:00 Europe/Berlin for 3h"
    assert held.release_at == utc("2027-01-01 01:00").timestamp()
    assert held.numbers == {
        "windows": 1,
        "cron": "0 2 * * *",
        "for": 10800.0,
        "timezone": "Europe/Berlin",
        "opens_in": pytest.approx(59.0),
    }
    agent.tick(57, memory_percent=95.0)
    assert agent.did == []
    agent.tick(1, memory_percent=95.0)
    assert agent.did == [("restart", "web")]
    assert datetime.fromtimestamp(agent.clock.wall, UTC).minute == 0


def test_what_waits_for_its_turn_while_the_window_closes_is_not_begun() -> None:
    agent = Scheduled(WINDOWED, "2027-01-01 03:59")
    agent.docker.create("web", silent=True)
    agent.relist()
    agent.inspect()
    agent.tick(1, memory_percent=95.0)
    (intent,) = agent.open.values()
    agent.at("2027-01-01 03:59:59")
    agent.tick(1, memory_percent=95.0)
    stopped = agent.pipeline.recheck(intent, agent.clock.now())
    assert isinstance(stopped, Held)
    assert stopped.guard.value == "outside_window"


# --- any life of an agent -------------------------------------------------------------------------------------------

HALF_HOURLY = """
- name: often
  schedule: {cron: "*/30 1-4 * * *", timezone: Europe/Berlin}
  then: {notify: {}}
"""
MINUTES = st.integers(1, 55)
LIVES = st.lists(
    st.one_of(
        st.tuples(st.just("passes"), MINUTES),
        st.tuples(st.just("is away"), st.integers(1, 200)),
        st.tuples(st.just("clock is set back"), st.integers(1, 59)),
        st.tuples(st.just("clock is set forward"), st.integers(1, 59)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=examples(150), deadline=None)
@given(LIVES, st.sampled_from(["2027-03-27 22:00", "2027-10-30 21:00", "2027-01-01 00:00"]))
def test_whatever_happens_no_run_comes_twice_and_none_is_lost_that_can_be_made_up(
    life: list[tuple[str, int]], begin: str
) -> None:
    """At most once, in order; and after each look the newest moment of the last hour is settled."""
    agent = Scheduled(HALF_HOURLY, begin)
    of = agent.policies.policies[0].trigger
    assert isinstance(of, ScheduleTrigger)
    latest_seen = agent.clock.wall
    for what, minutes in life:
        if what == "is away":
            agent.clock.advance(minutes * 60.0)
            agent.restarts(f"{datetime.fromtimestamp(agent.clock.wall, UTC):%Y-%m-%d %H:%M}")
            agent.connect()
        elif what == "passes":
            agent.clock.advance(minutes * 60.0)
        else:
            agent.clock.step_wall(minutes * 60.0 * (-1 if what.endswith("back") else 1))
        agent.look()
        latest_seen = max(latest_seen, agent.clock.wall)
        runs = [float(str(each.data["due"])) for each in agent.of(Notice) if each.action == "scheduled"]
        if latest_seen - agent.clock.wall < 3600:  # set back by less than an hour in all
            assert runs == sorted(set(runs))
            newest = of.schedule.latest(agent.clock.wall, 3600.0)
            if newest is not None and newest > max(utc(begin).timestamp(), latest_seen - 3600):
                assert max(runs, default=0.0) >= newest
        else:
            return
