"""What every guard says to one question: each one that holds, each one that passes, and that it is what `ask` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings, strategies as st

from tests.support.core import NOW, container, container_id
from tests.support.numbers import examples
from tests.support.questions import MOMENT, a_policy, a_question, acted, of_a_service, record_of
from watchtower_agent.model.container import ContainerStatus, Health
from watchtower_agent.model.decision import Guard, Number, Target, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.pause import Pause, Paused, PauseScope
from watchtower_agent.model.service import CloneFacts
from watchtower_agent.model.shared_cause import CauseKind, FailureCount, SharedCause, SharedCauseRule
from watchtower_agent.policies.guards.account import Stance, Statement, account, first_holding
from watchtower_agent.policies.guards.circumstances import ENGINE_RESTARTS
from watchtower_agent.policies.guards.futility import Use
from watchtower_agent.policies.guards.ledger import HOST, Scope, ScopeKind, policy_scope
from watchtower_agent.policies.guards.order import ask
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.policy import Budget
from watchtower_agent.state.attribution import EndCause, OperatorIntent

EXITED = container(status=ContainerStatus.EXITED)
CHECKED = container(health=Health.UNHEALTHY, health_start_period=30.0, health_interval=10.0)
NEEDS = {"com.docker.compose.project": "shop", "com.docker.compose.depends_on": "db:service_healthy:false"}
DB = container(
    "db",
    labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "db"},
    health=Health.UNHEALTHY,
)
RESTARTED = OperatorIntent(action="restart", at=NOW - 100, until=NOW + 800)
LONG_AGO = OperatorIntent(action="restart", at=NOW - 1000, until=NOW - 100)
RULE = SharedCauseRule()
WEB = Scope(ScopeKind.CONTAINER, "web")
OPEN_NOW = 'windows: [{cron: "* * * * *", for: 2m, timezone: UTC}]'
CLOSED_NOW = 'windows: [{cron: "0 3 * * *", for: 1h, timezone: UTC}]'  # it is 14:13 in UTC


def engine(asked: Question, **fields: object) -> Question:
    for name, value in fields.items():
        setattr(asked.state.engine, name, value)
    return asked


def cooled(ago: float) -> Question:
    asked = a_question(record_of())
    asked.cooldowns.acted(asked.decision, Instant(wall=0.0, monotonic=MOMENT.monotonic - ago))
    return asked


def tried(*ago: float, keys: str = "", breaker: Scope | None = None, since: float = 0.0) -> Question:
    asked = a_question(record_of(), under=a_policy(keys))
    for each in ago:
        acted(asked, each)
    if breaker is not None:
        opened = Instant(wall=NOW - since, monotonic=MOMENT.monotonic - since)
        asked.breakers.open(breaker, Budget(), asked.decision, opened, "")
    return asked


def in_vain(*names: str) -> Question:
    asked = a_question(record_of())
    for name in names:
        other = replace(asked.decision, target=replace(asked.decision.target, name=name))
        asked.futility.judged(other, Use.IN_VAIN, MOMENT)
    return asked


def paused() -> Question:
    asked = a_question(record_of())
    what = Paused(scope=PauseScope.POLICY, name="p")
    asked.circumstances.pauses.by[what] = Pause(what=what, since=MOMENT, length=600.0, reason="we move")
    return asked


def one_cause() -> Question:
    asked = a_question(record_of())
    asked.circumstances.shared_cause = SharedCause(
        kind=CauseKind.FAILURES,
        reason="10 of 30 containers died",
        numbers={"failed": 10, "selected": 30},
        since=MOMENT,
        seen=MOMENT,
        hold=300.0,
    )
    return asked


def approved() -> Question:
    asked = a_question(record_of(), under=a_policy("mode: approve"))
    approvals = asked.circumstances.approvals
    approvals.ask(asked.decision, 600.0, MOMENT)
    (waiting,) = approvals.waiting()
    approvals.answer(waiting, approves=True, because="", now=MOMENT)
    return asked


def pruned(*ago: float, verb: Verb = Verb.PRUNE) -> Question:
    """Passes of the policy, or restarts of the engine, so many seconds ago."""
    asked = a_question(verb=verb)
    target = Target(kind=TargetKind.HOST, name="h1")
    twice = replace(asked.policy, budget=Budget(most=2, per=10800.0), cooldown=None)
    asked = replace(asked, policy=twice, decision=replace(asked.decision, target=target))
    circumstances, of_engine = asked.circumstances, verb is Verb.RESTART_ENGINE
    begun, name = (circumstances.engine_restarts, ENGINE_RESTARTS) if of_engine else (circumstances.passes, "p")
    for each in ago:
        begun.began(name, f"before-{each}", Instant(wall=NOW - each, monotonic=MOMENT.monotonic - each))
    return asked


AGAINST = CloneFacts(blockers=("it publishes port 80",), volumes=("data at /data",))


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a guard says to a question.

    Attributes:
        asked: The question.
        words: What its sentence contains.
        numbers: Among its numbers.
        release_in: When it lets pass, seconds from now.
    """

    asked: Callable[[], Question]
    words: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    release_in: float | None = None


