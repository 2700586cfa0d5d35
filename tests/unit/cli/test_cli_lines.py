from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from tests.support import facts
from watchtower_agent.cli.lines import event_line, event_sentence
from watchtower_agent.cli.text import counted, duration, local_day_and_time, local_time, printable, since, size
from watchtower_agent.model.decision import Severity, Verb
from watchtower_agent.model.engine_event import EventKind
from watchtower_agent.model.fact import Fact
from watchtower_agent.model.notice import Notice
from watchtower_agent.model.outcome import Intent, Result
from watchtower_agent.publishing.cloudevent import CloudEventComposer


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def line(fact: Fact, *, width: int | None = None, colours: bool = False) -> str:
    composer = CloudEventComposer(host="h1", install_id="i1")
    composer.engine_changed(facts.LEADER)
    message = composer.event(fact, sequence=1, correlation_id="0123456789abcdef", view=facts.view())
    assert message is not None
    return event_line(message.topic, json.loads(message.payload), width=width, colours=colours)


HELD_LINE = (
    "14:13:21 abcdef    policy/held             heal may not restart web (operator_intent, until 14:28:20): "
    "a person stopped it 3 s ago"
)


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (facts.engine_event("start"), "14:13:20 abcdef    container/start         web was started"),
        (
            facts.outcome(verb=Verb.RESTART_ENGINE),
            "14:13:20 abcdef    action/succeeded        restart the engine of web, succeeded: restarted in 0.3 s",
        ),
        (
            facts.engine_event("die", exitCode="137"),
            "14:13:20 abcdef !  container/die           web ended with exit code 137 (killed)",
        ),
        (facts.engine_event("die", exitCode="0"), "14:13:20 abcdef    container/die           web ended normally"),
        (facts.engine_event("kill", signal="9"), "14:13:20 abcdef    container/kill          web was sent SIGKILL"),
        (
            facts.engine_event("oom"),
            "14:13:20 abcdef !! container/oom           web ran out of memory, the kernel killed a process of it",
        ),
        (
            facts.engine_event("health_status", detail="unhealthy"),
            "14:13:20 abcdef !  container/health_status web is unhealthy",
        ),
        (
            facts.engine_event("pull", kind=EventKind.IMAGE, actor="busybox:1", name="busybox"),
            "14:13:20 abcdef    image/pull              busybox:1 was pulled",
        ),
        (
            facts.edge(),
            '14:13:20 abcdef !  policy/firing           heal on web: health == "unhealthy" for 60 s',
        ),
        (
            facts.decision(),
            "14:13:20 abcdef    policy/decision         heal wants to restart web: health was unhealthy for 60 s",
        ),
        (facts.held(), HELD_LINE),
        (
            Notice(
                kind=EventKind.POLICY,
                action="pruned",
                subject="disk",
                severity=Severity.INFO,
                reason="deleted image web:1 (unused for 12 d)",
                data={"policy": "disk"},
                at=facts.NOW,
            ),
            "14:13:20 abcdef    policy/pruned           disk: deleted image web:1 (unused for 12 d)",
        ),
        (
            facts.dropped(),
            "14:13:22 abcdef    policy/dropped          heal no longer wants to restart web: it was started by hand",
        ),
        (
            Intent(decision=facts.decision(), at=facts.NOW),
            "14:13:20 abcdef    action/started          restart web, begun",
        ),
        (facts.outcome(), "14:13:20 abcdef    action/succeeded        restart web, succeeded: restarted in 0.3 s"),
        (
            facts.outcome(Result.FAILED),
            "14:13:20 abcdef !  action/failed           restart web, failed: restarted in 0.3 s",
        ),
        (
            facts.outcome(verb=Verb.NOTIFY),
            "14:13:20 abcdef !  action/notify           heal on web: restarted in 0.3 s",
        ),
        (
            Notice(
                kind=EventKind.ENGINE, action="down", severity=Severity.CRITICAL, reason="It is gone.", at=facts.NOW
            ),
            "14:13:20 abcdef !! engine/down             It is gone.",
        ),
    ],
)
def test_every_kind_of_event_is_one_aligned_line(fact: Fact, text: str) -> None:
    assert line(fact) == text


