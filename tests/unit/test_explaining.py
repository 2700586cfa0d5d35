"""What `explain` and `trigger --dry-run` tell of a policy and its targets: what comes next, when, and why not."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from tests.support.core import NOW, Host
from watchtower_agent.errors import PermanentError
from watchtower_agent.loop.explaining import Asked, explained, must_be_set_off, named
from watchtower_agent.model.observation import EngineLost, PoliciesRejected
from watchtower_agent.model.pause import PauseAsked, Paused, PauseScope
from watchtower_agent.model.shared_cause import SharedCauseRule
from watchtower_agent.policies.guards.ledger import Scope, ScopeKind
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.policy import Budget

HEAL = '- {name: heal, select: {name: "w*"}, when: health == "unhealthy", for: 10s, then: {restart: {}}}\n'
FULL = '- {name: full, select: {name: "*"}, when: memory.percent > 90%, for: 1m, then: {restart: {}}}\n'
REVIVE = """\
- name: revive
  select: {name: "*"}
  on: {container: die}
  where: event.exit_code != 0 and name != "db"
  then: {restart: {}, notify: {}}
"""
NIGHTLY = '- {name: nightly, select: {name: "*"}, schedule: {cron: "30 3 * * *", timezone: UTC}, then: {restart: {}}}\n'
DISK = "- {name: disk, when: host.disk.percent > 85%, for: 5s, then: {notify: {}}}\n"


def host(policies: str, *names: str, **fields: Any) -> Host:  # noqa: ANN401 - as Host takes it
    made = Host(policies, first_start=True, **fields)
    for name in names or ("web",):
        made.docker.create(name, check=True, silent=True)
    made.connect()
    made.clock.advance(60)
    made.clear()
    return made


def explain(agent: Host, policy: str, target: str | None = None, **page: Any) -> dict[str, Any]:  # noqa: ANN401 - as Asked takes it
    """The answer as it goes over the socket."""
    found, record = named(agent.pipeline, policy, target)
    work = explained(agent.pipeline, Asked(policy=found, target=record, **page), agent.clock.now())
    while True:
        try:
            next(work)
        except StopIteration as end:
            answer: dict[str, Any] = json.loads(json.dumps(end.value, allow_nan=False))
            return answer


def row(agent: Host, policy: str, target: str | None = None, **page: Any) -> dict[str, Any]:  # noqa: ANN401 - as Asked takes it
    found: dict[str, Any] = explain(agent, policy, target, **page)["targets"][0]
    return found


def coming(agent: Host, policy: str, target: str | None = "web", **page: Any) -> tuple[str, str, float | None]:  # noqa: ANN401 - as Asked takes it
    """Outlook, words, and in how many seconds."""
    found = row(agent, policy, target, **page)["next"]
    return found["outlook"], found["words"], None if found["at"] is None else round(found["at"] - agent.clock.wall, 3)


def sick(agent: Host, name: str = "web", seconds: int = 0) -> None:
    agent.docker.health(name)
    agent.deliver()
    agent.tick(1 + seconds)


# --- conditions -------------------------------------------------------------------------------------------------------


def test_a_condition_counts_to_its_action() -> None:
    agent = host(HEAL)
    agent.tick()
    assert coming(agent, "heal") == ("nothing", 'nothing: health is healthy (it takes "unhealthy")', None)
    sick(agent, seconds=4)
    assert coming(agent, "heal") == ("counting", "restarts in 6 s unless healthy", 6.0)
    assert row(agent, "heal")["condition"] == {
        "true": True,
        "firing": False,
        "closeness": 1.0,
        "held_for": 4.0,
        "for": 10.0,
        "comparisons": [
            {
                "name": "health",
                "value": "unhealthy",
                "sign": "==",
                "threshold": '"unhealthy"',
                "limit": "unhealthy",
                "true": True,
                "closeness": 1.0,
            }
        ],
        "comparisons_left_out": 0,
    }
    agent.tick(6)
    assert agent.did == [("restart", "web")]
    assert coming(agent, "heal")[:2] == (
        "under_way",
        "restart under way for 0 s by policy heal: unhealthy for 10.0 s (for: 10s)",
    )


def test_a_value_below_its_threshold_is_told_with_it() -> None:
    agent = host(FULL)
    agent.tick(3, memory_percent=81.0)
    assert coming(agent, "full") == ("nothing", "nothing: memory.percent is 81.0 % (it takes > 90%)", None)
    assert row(agent, "full")["condition"]["closeness"] == 0.9


YOUNG = """
- name: young
  select: {name: web}
  when: uptime > 2h and age < 1d
  for: 10s
  then: {restart: {}}
