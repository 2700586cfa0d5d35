"""Subscriptions over connections that answer, refuse, hang up or bring what nobody asked for."""

from __future__ import annotations

import asyncio

from watchtower_agent.publishing.connection import PublishResult, Verdict
from watchtower_agent.publishing.subscriptions import Subscriptions

GRANTED = PublishResult(verdict=Verdict.DELIVERED)
REFUSED = PublishResult(verdict=Verdict.NOT_AUTHORISED, reason="Not authorized (0x87)")


class Line:
    """A connection; the test answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.commands: list[str] = []
        """Which of them were asked for as commands."""
        self.given_up: list[str] = []
        self.answers: list[asyncio.Future[PublishResult]] = []
        self.news = asyncio.Event()

    def subscribe(self, topic_filter: str, *, commands: bool = False) -> asyncio.Future[PublishResult]:
        self.commands += [topic_filter] if commands else []
        self.asked.append(topic_filter)
        self.answers.append(asyncio.get_running_loop().create_future())
        self.news.set()
        return self.answers[-1]

    def unsubscribe(self, topic_filter: str) -> None:
        self.given_up.append(topic_filter)

    async def answer(self, *results: PublishResult) -> None:
        """To what was asked last, one after the other."""
        for result in results:
            self.answers[-1].set_result(result)
            await asyncio.sleep(0)  # its callback's turn

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < times:
                self.news.clear()
                await self.news.wait()


class Heard:
    """Implements `Listener`."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.refusals: list[tuple[str, str]] = []

    def received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        self.messages.append((topic, payload, retained))

    def refused(self, topic_filter: str, reason: str) -> None:
        self.refusals.append((topic_filter, reason))