HOLDS: Mapping[Guard, Case] = {
    Guard.PROTECTED: Case(
        asked=lambda: a_question(record_of(container(labels={"watchtower-agent.protect": "true"}))),
        words="carries the label watchtower-agent.protect",
    ),
    Guard.MODE: Case(asked=lambda: a_question(record_of(), under=a_policy("mode: shadow")), words="shadow mode"),
    Guard.PAUSED: Case(
        asked=paused,
        words="policy p is paused for 10m: we move",
        numbers={"paused": "policy", "paused_for": 600.0},
        release_in=600.0,
    ),
    Guard.OUTSIDE_WINDOW: Case(
        asked=lambda: a_question(record_of(), under=a_policy(CLOSED_NOW)),
        words="the next opens at 2026-09-22 03:00 UTC for 1h",
        numbers={"windows": 1, "cron": "0 3 * * *", "opens_in": 46000.0},
        release_in=46000.0,
    ),
    Guard.OPERATOR_INTENT: Case(
        asked=lambda: a_question(record_of(operator=RESTARTED)),
        words="someone else did a restart on web",
        numbers={"operator_action": "restart", "operator_at": NOW - 100},
        release_in=800.0,
    ),
    Guard.ENGINE_DOWN: Case(
        asked=lambda: engine(a_question(record_of()), connected=False, last_error="refused", since=NOW - 9),
        words="the engine does not answer: refused",
        numbers={"down_since": NOW - 9},
    ),
    Guard.STALE: Case(
        asked=lambda: engine(a_question(record_of()), alive_at=MOMENT.monotonic - 20.0),
        words="no sign of life for 20.0 s",
        numbers={"silent_for": 20.0, "silence_allowed": 15.0},
    ),
    Guard.STARTING: Case(
        asked=lambda: a_question(record_of(CHECKED, started=NOW - 12)),
        words="running for 12 s; its health counts after 40 s",
        numbers={"uptime": 12.0, "start_period_and_grace": 40.0},
        release_in=28.0,
    ),
    Guard.RESTART_POLICY: Case(
        asked=lambda: a_question(
            record_of(container(status=ContainerStatus.EXITED, restart_policy="always"), end_cause=EndCause.ITSELF)
        ),
        words="by its own restart policy (always)",
        numbers={"restart_policy": "always"},
        release_in=2.0,
    ),
    Guard.DEPENDENCY: Case(
        asked=lambda: a_question(record_of(container(labels=NEEDS)), record_of(DB)),
        words="web depends on db (unhealthy)",
        numbers={"dependency": "db", "dependency_is": "unhealthy", "dependencies_not_well": 1},
    ),
    Guard.PREFLIGHT: Case(
        asked=lambda: of_a_service(a_question(record_of(container(cloning=AGAINST)))),
        words="no other container can be made like web: it publishes port 80; it writes to data at /data, which",
        numbers={"original": "web", "blockers": 2},
    ),
    Guard.COOLDOWN: Case(
        asked=lambda: cooled(12.0),
        words="acted 12.0 s ago (cooldown: 30s)",
        numbers={"since_last_action": 12.0, "cooldown": 30.0},
        release_in=18.0,
    ),
    Guard.BACKOFF: Case(
        asked=lambda: tried(2.0, 1.0),
        words="brought back 2 times and not well for long since",
        numbers={"attempts": 2, "since_last_attempt": 1.0},
    ),
    Guard.BREAKER: Case(
        asked=lambda: tried(breaker=WEB, since=60.0),
        words="the breaker is open: 5 actions on web within 30m are as many as may be",
        numbers={"scope": "container", "opened_by": "p", "times_opened": 1, "probe_after": 1800.0},
        release_in=1740.0,
    ),
    Guard.BUDGET: Case(
        asked=lambda: tried(500.0, 400.0, 300.0, keys="budget: {max: 3, per: 10m}"),
        words="3 actions on web within 10m: more are not allowed",
        numbers={"scope": "container", "used": 3, "max": 3, "per": 600.0},
        release_in=100.0,
    ),
    Guard.SHARED_CAUSE: Case(
        asked=one_cause,
        words="10 of 30 containers died: for 5m after that",
        numbers={"failed": 10, "selected": 30, "hold": 300.0},
        release_in=300.0,
    ),
}