"""


def test_what_time_alone_makes_true_is_told_with_the_moment() -> None:
    agent = host(YOUNG)  # its container has been up for an hour
    agent.tick()
    up = row(agent, "young")["condition"]["comparisons"][0]["value"]
    outlook, words, comes_in = coming(agent, "young")

    assert outlook == "nothing"
    assert comes_in == pytest.approx(7200 - up + 10, abs=0.01)
    assert words == (
        "nothing yet: uptime is 61.0 min (it takes > 2h); restarts in 59 min 9 s unless anything else changes"
    )
    agent.clock.advance(7200 - up + 9)
    agent.tick(12)
    assert agent.did == [("restart", "web")]


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("uptime > 2h and age < 2h", id="too old by then"),
        pytest.param("uptime > 2h and memory.percent > 90%", id="not by time alone"),
        pytest.param("uptime < 5m", id="it was true before"),
        pytest.param("uptime > 2h and uptime < 7205s", id="not for long enough"),
    ],
)
def test_what_time_alone_does_not_make_true_has_no_moment(when: str) -> None:
    agent = host(YOUNG.replace("uptime > 2h and age < 1d", when))
    agent.tick(2, memory_percent=10.0)

    outlook, words, comes_in = coming(agent, "young")
    assert (outlook, comes_in) == ("nothing", None)
    assert "; restarts" not in words


def test_of_two_moments_the_first_counts_and_a_guard_is_heard() -> None:
    agent = host(YOUNG.replace("age < 1d", "age > 3h or uptime > 90m") + '  windows: [{cron: "0 3 * * *", for: 1h}]\n')
    agent.tick()

    _, words, _ = coming(agent, "young")
    assert "; fires in 29 min 9 s unless anything else changes; restart is then held by outside_window for " in words


def test_what_is_not_known_is_told_as_that() -> None:
    agent = host(FULL)
    agent.tick()
    assert coming(agent, "full") == ("unknown", "not known: memory.percent is not known", None)


def test_a_guard_that_is_over_before_the_condition_fires_holds_nothing() -> None:
    agent = host(HEAL.replace("10s", "60s"))
    sick(agent, seconds=60)
    agent.carry_out()
    agent.docker.health()
    agent.deliver()
    agent.tick(2)
    found = row(agent, "heal")
    assert {each["guard"] for each in found["guards"] if each["answer"] == "holds"} >= {"cooldown", "backoff"}
    assert found["next"]["outlook"] == "counting"
    assert found["next"]["words"] == "restarts in 59 s unless healthy"
    assert found["next"]["budget"] == "budget 1 of 5 in 30 min"


def test_what_waits_says_by_which_guards_and_until_when_at_the_earliest() -> None:
    agent = host(HEAL.replace("10s", "1s").replace("then", "cooldown: 90s, backoff: {initial: 60s}, then"))
    sick(agent, seconds=2)
    agent.carry_out()
    agent.docker.health()
    agent.deliver()
    agent.tick(10)
    outlook, words, in_seconds = coming(agent, "heal")
    assert outlook == "held"
    assert words == "restart is held by cooldown and backoff for 1 min 20 s at the earliest, then done unless healthy"
    assert in_seconds == 80.0
    assert row(agent, "heal")["wanted"]["verb"] == "restart"
    assert row(agent, "heal")["guard"] == "cooldown"
    holding = [each for each in row(agent, "heal")["guards"] if each["answer"] == "holds"]
    assert [each["guard"] for each in holding] == ["cooldown", "backoff"]


def test_when_the_moment_has_come_it_is_done() -> None:
    agent = host(HEAL.replace("10s", "1s"))
    sick(agent, seconds=2)
    agent.carry_out()
    sick(agent, seconds=6)
    _, words, in_seconds = coming(agent, "heal")
    assert words.startswith("restart is held by ")
    assert in_seconds is not None
    agent.tick(int(in_seconds) - 1)
    assert len(agent.did) == 1
    agent.tick(2)
    assert len(agent.did) == 2


def test_one_guard_whose_end_is_not_known_leaves_the_moment_open() -> None:
    labels = {"com.docker.compose.project": "s", "com.docker.compose.service": "web"}
    agent = Host(HEAL.replace("10s", "1s"), first_start=True)
    agent.docker.create(
        "web", check=True, silent=True, labels=labels | {"com.docker.compose.depends_on": "db:service_healthy:true"}
    )
    agent.docker.create("db", check=True, silent=True, labels=labels | {"com.docker.compose.service": "db"})
    agent.connect()
    agent.clock.advance(60)
    agent.docker.health("db")
    sick(agent, seconds=3)
    assert coming(agent, "heal") == ("held", "restart is held by dependency for as long as that lasts", None)
    agent.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="heal"), length=600))
    assert coming(agent, "heal") == (
        "held",
        "restart is held by dependency for as long as that lasts, and by paused for 10 min at the earliest",
        None,
    )


@pytest.mark.parametrize(
    ("policies", "fields", "reason"),
    [
        (HEAL.replace("when", "mode: shadow, when"), {}, "shadow mode: it decides and does not act"),
        (HEAL, {"mode": "observe"}, "observe mode: the agent decides and acts on nothing"),
        (HEAL, {"protection": Protection(peers=frozenset({"web"}))}, "web is the broker"),
    ],
)
def test_what_is_never_done_says_so_before_and_when_it_fires(
    policies: str, fields: dict[str, Any], reason: str
) -> None:
    agent = host(policies, **fields)
    sick(agent, seconds=4)
    outlook, words, _ = coming(agent, "heal")
    assert outlook == "never"
    assert words.startswith(f"fires in 6 s unless healthy; restart is then not done: {reason}")
    agent.tick(8)
    outlook, words, _ = coming(agent, "heal")
    assert outlook == "never"
    assert words.startswith(f"restart is wanted, and is not done: {reason}")
    assert row(agent, "heal")["guard"] in {"mode", "protected"}
    assert agent.did == []


def test_what_needs_a_yes_says_so_before_and_by_which_command_it_is_given() -> None:
    agent = host(HEAL.replace("when", "mode: approve, when"))
    sick(agent, seconds=4)
    assert coming(agent, "heal") == (
        "counting",
        "fires in 6 s unless healthy; restart is then held by mode until a person approves it",
        None,
    )
    agent.tick(7)
    (approval,) = agent.pipeline.decisions.circumstances.approvals.waiting()
    words = f"restart is held by mode until a person approves it (approve {approval.id})"
    assert coming(agent, "heal") == ("held", words, None)
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=600.0))
    assert coming(agent, "heal")[1] == f"{words}, and by paused for 10 min at the earliest"


def test_a_budget_that_is_used_up_opens_its_breaker_and_that_is_said_before() -> None:
    agent = host(HEAL.replace("then", "cooldown: 0s, backoff: {initial: 0s}, budget: {max: 1, per: 20m}, then"))
    sick(agent, seconds=11)
    agent.carry_out()
    sick(agent, seconds=8)
    outlook, words, in_seconds = coming(agent, "heal")
    assert outlook == "counting"
    assert words == (
        "fires in 2 s unless healthy; restart is then held by budget for 30 min 2 s (its breaker opens: one more is "
        "wanted than the budget allows), then done"
    )
    assert in_seconds == 1802.0
    assert list(agent.pipeline.decisions.breaking.told(agent.clock.now())) == []
    agent.tick(3)
    (breaker,) = agent.pipeline.decisions.breaking.told(agent.clock.now())
    opened = float(str(breaker["since"]))
    assert breaker == {
        "scope": "container",
        "name": "web",
        "phase": "open",
        "opened_by": "heal",
        "times_opened": 1,
        "budget": {"max": 1, "per": 1200.0},
        "cause": "1 action on web within 20m did not help",
        "since": opened,
        "probe": None,
        "probe_at": pytest.approx(opened + 1800, abs=0.01),
    }
    assert coming(agent, "heal")[1].startswith("restart is held by breaker and budget for 29 min 5")


STOPS = "its breaker opens (one more is wanted than the budget allows), and it is stopped (on_open: stop)"


def test_a_breaker_that_stops_what_it_holds_says_so_before() -> None:
    keys = "cooldown: 0s, backoff: {initial: 0s}, budget: {max: 1, per: 20m, on_open: stop}"
    agent = host(HEAL.replace("then", f"{keys}, then"))
    sick(agent, seconds=11)
    agent.carry_out()
    sick(agent, seconds=8)
    assert coming(agent, "heal") == (
        "counting",
        f"fires in 2 s unless healthy; restart is then held by budget: {STOPS}",
        None,
    )
    agent.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="heal"), length=60.0))
    agent.tick(3)
    assert coming(agent, "heal") == ("held", f"restart is held by paused for 57 s; then {STOPS}", None)
    agent.tick(57)
    assert agent.did == [("restart", "web"), ("stop", "web")]


def test_a_breaker_that_has_another_policy_stop_it_says_so_before() -> None:
    heal = HEAL.replace("then", "cooldown: 0s, backoff: {initial: 0s}, budget: {max: 1, per: 20m}, then")
    agent = host(heal + FULL.replace("for: 1m", "budget: {on_open: stop}"))
    sick(agent, seconds=11)
    agent.carry_out()
    sick(agent, seconds=8)
    stops = STOPS.replace("it is stopped", "policy full stops it")
    words = f"fires in 2 s unless healthy; restart is then held by budget: {stops}"
    assert coming(agent, "heal") == ("counting", words, None)
    agent.tick(3)
    assert agent.did == [("restart", "web"), ("stop", "web")]


def test_that_another_policy_s_breaker_is_about_to_stop_it_is_said() -> None:
    keys = "cooldown: 0s, backoff: {initial: 0s}, budget: {max: 1, per: 20m, on_open: stop}"
    agent = host(HEAL.replace("then", f"{keys}, then") + FULL)
    sick(agent, seconds=11)
    agent.carry_out()
    agent.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="heal"), length=60.0))
    sick(agent, seconds=11)
    left = coming(agent, "heal")[1].removeprefix("restart is held by ")
    assert coming(agent, "full")[1].endswith(f"; policy heal wants a restart, held by {left}")
    assert STOPS in left
    assert "policy full" not in coming(agent, "heal")[1]
    agent.tick(60)
    assert agent.did == [("restart", "web"), ("stop", "web")]
    assert coming(agent, "full")[1].startswith("stop under way for")


def test_a_stop_that_answers_a_breaker_and_is_held_is_explained() -> None:
    heal = HEAL.replace("then", "cooldown: 0s, backoff: {initial: 0s}, budget: {max: 1, per: 20m}, then")
    agent = host(heal + FULL.replace("for: 1m", "budget: {on_open: stop}"))
    agent.see(PauseAsked(what=Paused(scope=PauseScope.POLICY, name="full"), length=600.0))
    sick(agent, seconds=11)
    agent.carry_out()
    assert row(agent, "full", "web")["wanted"] is None
    sick(agent, seconds=11)

    found = row(agent, "full", "web")

    assert found["wanted"]["verb"] == "stop"
    assert found["next"]["words"].startswith("stop is held by paused for 9 min")
    asked = {each["guard"]: each["answer"] for each in found["guards"]}
    assert (asked["paused"], asked["budget"]) == ("holds", "not_asked")
    stops = "; policy full stops it, as its breaker is open (on_open: stop), held by paused"
    assert coming(agent, "heal")[1].endswith(stops)


@pytest.mark.parametrize(
    ("cooldown", "words"),
    [
        ("5m", "cooldown and budget for 32 min 1 s at the earliest (its breaker opens: one more is wanted than the"),
        ("20m", "cooldown and budget for 17 min 1 s at the earliest, then done"),
    ],
)
def test_a_breaker_opens_only_once_the_guards_before_it_have_let_go(cooldown: str, words: str) -> None:
    keys = f"cooldown: {cooldown}, backoff: {{initial: 0s}}, budget: {{max: 1, per: 10m}}, then"
    agent = host(HEAL.replace("then", keys))
    sick(agent, seconds=11)
    agent.carry_out()
    sick(agent, seconds=178)
    assert coming(agent, "heal")[1].startswith(f"restart is held by {words}")
    agent.tick(123)
    opened = [breaker["phase"] for breaker in agent.pipeline.decisions.breaking.told(agent.clock.now())]
    assert opened == (["open"] if "opens" in words else [])


def test_what_an_opening_breaker_would_let_pass_waits_for_room_in_the_budget_too() -> None:
    keys = "cooldown: 0s, backoff: {initial: 0s}, budget: {max: 1, per: 10m, probe_after: 1m}, then"
    agent = host(HEAL.replace("then", keys))
    sick(agent, seconds=11)
    agent.carry_out()
    begun = agent.intents[0].at
    sick(agent, seconds=8)

    _, words, in_seconds = coming(agent, "heal")

    assert in_seconds == pytest.approx(begun + 600 - agent.clock.wall, abs=2)
    assert "is then held by budget for 9 min 5" in words
    agent.tick(int(in_seconds or 0) - 5)
    assert len(agent.intents) == 1
    agent.tick(7)
    assert len(agent.intents) == 2


def test_a_breaker_that_tries_says_what_it_lets_pass() -> None:
    agent = host(
        HEAL.replace("then", "cooldown: 0s, backoff: {initial: 0s}, budget: {max: 1, per: 10s, probe_after: 1m}, then")
    )
    sick(agent, seconds=10)
    agent.carry_out()
    agent.tick(11)
    decisions = agent.pipeline.decisions
    wanted = agent.intents[0].decision
    decisions.breaking.breakers.open(Scope(ScopeKind.CONTAINER, "web"), Budget(most=1), wanted, agent.clock.now(), "")
    decisions.breaking.breakers.began(wanted, agent.clock.now())
    (breaker,) = decisions.breaking.told(agent.clock.now())
    assert (breaker["phase"], breaker["probe_at"]) == ("half_open", None)
    assert breaker["probe"] == {"policy": "heal", "target": "web", "verb": "restart", "since": agent.clock.wall}


def test_what_only_tells_says_that_it_has_told() -> None:
    agent = host(DISK)
    agent.tick(3, host_disk_percent=80.0)
    assert coming(agent, "disk", None) == ("nothing", "nothing: host.disk.percent is 80.0 % (it takes > 85%)", None)
    agent.tick(3, host_disk_percent=90.0)
    assert coming(agent, "disk", None) == ("counting", "notifies in 3 s unless its condition ends", 3.0)
    agent.tick(4, host_disk_percent=90.0)
    assert len(agent.told) == 1
    assert coming(agent, "disk", None)[:2] == (
        "told",
        "it fires and has told so; it tells again once that has ended and come anew",
    )
    assert row(agent, "disk")["kind"] == "host"
    assert coming(agent, "disk", "h1")[0] == "told"


def test_firing_that_is_only_kept_does_nothing_and_says_for_how_long() -> None:
    agent = host(DISK.replace("then", "keep_for: 1m, then"))
    agent.tick(8, host_disk_percent=90.0)
    agent.tick(3, host_disk_percent=80.0)
    assert coming(agent, "disk", None)[1].endswith("; it goes on firing for 58 s (keep_for), which does nothing")


# --- events and times -------------------------------------------------------------------------------------------------


def test_a_policy_on_events_says_which_and_what_the_guards_would_say() -> None:
    agent = host(REVIVE, "web", "db")
    agent.tick()
    assert coming(agent, "revive") == ("event", "restarts on container die, if where is true of it", None)
    assert coming(agent, "revive", "db") == (
        "nothing",
        'nothing on container die: name is "db" (it takes any but "db")',
        None,
    )
    (of_event, of_name) = row(agent, "revive", "web")["condition"]["comparisons"]
    assert (of_event["true"], of_name["true"]) == (None, True)
    agent.docker.crash()
    agent.deliver()
    agent.carry_out()
    words = coming(agent, "revive")[1]
    assert words == (
        "restart is wanted on container die, if where is true of it; as things are it would be held by starting, "
        "cooldown and backoff for 30 s at the earliest"
    ), words
    agent.docker.crash()
    agent.deliver()
    outlook, words, _ = coming(agent, "revive")
    assert outlook == "held"
    assert words.endswith("at the earliest, then done unless it is overtaken")
    assert row(agent, "revive", "web")["wanted"]["reason"] == "exit code 1"


def test_a_schedule_says_its_next_time() -> None:
    agent = host(NIGHTLY)
    agent.tick()
    outlook, words, in_seconds = coming(agent, "nightly")
    assert outlook == "time"
    assert words == "restarts at 2026-09-22 03:30 UTC (in 13 h 15 min)"
    assert in_seconds == 1_790_047_800 - agent.clock.wall
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=86400.0))
    assert coming(agent, "nightly")[1] == (
        "restart is wanted at 2026-09-22 03:30 UTC (in 13 h 15 min); as things are it would be held by paused for 1 d, "
        "and given up after 1 h"
    )


# --- whom it is about -------------------------------------------------------------------------------------------------


def test_all_targets_come_with_the_closest_first_in_pages() -> None:
    agent = host(FULL, *(f"c{number:03}" for number in range(130)), "web")
    agent.tick(2, memory_percent=50.0)
    agent.docker.create("zz", check=True)
    agent.deliver()
    agent.tick(1, memory_percent=50.0)
    pages = [explain(agent, "full", offset=offset, limit=100) for offset in (0, 100, 200)]
    names = [each["target"] for page in pages for each in page["targets"]]
    assert [len(page["targets"]) for page in pages] == [100, 32, 0]
    assert all(page["total"] == 132 for page in pages)
    assert len(set(names)) == 132
    agent = host(HEAL, "w1", "w2", "w3", "w4")
    sick(agent, "w3", seconds=3)
    sick(agent, "w2")
    assert [each["target"] for each in explain(agent, "heal")["targets"]] == ["w3", "w2", "w1", "w4"]
    sick(agent, "w3", seconds=8)
    assert [each["target"] for each in explain(agent, "heal", limit=1)["targets"]] == ["w3"]


def test_who_is_not_selected_is_told_which_part_does_not_match() -> None:
    agent = host(HEAL, "web", "db")
    found = row(agent, "heal", "db")
    assert found["selected"] is False
    assert found["mismatches"] == ["name: it is db, not w*"]
    assert found["next"] == {
        "outlook": "not_selected",
        "words": "nothing: the policy does not select db",
        "at": None,
        "budget": "",
    }
    assert found["guards"] == []


def test_a_policy_that_is_off_says_so() -> None:
    agent = host(HEAL.replace("when", "mode: off, when"))
    sick(agent)
    assert coming(agent, "heal") == ("off", "nothing: the policy is off", None)
    assert row(agent, "heal")["guards"] == []


@pytest.mark.parametrize(
    ("policy", "target", "said"),
    [
        ("heel", None, "there is no policy 'heel'; did you mean heal?"),
        ("heal", "wep", "there is no container 'wep'; did you mean web?"),
        ("disk", "web", "policy disk is about the host, not about containers: leave the target out"),
    ],
)
def test_who_can_t_be_found_is_told_with_the_nearest_name(policy: str, target: str | None, said: str) -> None:
    agent = host(HEAL + DISK)
    with pytest.raises(PermanentError) as refused:
        named(agent.pipeline, policy, target)
    assert str(refused.value) == said


def test_what_is_only_in_a_folder_with_problems_is_told_as_that() -> None:
    agent = host(HEAL)
    agent.see(PoliciesRejected(problems=("a.yaml:1:1: no",), at=NOW))
    with pytest.raises(PermanentError, match="the policy folder has 1 problem, so what is new in it is not in force"):
        named(agent.pipeline, "brand-new", None)
    assert explain(agent, "heal")["problems"] == 1


def test_explaining_changes_nothing() -> None:
    agent = host(HEAL + FULL + REVIVE + NIGHTLY + DISK, "web", "db", shared_cause=SharedCauseRule())
    sick(agent, seconds=11)
    agent.carry_out()
    sick(agent, seconds=3)
    decisions = agent.pipeline.decisions

    def seen() -> object:
        return deepcopy(
            (
                decisions.agenda.waiting,
                decisions.breaking.ledger,
                decisions.breaking.breakers,
                decisions.cooling.cooldowns,
                decisions.circumstances,
                decisions.conditions.counts(),
                agent.pipeline.publication.out,
            )
        )

    before = seen()
    for policy in ("heal", "full", "revive", "nightly", "disk"):
        for by_hand in (False, True):
            explain(agent, policy, by_hand=by_hand)
    assert seen() == before


def test_the_numbers_of_a_search_for_shared_causes_are_told() -> None:
    agent = host(HEAL, "web", "w2", "w3", "w4", shared_cause=SharedCauseRule())
    sick(agent, "w2")
    (said,) = (each for each in row(agent, "heal", "web")["guards"] if each["guard"] == "shared_cause")
    assert said["reason"] == "1 of 4 containers failed in 2m; from 3 on that is one cause"
    assert said["numbers"]["holds_from"] == 3


def test_an_engine_that_is_away_leaves_a_condition_unknown() -> None:
    agent = host(HEAL)
    sick(agent, seconds=3)
    agent.see(EngineLost(reason="gone", at=agent.clock.wall))
    agent.tick()
    found = row(agent, "heal", "web")
    assert found["next"]["outlook"] == "unknown"
    assert {each["guard"] for each in found["guards"] if each["answer"] == "holds"} >= {"engine_down", "stale"}


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done_though_nothing_is_wrong() -> None:
    agent = host(HEAL + NIGHTLY + REVIVE)
    agent.tick()
    for policy in ("heal", "nightly", "revive"):
        assert coming(agent, policy, by_hand=True) == ("now", "restarts at once", 0.0)
    agent.see(PauseAsked(what=Paused(scope=PauseScope.AGENT), length=60.0))
    assert coming(agent, "heal", by_hand=True) == ("held", "restart would be held by paused for 1 min, then done", 60.0)


def test_a_dry_run_of_what_is_so_already_says_that() -> None:
    agent = host(HEAL.replace("restart: {}", "unpause: {}"))
    assert coming(agent, "heal", by_hand=True)[:2] == ("nothing", "nothing: web is not paused")


def test_a_dry_run_of_what_is_shadowed_says_that_it_would_not_be_done() -> None:
    agent = host(HEAL.replace("when", "mode: shadow, when"))
    assert coming(agent, "heal", by_hand=True)[:2] == (
        "never",
        "restart would not be done: shadow mode: it decides and does not act",
    )


@pytest.mark.parametrize(
    ("policies", "target", "said"),
    [
        (HEAL.replace("when", "mode: off, when"), None, "policy heal is off: give it another mode first"),
        (HEAL, "db", "policy heal does not select db: name: it is db, not w"),
        (HEAL.replace("w*", "x*"), None, "policy heal selects no container that there is"),
        ("- {name: heal, on: {container: oom}, then: {notify: {}}}", None, "its event names one: name a target"),
    ],
)
def test_what_can_t_be_set_off_is_refused_with_the_reason(policies: str, target: str | None, said: str) -> None:
    agent = host(policies, "web", "db")
    policy, record = named(agent.pipeline, "heal", target)
    with pytest.raises(PermanentError) as refused:
        must_be_set_off(agent.pipeline, policy, record)
    assert said in str(refused.value)


def test_a_policy_on_events_that_selects_nobody_is_about_any_container() -> None:
    agent = host("- {name: oom, on: {container: oom}, then: {notify: {}}}", "web", "db")
    assert [each["target"] for each in explain(agent, "oom")["targets"]] == ["db", "web"]
