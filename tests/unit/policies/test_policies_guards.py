"""Guards: each at its boundaries, their order, and which of them ask about what only tells."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tests.support.core import NOW, container, container_id
from tests.support.questions import MOMENT, a_policy, a_question, record_of
from tests.support.slow_cron import utc
from watchtower_agent.model.container import Container, ContainerStatus, Health
from watchtower_agent.model.decision import Guard, Held, Target, TargetKind, Verb
from watchtower_agent.model.instant import Instant
from watchtower_agent.policies.guards.cooldowns import Cooldowns
from watchtower_agent.policies.guards.ledger import HOST, Scope, ScopeKind
from watchtower_agent.policies.guards.order import ask
from watchtower_agent.policies.guards.protected import stateful_image
from watchtower_agent.policies.guards.protection import Protection
from watchtower_agent.policies.guards.question import Question
from watchtower_agent.policies.policy import Backoff, Budget, Policy
from watchtower_agent.state.attribution import EndCause, OperatorIntent
from watchtower_agent.state.record import ContainerRecord

WIDE = Budget(most=1000, per=1.0)
ACTS = [verb for verb in Verb if verb not in {Verb.NOTIFY, Verb.SCALE, Verb.RESIZE, Verb.PRUNE, Verb.RESTART_ENGINE}]


def guard(asked: Question) -> str | None:
    held = ask(asked)
    return held.guard.value if held is not None else None


@pytest.mark.parametrize("verb", list(Verb))
def test_nothing_stops_what_nothing_speaks_against(verb: Verb) -> None:
    assert ask(a_question(record_of(), verb=verb)) is None


# --- protected ------------------------------------------------------------------------------------------------------


def in_network(mode: str, port: int) -> Container:
    """One whose image exposes the port, and which publishes none."""
    return replace(container(exposed_ports=(port,)), network_mode=mode)


STATEFUL = Protection(stateful_images=frozenset({"postgres", "redis"}))


@pytest.mark.parametrize(
    ("made", "protection", "select", "stops"),
    [
        (container(), Protection(own_containers=(container_id("web"),)), "", True),
        (container(), Protection(own_containers=(container_id("web")[:12],)), "", True),
        (container(), Protection(own_containers=(container_id("db"),)), "", False),
        (container(), Protection(own_containers=("",)), "", False),
        (container(), Protection(peers=frozenset({"web"})), "{name: web}", True),
        (container(labels={"com.docker.compose.service": "mq"}), Protection(peers=frozenset({"mq"})), "", True),
        (container(), Protection(peers=frozenset({"", "mq"})), "", False),
        (container(ports=(80, 1883)), Protection(peer_ports=frozenset({1883})), "", True),
        (container(ports=(80,)), Protection(peer_ports=frozenset({1883})), "", False),
        (in_network("host", 1883), Protection(peer_ports=frozenset({1883})), "{name: web}", True),
        (in_network("host", 80), Protection(peer_ports=frozenset({1883})), "", False),
        (in_network("bridge", 1883), Protection(peer_ports=frozenset({1883})), "", False),
        (container(labels={"watchtower-agent.protect": "true"}), Protection(), "{name: web}", True),
        (container(labels={"watchtower-agent.protect": "True"}), Protection(), "", True),
        (container(labels={"watchtower-agent.protect": "1"}), Protection(), "", True),
        (container(labels={"watchtower-agent.protect": "false"}), Protection(), "", False),
        (container(labels={"watchtower-agent.protect": ""}), Protection(), "", False),
        (container(labels={"io.kubernetes.pod.name": "x"}), Protection(), "{name: web}", True),
        (container(labels={"com.docker.swarm.task.id": "x"}), Protection(), "", True),
        (container(labels={"com.docker.swarm.task": ""}), Protection(), "", True),
        (container(labels={"com.docker.compose.project": "x"}), Protection(), "", False),
        (container(image="postgres:16"), STATEFUL, "", True),
        (container(image="postgres:16"), STATEFUL, '{name: "w*"}', True),
        (container(image="postgres:16"), STATEFUL, "{name: web}", False),
        (container(image="postgres", labels={"heal": "y"}), STATEFUL, "{labels: {heal: y}}", False),
        (container(image="postgres", labels={"heal": "y"}), STATEFUL, '{labels: {heal: "*"}}', True),
        (container(image="postgres"), STATEFUL, "{image: postgres}", True),
        (container(image="postgres-exporter"), STATEFUL, "", False),
        (container(image="postgres"), Protection(), "", False),
    ],
)
def test_protected(made: Container, protection: Protection, select: str, *, stops: bool) -> None:
    asked = a_question(record_of(made), protection=protection, under=a_policy(select=select or '{name: "*"}'))
    held = ask(asked)

    assert (held is not None) is stops
    if held is not None:
        assert (held.guard.value, held.final) == ("protected", True)
        assert "web" in held.reason


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("mcr.example.com/mssql/server:2022-latest", "mssql/server"),
        ("mssql/server", "mssql/server"),
        ("acme/server:1", ""),
        ("notmssql/server", ""),
        ("mssql/server/exporter", ""),
        ("postgres/exporter", ""),
        ("postgres", "postgres"),
        ("postgres:16", "postgres"),
        ("registry:5000/library/postgres:16@sha256:abc", "postgres"),
        ("registry:5000/postgres", "postgres"),
        ("postgres@sha256:abc", "postgres"),
        ("", ""),
    ],
)
def test_a_stateful_image_is_known_by_the_end_of_its_name(reference: str, name: str) -> None:
    assert stateful_image(reference, frozenset({"postgres", "mssql/server"})) == name


# --- mode -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize(
    ("keys", "observe", "stops"),
    [("", False, False), ("mode: shadow", False, True), ("", True, True), ("mode: enforce", False, False)],
)
def test_mode(verb: Verb, keys: str, *, observe: bool, stops: bool) -> None:
    held = ask(
        a_question(
            record_of(), verb=verb, under=a_policy(keys), protection=Protection(observe=observe, restart_engine=True)
        )
    )

    assert (held is not None) is stops
    if held is not None:
        assert (held.guard.value, held.final) == ("mode", True)


# --- operator_intent ------------------------------------------------------------------------------------------------

EXITED = container(status=ContainerStatus.EXITED)
STOPPED = OperatorIntent(action="stop", at=NOW - 3600, until=NOW - 2700)
JUST_NOW = OperatorIntent(action="restart", at=NOW - 100, until=NOW + 800)
ENDED_NOW = OperatorIntent(action="stop", at=NOW - 0.5, until=NOW + 15 * 60 - 0.5)


@pytest.mark.parametrize(
    ("record", "keys", "release_in"),
    [
        (record_of(), "", None),
        (record_of(EXITED, end_cause=EndCause.ITSELF), "", None),
        (record_of(EXITED, end_cause=EndCause.AGENT), "", None),
        (record_of(EXITED, end_cause=EndCause.NONE), "", None),
        (record_of(EXITED, end_cause=EndCause.OPERATOR, operator=STOPPED), "", "never"),
        (record_of(EXITED, end_cause=EndCause.OPERATOR, operator=STOPPED), "restart_stopped: true", None),
        (record_of(EXITED, end_cause=EndCause.OPERATOR, operator=JUST_NOW), "restart_stopped: true", None),
        (record_of(EXITED, end_cause=EndCause.OPERATOR, operator=ENDED_NOW), "restart_stopped: true", 1.5),
        (record_of(EXITED, end_cause=EndCause.OPERATOR), "restart_stopped: true", None),
        (record_of(EXITED, end_cause=EndCause.ITSELF, operator=JUST_NOW), "restart_stopped: true", 800),
        (record_of(EXITED, end_cause=EndCause.UNKNOWN), "", "never"),
        (record_of(EXITED, end_cause=EndCause.UNKNOWN), "restart_stopped: true", None),
        (record_of(operator=JUST_NOW), "", 800),
        (record_of(operator=replace(JUST_NOW, until=NOW)), "", None),
        (record_of(operator=replace(JUST_NOW, until=NOW + 0.1)), "", 0.1),
        (record_of(operator=replace(JUST_NOW, until=NOW + 9000)), "", 900),
    ],
)
@pytest.mark.parametrize("verb", ACTS)
def test_operator_intent(record: ContainerRecord, keys: str, release_in: float | str | None, verb: Verb) -> None:
    held = ask(a_question(replace(record, settled_after_end=True), under=a_policy(keys), verb=verb))

    if release_in is None:
        assert held is None
        return
    assert held is not None
    assert (held.guard.value, held.final) == ("operator_intent", False)
    expected = None if release_in == "never" else pytest.approx(NOW + float(release_in))
    assert held.release_at == expected


# --- engine_down, stale ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connected", "responding", "stops"),
    [(True, True, False), (True, None, False), (True, False, True), (False, True, True), (False, False, True)],
)
def test_engine_down(*, connected: bool, responding: bool | None, stops: bool) -> None:
    asked = a_question(record_of())
    asked.state.engine.connected, asked.state.engine.responding = connected, responding

    assert guard(asked) == ("engine_down" if stops else None)


@pytest.mark.parametrize(
    ("record", "listed", "expires_at", "reason"),
    [
        (record_of(), True, NOW + 1, None),
        (record_of(), True, NOW, None),
        (record_of(), True, NOW - 0.001, "out of date"),
        (record_of(), False, NOW + 1, "not been listed"),
        (None, True, NOW + 1, "not there any more"),
        (record_of(replace(container(), detail=None)), True, NOW + 1, "not been inspected"),
    ],
)
def test_stale(record: ContainerRecord | None, *, listed: bool, expires_at: float, reason: str | None) -> None:
    asked = a_question(record, expires_at=expires_at)
    asked.state.engine.listed = listed
    held = ask(asked)

    assert (held is None) is (reason is None)
    if held is not None and reason is not None:
        assert held.guard.value == "stale"
        assert reason in held.reason


@pytest.mark.parametrize(("silent_for", "stops"), [(0.0, False), (15.0, False), (15.001, True), (3600.0, True)])
def test_an_engine_that_gave_no_sign_of_life_for_too_long_makes_the_picture_stale(
    *, silent_for: float, stops: bool
) -> None:
    asked = a_question(record_of())
    asked.state.engine.alive_at = MOMENT.monotonic - silent_for
    held = ask(asked)

    assert (held is not None) is stops
    if held is not None:
        assert held.guard.value == "stale"
        assert held.numbers == {"silent_for": silent_for, "silence_allowed": 15.0}
        assert f"no sign of life for {silent_for:.1f} s" in held.reason


# --- starting -------------------------------------------------------------------------------------------------------

CHECKED = container(health=Health.UNHEALTHY, health_start_period=30.0, health_interval=10.0)


@pytest.mark.parametrize(
    ("made", "uptime", "release_in"),
    [
        (CHECKED, 0.0, 40.0),
        (CHECKED, 39.9, 0.1),
        (CHECKED, 40.0, None),
        (CHECKED, -5.0, 40.0),
        (CHECKED, -61.0, None),
        (CHECKED, None, None),
        (replace(CHECKED, health=Health.NONE), 1.0, None),
        (replace(CHECKED, status=ContainerStatus.EXITED), 1.0, None),
    ],
)
def test_starting(made: Container, uptime: float | None, release_in: float | None) -> None:
    started = None if uptime is None else NOW - uptime
    held = ask(a_question(record_of(made, started=started, settled_after_end=True, end_cause=EndCause.ITSELF)))

    assert (held.guard.value if held else None) == (None if release_in is None else "starting")
    assert held is None or held.release_at == pytest.approx(NOW + (release_in or 0))


# --- restart_policy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart_policy", ["no", "always", "unless-stopped", "on-failure"])
@pytest.mark.parametrize("status", list(ContainerStatus))
@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("verb", ACTS)
def test_restart_policy(restart_policy: str, status: ContainerStatus, verb: Verb, *, settled: bool) -> None:
    made = container(status=status, restart_policy=restart_policy)
    asked = a_question(record_of(made, settled_after_end=settled, end_cause=EndCause.ITSELF), verb=verb)

    races = (
        restart_policy != "no"
        and status in {ContainerStatus.RESTARTING, ContainerStatus.EXITED}
        and not settled
        and verb in {Verb.RESTART, Verb.START}
    )
    assert guard(asked) == ("restart_policy" if races else None)


# --- cooldown -------------------------------------------------------------------------------------------------------

NOTIFIES = "{notify: {}}"


@pytest.mark.parametrize(
    ("keys", "then", "verb", "since", "left"),
    [
        ("", "{restart: {}}", Verb.RESTART, 0.0, 30.0),
        ("", "{restart: {}}", Verb.RESTART, 29.9, 0.1),
        ("", "{restart: {}}", Verb.RESTART, 30.0, None),
        ("", "{restart: {}}", Verb.RESTART, None, None),
        ("cooldown: 5m", "{restart: {}}", Verb.RESTART, 299.0, 1.0),
        ("cooldown: 5m", "{restart: {}}", Verb.RESTART, 300.0, None),
        ("cooldown: 0s", "{restart: {}}", Verb.RESTART, 0.0, None),
        ("", NOTIFIES, Verb.NOTIFY, 0.0, None),
        ("cooldown: 5m", NOTIFIES, Verb.NOTIFY, 299.0, 1.0),
        ("cooldown: 5m", "{restart: {}, notify: {}}", Verb.NOTIFY, 1.0, None),
    ],
)
def test_cooldown(keys: str, then: str, verb: Verb, since: float | None, left: float | None) -> None:
    asked = a_question(record_of(), verb=verb, under=a_policy(keys, then=then))
    if since is not None:
        asked.cooldowns.acted(asked.decision, Instant(wall=0.0, monotonic=MOMENT.monotonic - since))
    held = ask(asked)

    assert (held.guard.value if held else None) == (None if left is None else "cooldown")
    assert held is None or held.release_at == pytest.approx(NOW + (left or 0))


def test_a_cooldown_is_of_one_policy_and_one_name() -> None:
    asked = a_question(record_of())
    other = replace(asked.decision, policy="q")
    recreated = replace(asked.decision, target=replace(asked.decision.target, id="f" * 64))
    asked.cooldowns.acted(other, MOMENT)
    assert ask(asked) is None

    asked.cooldowns.acted(recreated, MOMENT)

    assert guard(asked) == "cooldown"


def test_only_what_is_over_is_forgotten() -> None:
    cooldowns = Cooldowns()
    decision = a_question(record_of()).decision
    for ago, name in [(31.0, "old"), (30.0, "edge"), (1.0, "new")]:
        at = Instant(wall=0.0, monotonic=MOMENT.monotonic - ago)
        cooldowns.acted(replace(decision, target=replace(decision.target, name=name)), at)

    assert cooldowns.forget(MOMENT, 30.0) == [("p", "old")]
    assert {name for _, name in cooldowns.last} == {"edge", "new"}


# --- maintenance windows ---------------------------------------------------------------------------------------------

CLOSED = 'windows: [{cron: "0 2 * * *", for: 1h, timezone: UTC}]'
BERLIN, SYDNEY, LORD_HOWE = "Europe/Berlin", "Australia/Sydney", "Australia/Lord_Howe"


def windowed(*windows: tuple[str, str, str]) -> Policy:
    """Cron, for, timezone."""
    listed = ", ".join(f'{{cron: "{cron}", for: {lasts}, timezone: {zone}}}' for cron, lasts, zone in windows)
    return a_policy(f"windows: [{listed}]")


@pytest.mark.parametrize(
    ("windows", "at", "opens"),
    [
        # boundaries: the first moment is inside, the last is not
        ([("0 2 * * *", "3h", "UTC")], "2027-01-01 01:59:59", "2027-01-01 02:00"),
        ([("0 2 * * *", "3h", "UTC")], "2027-01-01 02:00:00", None),
        ([("0 2 * * *", "3h", "UTC")], "2027-01-01 04:59:59", None),
        ([("0 2 * * *", "3h", "UTC")], "2027-01-01 05:00:00", "2027-01-02 02:00"),
        # over midnight, over the week's end, over days
        ([("0 22 * * *", "8h", "UTC")], "2027-01-02 05:59", None),
        ([("0 22 * * fri", "2d", "UTC")], "2027-01-03 21:59", None),
        ([("0 22 * * fri", "2d", "UTC")], "2027-01-03 22:00", "2027-01-08 22:00"),
        ([("0 0 1 * *", "31d", "UTC")], "2027-05-31 23:59", None),
        # of several any that is open will do, and else the one that opens first counts
        ([("0 2 * * *", "1h", "UTC"), ("0 4 * * *", "1h", "UTC")], "2027-01-01 04:30", None),
        ([("0 2 * * *", "1h", "UTC"), ("0 4 * * *", "1h", "UTC")], "2027-01-01 03:30", "2027-01-01 04:00"),
        # the zone's clock, not the host's
        ([("0 2 * * *", "1h", BERLIN)], "2027-01-01 01:00", None),
        ([("0 2 * * *", "1h", BERLIN)], "2027-07-01 01:00", "2027-07-02 00:00"),
        # spring: what opens at 02:30 opens when the clock goes from 02:00 to 03:00, and stays open for as long
        ([("30 2 * * *", "1h", BERLIN)], "2027-03-28 00:59:59", "2027-03-28 01:00"),
        ([("30 2 * * *", "1h", BERLIN)], "2027-03-28 01:00", None),
        ([("30 2 * * *", "1h", BERLIN)], "2027-03-28 01:59:59", None),
        ([("30 2 * * *", "1h", BERLIN)], "2027-03-28 02:00", "2027-03-29 00:30"),
        ([("0 22 * * *", "8h", BERLIN)], "2027-03-28 04:59:59", None),  # until 07:00 of the changed clock
        ([("0 22 * * *", "8h", BERLIN)], "2027-03-28 05:00", "2027-03-28 20:00"),
        # autumn: it opens at the first 02:30 alone
        ([("30 2 * * *", "30m", BERLIN)], "2027-10-31 00:30", None),
        ([("30 2 * * *", "30m", BERLIN)], "2027-10-31 01:00", "2027-11-01 01:30"),
        ([("30 2 * * *", "30m", BERLIN)], "2027-10-31 01:30", "2027-11-01 01:30"),
        # the other half of the world
        ([("30 2 * * *", "1h", SYDNEY)], "2027-10-02 15:59:59", "2027-10-02 16:00"),
        ([("30 2 * * *", "1h", SYDNEY)], "2027-10-02 16:00", None),
        ([("30 2 * * *", "30m", SYDNEY)], "2027-04-03 15:30", None),
        ([("30 2 * * *", "30m", SYDNEY)], "2027-04-03 16:30", "2027-04-04 16:30"),
        # half an hour
        ([("15 2 * * *", "10m", LORD_HOWE)], "2027-10-02 15:29:59", "2027-10-02 15:30"),
        ([("15 2 * * *", "10m", LORD_HOWE)], "2027-10-02 15:30", None),
        ([("45 1 * * *", "10m", LORD_HOWE)], "2027-04-03 14:45", None),
        ([("45 1 * * *", "10m", LORD_HOWE)], "2027-04-03 15:15", "2027-04-04 15:15"),
    ],
)
def test_outside_window(windows: list[tuple[str, str, str]], at: str, opens: str | None) -> None:
    now = utc(at).timestamp()
    asked = a_question(record_of(container()), under=windowed(*windows), expires_at=now + 900)
    asked.state.engine.alive_at = MOMENT.monotonic
    held = ask(replace(asked, now=replace(MOMENT, wall=now)))

    if opens is None:
        assert held is None
        return
    assert held is not None
    assert (held.guard.value, held.final) == ("outside_window", False)
    assert held.release_at == utc(opens).timestamp()
    assert held.numbers["opens_in"] == utc(opens).timestamp() - now


# --- their order ----------------------------------------------------------------------------------------------------


def test_the_first_guard_in_order_names_itself() -> None:
    """Everything at once; then the reasons are taken away one by one."""
    asked = a_question(
        record_of(
            container(
                status=ContainerStatus.EXITED,
                health=Health.UNHEALTHY,
                labels={"watchtower-agent.protect": "true"},
                restart_policy="always",
            ),
            end_cause=EndCause.OPERATOR,
            operator=JUST_NOW,
        ),
        under=a_policy(f"mode: shadow, {CLOSED}"),
        expires_at=NOW - 1,
    )
    asked.state.engine.connected = False
    asked.cooldowns.acted(asked.decision, MOMENT)
    done(asked, 1)
    record = asked.record
    assert record is not None
    found = [guard(asked)]
    record.container = replace(record.container, labels={})
    found.append(guard(asked))
    asked = replace(asked, policy=a_policy(CLOSED))
    found.append(guard(asked))
    asked = replace(asked, policy=a_policy())
    found.append(guard(asked))
    record.end_cause, record.operator = EndCause.ITSELF, None
    found.append(guard(asked))
    asked.state.engine.connected = True
    found.append(guard(asked))
    asked = replace(asked, decision=replace(asked.decision, expires_at=NOW))
    found.append(guard(asked))
    record.settled_after_end = True
    found.append(guard(asked))
    asked.cooldowns.last.clear()
    found.append(guard(asked))
    asked = replace(asked, policy=a_policy("backoff: {initial: 0s}, budget: {max: 1}"))
    asked.breakers.open(HOST, Budget(), asked.decision, MOMENT, "")
    found.append(guard(asked))
    asked.breakers.close(HOST, "")
    found.append(guard(asked))

    assert found == [
        "protected",
        "mode",
        "outside_window",
        "operator_intent",
        "engine_down",
        "stale",
        "restart_policy",
        "cooldown",
        "backoff",
        "breaker",
        "budget",
    ]


def test_what_only_tells_asks_for_mode_and_cooldown_alone() -> None:
    asked = a_question(
        record_of(container(labels={"watchtower-agent.protect": "true"}), operator=JUST_NOW),
        verb=Verb.NOTIFY,
        under=a_policy(then=NOTIFIES),
        expires_at=NOW - 1,
    )
    asked.state.engine.connected = False

    assert ask(asked) is None


def test_a_held_decision_says_when_it_was_asked() -> None:
    held = ask(a_question(record_of(operator=JUST_NOW)))

    assert isinstance(held, Held)
    assert (held.at, held.numbers["operator_action"]) == (NOW, "restart")


# --- backoff, breaker, budget ---------------------------------------------------------------------------------------


def done(asked: Question, ago: float, *, verb: Verb = Verb.RESTART, name: str = "web", policy: str = "p") -> None:
    """Something was done so many seconds ago."""
    number = len(asked.ledger.newest(HOST, 1000, -math.inf))
    target = Target(kind=TargetKind.CONTAINER, id=container_id(name), name=name)
    made = replace(asked.decision, id=f"before-{number}", verb=verb, target=target, policy=policy)
    asked.ledger.began(made, Instant(wall=NOW - ago, monotonic=MOMENT.monotonic - ago))


@pytest.mark.parametrize("verb", ACTS)
@pytest.mark.parametrize("before", ACTS)
def test_backoff_is_for_what_brings_a_container_back(verb: Verb, before: Verb) -> None:
    asked = a_question(record_of(), verb=verb)
    done(asked, 1, verb=before)

    brings_back = {Verb.RESTART, Verb.START}
    assert (guard(asked) == "backoff") is ({verb, before} <= brings_back)


@pytest.mark.parametrize(("times", "initial", "longest"), [(1, 10, 900), (3, 40, 900), (9, 900, 900), (500, 900, 900)])
def test_backoff_holds_for_its_delay_and_a_fifth_around_it(times: int, initial: float, longest: float) -> None:
    delay = min(initial, longest)
    for ago, holds in ((0.79 * delay, True), (1.21 * delay, False)):
        asked = a_question(record_of(), under=a_policy("budget: {max: 1000}"), protection=Protection(host_budget=WIDE))
        for number in range(times):
            done(asked, ago + (times - number - 1) / 1000)
        held = ask(asked)
        assert (held is not None) is holds
        if held is not None:
            assert held.guard is Guard.BACKOFF
            assert held.numbers["attempts"] == times
            assert held.release_at is not None
            assert 0.8 * delay <= held.release_at - NOW + ago <= 1.2 * delay


@given(st.integers(1, 2000), st.text(max_size=20), st.floats(0, 1e5), st.floats(1, 100), st.floats(0, 1e6))
def test_no_delay_is_beyond_its_bounds_and_each_is_drawn_the_same_again(
    attempts: int, seed: str, initial: float, factor: float, longest: float
) -> None:
    made = Backoff(initial=initial, factor=factor, longest=longest)
    delay = made.delay(attempts, seed)
    wanted = min(longest, initial * factor ** min(attempts - 1, 64))
    assert 0.8 * wanted <= delay <= 1.2 * wanted
    assert made.delay(attempts, seed) == delay


def test_jitter_differs_from_one_to_the_next() -> None:
    delays = {Backoff().delay(1, f"d{number}") for number in range(100)}
    assert len(delays) == 100
    assert max(delays) - min(delays) > 3


@pytest.mark.parametrize(("ago", "holds"), [(59.9, True), (60.1, False)])
def test_a_budget_is_free_again_when_what_was_done_is_old(ago: float, *, holds: bool) -> None:
    asked = a_question(record_of(), verb=Verb.STOP, under=a_policy("budget: {max: 2, per: 1m}", then="{stop: {}}"))
    done(asked, ago)
    done(asked, 1, verb=Verb.PAUSE, policy="another")
    held = ask(asked)

    assert (held is not None) is holds
    if held is not None:
        assert held.guard is Guard.BUDGET
        assert held.reason == "2 actions on web within 1m: more are not allowed (budget)"
        assert held.numbers == {"scope": "container", "used": 2, "max": 2, "per": 60.0}
        assert held.release_at == pytest.approx(NOW + 60 - ago)


def test_the_hosts_budget_counts_every_container() -> None:
    asked = a_question(record_of(), verb=Verb.STOP)
    for name in "abcdef":
        done(asked, 500, name=name)
    held = ask(asked)

    assert held is not None
    assert held.reason == "6 actions on this host within 10m: more are not allowed (budget)"
    assert held.release_at == pytest.approx(NOW + 100)


def test_a_breaker_says_since_what_and_until_when_and_how_often_it_was_tried() -> None:
    asked = a_question(record_of(), verb=Verb.STOP)
    scope = Scope(ScopeKind.CONTAINER, "web")
    asked.breakers.open(scope, Budget(), asked.decision, MOMENT, "", cause="5 actions on web within 30m did not help")
    first = ask(asked)
    probe = replace(asked.decision, id="probe")
    asked.breakers.began(probe, MOMENT)
    meanwhile = ask(asked)
    itself = ask(replace(asked, decision=probe))
    asked.breakers.failed(probe, MOMENT, "")
    again = ask(asked)

    assert first is not None
    assert first.release_at == NOW + 1800
    assert first.reason == (
        "the breaker is open: 5 actions on web within 30m did not help; one is tried 30m after that"
    )
    assert meanwhile is not None
    assert "whether the stop of web helps is to be seen" in meanwhile.reason
    assert itself is None
    assert again is not None
    assert "did not help; the one tried since did not help; one is tried 1h after that" in again.reason
    assert again.numbers == {"scope": "container", "opened_by": "p", "times_opened": 2, "probe_after": 3600.0}


def test_the_ledger_keeps_what_counts_and_no_more_than_the_store() -> None:
    asked = a_question(record_of())
    for number in range(10_050):
        made = replace(asked.decision, id=f"d{number}")
        asked.ledger.began(made, Instant(wall=NOW, monotonic=MOMENT.monotonic + number / 1000))
    asked.ledger.forget(MOMENT)

    kept = asked.ledger.newest(HOST, 100_000, -math.inf)
    assert (len(kept), kept[0].id, kept[-1].id) == (10_000, "d10049", "d50")
    assert len(asked.ledger.attempts("web")) == 10_000

    asked.ledger.forget(Instant(wall=NOW, monotonic=MOMENT.monotonic + 86400.0505))
    assert asked.ledger.newest(HOST, 100_000, -math.inf)[-1].id == "d51"  # what is a day old counts no more