OTHER_BUDGETS: tuple[tuple[Guard, Case], ...] = (
    (
        Guard.BUDGET,
        Case(
            asked=lambda: pruned(9000.0, 7000.0),
            words="pruned 2 times in 3h, which is all that it may (budget)",
            numbers={"passes": 2, "budget": 2, "per": 10800.0},
            release_in=1800.0,
        ),
    ),
    (
        Guard.BUDGET,
        Case(
            asked=lambda: pruned(9000.0, 7000.0, verb=Verb.RESTART_ENGINE),
            words="the engine was restarted 2 times in 3h, which is all that may be (budget): look at it",
            numbers={"restarts": 2, "budget": 2, "per": 10800.0},
            release_in=1800.0,
        ),
    ),
    (
        Guard.COOLDOWN,
        Case(
            asked=lambda: pruned(9000.0, 600.0, verb=Verb.RESTART_ENGINE),
            words="the engine was restarted 10m ago (cooldown, whichever policy did it: 15m)",
            numbers={"since_last_action": 600.0, "cooldown": 900.0},
            release_in=300.0,
        ),
    ),
)

PASSES: Mapping[Guard, tuple[Case, ...]] = {
    Guard.PROTECTED: (
        Case(asked=lambda: a_question(record_of()), words="nothing protects web"),
        Case(
            asked=lambda: a_question(
                record_of(container(image="postgres:16")),
                under=a_policy(select="{name: web}"),
                protection=Protection(stateful_images=frozenset({"postgres"})),
            ),
            words="runs the stateful image postgres, and the policy selects it",
            numbers={"stateful_image": "postgres"},
        ),
    ),
    Guard.MODE: (
        Case(asked=lambda: a_question(record_of()), words="enforce", numbers={"mode": "enforce"}),
        Case(
            asked=approved,
            words="approve mode: a person has approved it",
            numbers={"mode": "approve"},
        ),
        Case(
            asked=lambda: a_question(record_of(), verb=Verb.NOTIFY, under=a_policy("mode: approve")),
            words="a notify needs no approval",
            numbers={"approval": None},
        ),
    ),
    Guard.PAUSED: (Case(asked=lambda: a_question(record_of()), words="neither agent, policy nor container"),),
    Guard.OUTSIDE_WINDOW: (
        Case(asked=lambda: a_question(record_of()), words="no maintenance windows", numbers={"windows": 0}),
        Case(
            asked=lambda: a_question(record_of(), under=a_policy(OPEN_NOW)),
            words="open until 14:15 UTC (1 min 40 s)",
            numbers={"windows": 1, "cron": "* * * * *", "for": 120.0, "timezone": "UTC", "closes_in": 100.0},
        ),
    ),
    Guard.OPERATOR_INTENT: (
        Case(asked=lambda: a_question(record_of()), words="nobody else has stopped"),
        Case(
            asked=lambda: a_question(record_of(operator=LONG_AGO)),
            words="did a restart on web 16 min 40 s ago, which counts for 15 min",
            numbers={"operator_action": "restart", "operator_at": NOW - 1000},
        ),
        Case(
            asked=lambda: a_question(
                record_of(EXITED, end_cause=EndCause.OPERATOR, settled_after_end=True),
                under=a_policy("restart_stopped: true"),
            ),
            words="ended on purpose, and the policy acts on that, too",
            numbers={"restart_stopped": True},
        ),
    ),
    Guard.ENGINE_DOWN: (
        Case(
            asked=lambda: engine(a_question(record_of()), latency=0.0023),
            words="answers, the last time after 2 ms",
            numbers={"latency": 0.0023},
        ),
    ),
    Guard.STALE: (
        Case(
            asked=lambda: engine(a_question(record_of()), alive_at=MOMENT.monotonic - 4.0),
            words="last sign of life from the engine 4.0 s ago (allowed: 15s)",
            numbers={"silent_for": 4.0, "silence_allowed": 15.0},
        ),
    ),
    Guard.STARTING: (
        Case(
            asked=lambda: a_question(record_of(CHECKED, started=NOW - 7200)),
            words="running for 2 h; its health counts after 40 s",
            numbers={"uptime": 7200.0, "start_period_and_grace": 40.0},
        ),
        Case(asked=lambda: a_question(record_of()), words="no health check"),
        Case(asked=lambda: a_question(record_of(CHECKED, started=NOW + 3600)), words="the clock was set back"),
        Case(asked=lambda: a_question(record_of(EXITED, settled_after_end=True)), words="does not run"),
    ),
    Guard.RESTART_POLICY: (
        Case(
            asked=lambda: a_question(record_of(EXITED, settled_after_end=True)),
            words="does not start web by itself",
            numbers={"restart_policy": "no"},
        ),
        Case(
            asked=lambda: a_question(
                record_of(container(status=ContainerStatus.EXITED, restart_policy="always"), settled_after_end=True)
            ),
            words="in spite of --restart always",
            numbers={"restart_policy": "always"},
        ),
        Case(asked=lambda: a_question(record_of()), words="it runs", numbers={"restart_policy": "no"}),
    ),
    Guard.DEPENDENCY: (
        Case(asked=lambda: a_question(record_of()), words="needs no other", numbers={"dependencies": 0}),
        Case(
            asked=lambda: a_question(record_of(container(labels=NEEDS)), record_of(replace(DB, health=Health.HEALTHY))),
            words="nothing that it needs keeps it waiting: db (well)",
            numbers={"dependencies": 1},
        ),
    ),
    Guard.PREFLIGHT: (
        Case(
            asked=lambda: of_a_service(
                a_question(record_of(container(cloning=replace(AGAINST, blockers=())))), sharing=True
            ),
            words="another container can be made like the newest of it that is well",
        ),
        Case(
            asked=lambda: of_a_service(a_question(record_of(container(cloning=AGAINST))), original=None),
            words="no container is made",
        ),
    ),
    Guard.COOLDOWN: (
        Case(
            asked=lambda: cooled(720.0),
            words="acted 12 min ago (cooldown: 30s)",
            numbers={"since_last_action": 720.0, "cooldown": 30.0},
        ),
        Case(
            asked=lambda: a_question(record_of()),
            words="no action of this policy on it lately (cooldown: 30s)",
            numbers={"since_last_action": None, "cooldown": 30.0},
        ),
    ),
    Guard.BACKOFF: (
        Case(
            asked=lambda: tried(400.0, 300.0),
            words="brought back 2 times, the last time 5 min ago; the wait was",
            numbers={"attempts": 2, "since_last_attempt": 300.0},
        ),
        Case(asked=tried, words="not brought back lately (backoff: 10s after", numbers={"attempts": 0}),
    ),
    Guard.BREAKER: (
        Case(
            asked=tried,
            words="closed for web, for policy p and for this host",
            numbers={"container": "closed", "policy": "closed", "host": "closed", "in_vain": 0, "in_vain_max": 5},
        ),
        Case(
            asked=lambda: in_vain("api", "db"),
            words="for this host; 2 of 5 containers in 30m on which policy p was of no use",
            numbers={"in_vain": 2, "in_vain_max": 5},
        ),
        Case(
            asked=lambda: tried(breaker=policy_scope("p"), since=2000.0),
            words="open for policy p for 33 min 20 s, and lets this one pass; closed for web and for this host",
            numbers={"container": "closed", "policy": "open", "times_opened": 1},
        ),
        Case(
            asked=lambda: tried(breaker=HOST, since=2000.0),
            words="open for this host for 33 min 20 s, and lets this one pass; closed for web and for policy p",
            numbers={"container": "closed", "host": "open", "times_opened": 1},
        ),
    ),
    Guard.BUDGET: (
        Case(
            asked=lambda: tried(1700.0, 400.0, 300.0),
            words="3 of 5 actions on web in 30m, 2 of 6 on this host in 10m",
            numbers={
                "used": 3,
                "max": 5,
                "per": 1800.0,
                "oldest_counts_for": 100.0,
                "host_used": 2,
                "host_max": 6,
                "host_per": 600.0,
                "host_oldest_counts_for": 200.0,
            },
        ),
        Case(
            asked=lambda: pruned(9000.0),
            words="pruned 1 of 2 times in 3h",
            numbers={"passes": 1, "budget": 2, "per": 10800.0},
        ),
        Case(
            asked=lambda: pruned(9000.0, verb=Verb.RESTART_ENGINE),
            words="the engine was restarted 1 of 2 times in 3h",
            numbers={"restarts": 1, "budget": 2, "per": 10800.0},
        ),
    ),
    Guard.SHARED_CAUSE: (
        Case(
            asked=lambda: a_question(record_of(), failures=FailureCount(failed=2, selected=30, rule=RULE)),
            words="2 of 30 containers failed in 2m; from 10 on that is one cause",
            numbers={"failed": 2, "selected": 30, "holds_from": 10, "share": 30.0, "within": 120.0},
        ),
        Case(
            asked=lambda: a_question(
                record_of(), failures=FailureCount(failed=2, selected=30, rule=SharedCauseRule(hold=0.0))
            ),
            words="not looked for",
        ),
    ),
}