def test_lines_are_wrapped_under_their_sentence() -> None:
    first, *rest = line(facts.held(), width=80).splitlines()
    assert all(len(part) <= 80 for part in (first, *rest))
    assert rest
    start = first.index("heal may")
    assert all(part[:start].isspace() and not part[start].isspace() for part in rest)


def test_colours_are_asked_for() -> None:
    assert "\x1b[" not in line(facts.engine_event("oom"))
    assert "\x1b[1;31m" in line(facts.engine_event("oom"), colours=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\x1b[2J\n"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["die", "kill", "held", "firing", "notify", "started", "rename", "health_status", "x\x1b"])
KINDS = st.sampled_from(["container", "policy", "action", "engine", "image"])
KEYS = ["exit_code", "signal", "policy", "target", "reason", "verb", "release_at", "attributes", "old_name", "health"]


@given(KINDS, NAMES, st.dictionaries(st.sampled_from(KEYS), VALUES), VALUES, VALUES)
def test_whatever_an_event_holds_stays_in_its_line(
    kind: str, action: str, data: dict[str, object], subject: object, time: object
) -> None:
    event = {"data": data, "subject": subject, "time": time, "correlationid": subject, "severity": "info"}
    assert event_line(f"watchtower/v1/h1/event/{kind}/{action}/x", event).isprintable()
    assert event_line("elsewhere", {"data": subject, "type": time}).isprintable()


def test_late_events_say_so() -> None:
    event = {"subject": "container/web", "origin": "replay", "data": {}}
    assert event_sentence("x/event/container/start/web", event) == "web was started (while nobody listened)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (-1, "0 ms"),
        (0.0021, "2 ms"),
        (1, "1 s"),
        (4.25, "4.2 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (3599.99, "1 h"),
        (5399.99, "1 h 30 min"),
        (86400 * 6 + 3600 * 3, "6 d 3 h"),
        (None, "-"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_and_times() -> None:
    assert [size(count) for count in (0, 999, 1000, 34567, 1.2e6, None)] == [
        "0 B",
        "999 B",
        "1 kB",
        "34.6 kB",
        "1.2 MB",
        "-",
    ]
    assert (counted(1, "event"), counted(1234, "event"), counted(None, "event")) == (
        "1 event",
        "1,234 events",
        "0 events",
    )
    assert (local_time(facts.NOW), local_time("2026-09-21T14:13:20.1Z"), local_time("x")) == (
        "14:13:20",
        "14:13:20",
        "--:--:--",
    )
    assert (local_day_and_time(facts.NOW), local_day_and_time(1e300)) == ("21 Sep 14:13:20", "-")
    assert printable("a\x1b\u202e\nb") == r"a\x1b\u202e\nb"


@pytest.mark.parametrize(
    ("at", "now", "text"),
    [
        (1_790_000_000.0, 1_790_000_001.0, "14:13:20"),
        (1_790_000_000.0, 1_790_000_000.0 + 9 * 3600, "14:13:20"),
        (1_790_000_000.0, 1_790_000_000.0 + 10 * 3600, "21 Sep 14:13:20"),
        (1_790_000_000.0 + 10 * 3600, "2026-09-21T14:13:20Z", "22 Sep 00:13:20"),
        (1_790_000_000.0, 1_800_000_000.0, "21 Sep 2026 14:13:20"),
        (1_790_000_000.0, None, "21 Sep 14:13:20"),
        (None, 1_790_000_000.0, "--:--:--"),
    ],
)
def test_a_moment_of_another_day_has_its_day(at: object, now: object, text: str) -> None:
    assert since(at, now) == text


def test_what_holds_into_the_next_day_says_the_day() -> None:
    data = {"policy": "heal", "target": "web", "verb": "restart", "guard": "window", "reason": "closed"}
    event = {"time": "2026-09-21T23:13:20Z", "data": {**data, "release_at": "2026-09-22T02:00:00Z"}}
    said = event_sentence("watchtower/h1/event/policy/held", event)
    assert "(window, until 22 Sep 02:00:00)" in said