class Commanded:
    """Implements `CommandReceiver`."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, bool, bool]] = []

    def commanded(self, topic: str, payload: bytes, *, retained: bool, late: bool) -> None:
        self.messages.append((topic, payload, retained, late))


def subscriptions(*, ask_again: float = 60.0) -> tuple[Subscriptions, Heard, list[str]]:
    alarms: list[str] = []
    made = Subscriptions(lambda _, sentence: alarms.append(sentence), "mqtt://b", ask_again=ask_again)
    return made, Heard(), alarms


async def test_one_after_the_other_and_all_again_on_the_next_connection() -> None:
    made, heard, _ = subscriptions()
    made.follow(frozenset({"b", "a", "c"}), heard)
    for _ in range(2):
        line = Line()
        made.opened(line)
        assert line.asked == ["a"]
        await line.answer(GRANTED, GRANTED, GRANTED)
        assert line.asked == ["a", "b", "c"]
        made.closed()


async def test_nothing_counts_before_it_is_confirmed_but_what_the_broker_had_kept() -> None:
    made, heard, _ = subscriptions()
    made.follow(frozenset({"a"}), heard)
    line = Line()
    made.opened(line)
    made.received("a", b"from an earlier session", retained=False)
    made.received("a", b"kept", retained=True)
    await line.answer(GRANTED)
    made.received("a", b"new", retained=False)

    assert heard.messages == [("a", b"kept", True), ("a", b"new", False)]
    assert line.given_up == []


async def test_what_is_read_together_with_the_confirmation_is_after_it() -> None:
    made, heard, _ = subscriptions()
    made.follow(frozenset({"a", "b"}), heard)
    line = Line()
    made.opened(line)
    line.answers[0].set_result(GRANTED)
    made.received("a", b"right behind", retained=False)
    made.received("b", b"from an earlier session", retained=False)

    assert heard.messages == [("a", b"right behind", False)]
    assert line.asked == ["a", "b"]
    await asyncio.sleep(0)  # the answer's callback has its turn, too
    assert line.asked == ["a", "b"]
    line.answers[1].set_result(REFUSED)
    made.received("b", b"not to be heard", retained=False)
    assert [topic for topic, _ in heard.refusals] == ["b"]
    await asyncio.sleep(0)
    assert len(heard.refusals) == len(heard.messages) == 1


async def test_a_plus_is_one_level_and_no_sign_of_a_pattern() -> None:
    made, heard, _ = subscriptions()
    made.follow(frozenset({"base.x/v1/+/metrics"}), heard)
    line = Line()
    made.opened(line)
    await line.answer(GRANTED)
    for topic in ("base.x/v1/h2/metrics", "base.x/v1//metrics", "base.x/v1/h/2/metrics", "base-x/v1/h2/metrics"):
        made.received(topic, b"", retained=False)

    assert [topic for topic, _, _ in heard.messages] == ["base.x/v1/h2/metrics", "base.x/v1//metrics"]


async def test_what_nobody_asked_for_is_given_up_once() -> None:
    made, heard, _ = subscriptions()
    made.follow(frozenset({"a"}), heard)
    line = Line()
    made.opened(line)
    for _ in range(3):
        made.received("old", b"", retained=False)
        made.received("other/v1/h2/metrics", b"", retained=False)

    assert line.given_up == ["old", "other/v1/h2/metrics", "other/v1/+/metrics"]
    assert heard.messages == []


async def test_what_is_not_wanted_any_more_is_given_up_when_it_was_asked_for() -> None:
    made, heard, _ = subscriptions()
    made.follow(frozenset({"a", "b"}), heard)
    line = Line()
    made.opened(line)
    await line.answer(GRANTED)
    made.follow(frozenset({"c"}), heard)  # b was asked for, and has no answer yet
    assert line.given_up == ["a"]
    await line.answer(GRANTED)

    assert line.given_up == ["a", "b"]
    assert line.asked == ["a", "b", "c"]


async def test_what_is_wanted_again_before_its_answer_stays() -> None:
    made, heard, _ = subscriptions()
    made.follow(frozenset({"a"}), heard)
    line = Line()
    made.opened(line)
    made.follow(frozenset(), heard)
    made.follow(frozenset({"a"}), heard)
    await line.answer(GRANTED)
    made.received("a", b"1", retained=False)

    assert (line.asked, line.given_up) == (["a"], [])
    assert heard.messages == [("a", b"1", False)]


async def test_a_refusal_is_told_once_and_asked_again_after_a_while_and_the_next_goes_on() -> None:
    made, heard, alarms = subscriptions(ask_again=0.01)
    made.follow(frozenset({"a", "b"}), heard)
    line = Line()
    made.opened(line)
    await line.answer(REFUSED, GRANTED)
    await line.until_asked(3)
    await line.answer(REFUSED)
    await line.until_asked(4)
    await line.answer(GRANTED)

    assert line.asked == ["a", "b", "a", "a"]
    assert len(alarms) == 1
    assert "read a: Not authorized (0x87)" in alarms[0]
    assert heard.refusals == [("a", "the broker refuses it: Not authorized (0x87)")]


async def test_a_refusal_is_told_anew_when_it_had_been_confirmed_meanwhile() -> None:
    made, heard, alarms = subscriptions()
    made.follow(frozenset({"a"}), heard)
    for result in (REFUSED, REFUSED, GRANTED, REFUSED):
        line = Line()
        made.opened(line)
        await line.answer(result)
        made.closed()

    assert len(alarms) == len(heard.refusals) == 2


async def test_what_a_broker_hangs_up_on_is_left_alone_and_everything_else_goes_on() -> None:
    made, heard, alarms = subscriptions()
    made.follow(frozenset({"a", "forbidden"}), heard)
    for _ in range(2):
        line = Line()
        made.opened(line)
        await line.answer(GRANTED)
        assert line.asked == ["a", "forbidden"]
        made.closed()
        await line.answer(PublishResult(verdict=Verdict.LOST))
    line = Line()
    made.opened(line)
    await line.answer(GRANTED)

    assert line.asked == ["a"]
    assert len(alarms) == 1
    assert "forbidden: it ended the connection each time it was asked" in alarms[0]


async def test_one_lost_connection_makes_no_suspect() -> None:
    made, heard, alarms = subscriptions()
    made.follow(frozenset({"a"}), heard)
    for _ in range(3):
        made.opened(Line())
        made.closed()
        line = Line()
        made.opened(line)
        await line.answer(GRANTED)
        made.closed()

    assert alarms == []


COMMANDS = "w/v1/h1/command/+"
PAUSE = "w/v1/h1/command/pause"


async def test_commands_are_asked_for_first_and_stay_whatever_else_is_followed() -> None:
    made, heard, _ = subscriptions()
    obeyed = Commanded()
    made.obey(COMMANDS, obeyed)
    made.follow(frozenset({"a"}), heard)
    line = Line()
    made.opened(line)
    await line.answer(GRANTED, GRANTED)
    made.follow(frozenset({"b"}), heard)
    made.received(PAUSE, b"1", retained=False)
    made.received("w/v1/h1/command/pause/now", b"2", retained=False)

    assert line.asked == [COMMANDS, "a", "b"]
    assert line.commands == [COMMANDS]
    assert COMMANDS not in line.given_up
    assert obeyed.messages == [(PAUSE, b"1", False, False)]
    assert heard.messages == []


async def test_a_command_of_another_time_has_its_mark() -> None:
    made, _, _ = subscriptions()
    obeyed = Commanded()
    made.obey(COMMANDS, obeyed)
    for early in (True, False):
        line = Line()
        made.opened(line)
        if early:
            made.received(PAUSE, b"from the session", retained=False)
        made.received(PAUSE, b"kept", retained=True)
        await line.answer(GRANTED)
        made.received(PAUSE, b"behind it" if early else b"new", retained=False)
        made.closed()

    assert [(payload, retained, late) for _, payload, retained, late in obeyed.messages] == [
        (b"from the session", False, True),
        (b"kept", True, False),
        (b"behind it", False, True),
        (b"kept", True, False),
        (b"new", False, False),
    ]


async def test_a_broker_that_lets_no_command_be_read_is_told_of() -> None:
    made, heard, alarms = subscriptions()
    made.obey(COMMANDS, Commanded())
    made.follow(frozenset({"a"}), heard)
    line = Line()
    made.opened(line)
    await line.answer(REFUSED, GRANTED)

    assert line.asked == [COMMANDS, "a"]
    assert heard.refusals == []
    (alarm,) = alarms
    assert f"read {COMMANDS}: Not authorized (0x87). No command over MQTT reaches it." in alarm


async def test_commands_that_an_earlier_run_obeyed_are_given_up() -> None:
    made, _, _ = subscriptions()
    line = Line()
    made.opened(line)
    made.received(PAUSE, b"", retained=False)

    assert line.given_up == [PAUSE, COMMANDS]


async def test_what_is_said_at_this_moment_is_heard_and_what_the_broker_had_kept_is_not() -> None:
    made, heard, alarms = subscriptions()
    said: list[bytes] = []
    made.follow(frozenset({"depth"}), heard)
    made.hear(frozenset({"home/status"}), said.append)
    line = Line()
    made.opened(line)
    made.received("home/status", b"early", retained=False)
    await line.answer(GRANTED, GRANTED)

    made.received("home/status", b"kept", retained=True)
    made.received("home/status", b"online", retained=False)
    made.received("depth", b"1", retained=False)

    assert line.asked == ["depth", "home/status"]
    assert said == [b"online"]
    assert heard.messages == [("depth", b"1", False)], "who follows numbers is not told of it"
    assert line.given_up == alarms == []


async def test_whoever_may_not_hear_it_is_told_so_once_and_no_number_is_unknown_for_it() -> None:
    made, heard, alarms = subscriptions()
    made.follow(frozenset(), heard)
    made.hear(frozenset({"home/status"}), lambda _: None)
    line = Line()
    made.opened(line)
    await line.answer(REFUSED)

    [sentence] = alarms
    assert "home/status" in sentence
    assert "Home Assistant" in sentence
    assert heard.refusals == []