def said_by(guard: Guard, asked: Question) -> Statement:
    return next(each for each in account(asked) if each.guard is guard)


def test_of_each_guard_there_is_a_case_that_holds() -> None:
    assert list(HOLDS) == list(Guard)


def test_each_guard_is_asked_once_in_its_order() -> None:
    assert [each.guard for each in account(a_question(record_of()))] == list(Guard)


@pytest.mark.parametrize(("guard", "case"), [*HOLDS.items(), *OTHER_BUDGETS])
def test_each_guard_that_holds_says_so_with_its_numbers(guard: Guard, case: Case) -> None:
    asked = case.asked()
    said = next(each for each in account(asked) if each.guard is guard and each.holds)

    assert said.stance is Stance.HOLDS
    assert case.words in said.reason
    assert case.numbers.items() <= said.numbers.items()
    if case.release_in is not None:
        assert said.release_at == pytest.approx(NOW + case.release_in)
    held = ask(asked)
    assert held is not None
    assert held.guard is guard, "the case is about this guard alone"


@pytest.mark.parametrize(
    ("guard", "case"),
    [(guard, case) for guard in Guard for case in PASSES[guard]],
    ids=lambda each: each.value if isinstance(each, Guard) else each.words[:30],
)
def test_each_guard_that_passes_says_why_with_its_numbers(guard: Guard, case: Case) -> None:
    said = said_by(guard, case.asked())

    assert said.stance is Stance.PASSES
    assert case.words in said.reason
    assert case.numbers.items() <= said.numbers.items()


def test_what_is_not_asked_about_is_said_to_be() -> None:
    found = account(a_question(record_of(), verb=Verb.NOTIFY))
    assert {each.guard for each in found if each.stance is not Stance.NOT_ASKED} == {
        Guard.MODE,
        Guard.PAUSED,
        Guard.COOLDOWN,
    }
    stop = account(a_question(record_of(), verb=Verb.STOP))
    assert {each.guard for each in stop if each.stance is Stance.NOT_ASKED} == {
        *(Guard.RESTART_POLICY, Guard.PREFLIGHT, Guard.BACKOFF)
    }


def test_the_stop_that_answers_a_breaker_is_not_paced() -> None:
    asked = tried(1.0, 2.0, 3.0, keys="budget: {max: 3, per: 10m}", breaker=WEB)
    asked.cooldowns.acted(asked.decision, MOMENT)
    found = account(replace(asked, decision=replace(asked.decision, verb=Verb.STOP, last_resort=True)))
    assert {each.guard for each in found if each.stance is Stance.NOT_ASKED} == {
        *(Guard.RESTART_POLICY, Guard.PREFLIGHT, Guard.COOLDOWN, Guard.BACKOFF, Guard.BREAKER, Guard.BUDGET)
    }
    assert first_holding(found) is None


@pytest.mark.parametrize(("failed", "selected"), [(f, s) for f in range(12) for s in (0, 1, 3, 9, 10, 29, 30, 31)])
def test_the_number_from_which_failures_have_one_cause_is_the_least_that_do(failed: int, selected: int) -> None:
    assert RULE.is_shared(failed, selected) is (failed >= RULE.least(selected))


TROUBLES = (
    *(
        "protected",
        "shadow",
        "observe",
        "paused",
        "closed",
        "stopped",
        "operator",
        "away",
        "unlisted",
        "silent",
        "expired",
    ),
    *("young", "by engine", "dependency", "busy dependency", "cooled", "tried", "open", "probing", "shared", "gone"),
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """A few of the things that can speak against an action, together."""
    against = draw(st.sets(st.sampled_from(TROUBLES), max_size=4))
    ended = bool(against & {"stopped", "by engine"})
    made = container(
        status=ContainerStatus.EXITED if ended else ContainerStatus.RUNNING,
        health=draw(st.sampled_from(Health)),
        labels=NEEDS | ({"watchtower-agent.protect": "true"} if "protected" in against else {}),
        restart_policy="always" if "by engine" in against else "no",
        health_start_period=30.0,
    )
    record = record_of(
        made,
        started=NOW - 5 if "young" in against else draw(st.sampled_from([None, NOW - 3600, NOW + 3600])),
        settled_after_end="by engine" not in against,
        end_cause=EndCause.OPERATOR
        if "stopped" in against
        else draw(st.sampled_from([EndCause.NONE, EndCause.ITSELF])),
        operator=RESTARTED if "operator" in against else draw(st.sampled_from([None, LONG_AGO])),
    )
    keys = "mode: shadow" if "shadow" in against else CLOSED_NOW if "closed" in against else ""
    keys = keys or draw(st.sampled_from(["", OPEN_NOW, "cooldown: 5m", "restart_stopped: true"]))
    asked = a_question(
        None if "gone" in against else record,
        record_of(replace(DB, health=Health.UNHEALTHY if "dependency" in against else Health.HEALTHY)),
        verb=draw(st.sampled_from(Verb)),
        under=a_policy(f"budget: {{max: {draw(st.integers(1, 3))}}}, {keys}"),
        protection=Protection(observe="observe" in against),
        failures=draw(st.sampled_from([None, FailureCount(failed=1, selected=3, rule=RULE)])),
        under_way={container_id("db")} if "busy dependency" in against else frozenset(),
    )
    engine(
        asked,
        connected="away" not in against,
        listed="unlisted" not in against,
        alive_at=MOMENT.monotonic - (60.0 if "silent" in against else draw(st.floats(0, 15))),
    )
    if "tried" in against:
        for ago in draw(st.lists(st.floats(0, 3000), min_size=1, max_size=4)):
            acted(asked, ago, name=draw(st.sampled_from(["web", "web", "db"])))
    if "cooled" in against:
        asked.cooldowns.acted(asked.decision, replace(MOMENT, monotonic=MOMENT.monotonic - draw(st.floats(0, 60))))
    if against & {"open", "probing"}:
        for scope in draw(st.sets(st.sampled_from([WEB, policy_scope("p"), HOST]), min_size=1)):
            since = replace(MOMENT, monotonic=MOMENT.monotonic - draw(st.floats(0, 4000)))
            asked.breakers.open(scope, Budget(), asked.decision, since, "")
            if "probing" in against:
                asked.breakers.began(replace(asked.decision, id=draw(st.sampled_from(["d", "other"]))), since)
    if "shared" in against:
        asked.circumstances.shared_cause = one_cause().circumstances.shared_cause
    if "paused" in against:
        asked.circumstances.pauses.by.update(paused().circumstances.pauses.by)
    decision = replace(
        asked.decision, last_resort=draw(st.booleans()), expires_at=NOW + (-1.0 if "expired" in against else 900.0)
    )
    return replace(asked, decision=decision)


@given(questions())
@settings(max_examples=examples(300), deadline=None)
def test_the_first_guard_that_holds_is_the_one_that_ask_names_and_nothing_is_changed(asked: Question) -> None:
    before = deepcopy((asked.breakers, asked.ledger, asked.cooldowns, asked.circumstances))

    found = account(asked)

    held, first = ask(asked), first_holding(found)
    assert (held is None) is (first is None)
    if held is not None and first is not None:
        assert (first.guard, first.reason, first.numbers) == (held.guard, held.reason, held.numbers)
        assert (first.release_at, first.final) == (held.release_at, held.final)
    assert [each.guard for each in found] == list(Guard)
    assert all(each.reason.isprintable() and each.reason for each in found)
    assert (asked.breakers, asked.ledger, asked.cooldowns, asked.circumstances) == before
