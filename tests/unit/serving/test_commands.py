"""Commands over MQTT on a channel of the test's: done once and in order, or refused in words."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from structlog.testing import capture_logs

from tests.support.control import FakeControl
from tests.support.numbers import examples
from tests.support.schema import validate_message
from watchtower_agent.model.instant import Instant
from watchtower_agent.model.message import ReplyMessage
from watchtower_agent.ports.delivery import CommandReceiver
from watchtower_agent.serving.commands import LARGEST_REPLY, MOST_WAITING, RATE, Commands

TOPICS = ("watchtower/v1/h1/command/", "watchtower/v1/h1/reply/")
ALL = ("pause", "resume", "approve", "reject", "trigger", "reload")


@dataclass(slots=True)
class Channel:
    """Implements `CommandChannel`, and `Clock`."""

    filters: list[str] = field(default_factory=list)
    sent: list[ReplyMessage] = field(default_factory=list)
    monotonic: float = 1000.0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def obey(self, topic_filter: str, receiver: CommandReceiver) -> None:  # noqa: ARG002 - the port's
        self.filters.append(topic_filter)

    def reply(self, message: ReplyMessage) -> None:
        self.sent.append(message)
        self.news.set()

    def now(self) -> Instant:
        return Instant(wall=0.0, monotonic=self.monotonic)

    @property
    def replies(self) -> list[dict[str, Any]]:
        """All that was replied, each as its schema wants it."""
        return [validate_message(each.topic, each.payload) for each in self.sent]

    async def until(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self.news.clear()
                await self.news.wait()
        return self.replies


class Slow(FakeControl):
    """Answers when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.beginning = asyncio.Event()
        self.begun: list[str | None] = []

    async def approve(self, *, approval: str | None, reason: str) -> Mapping[str, object]:
        self.begun.append(approval)
        self.beginning.set()
        await self.gate.wait()
        return await super().approve(approval=approval, reason=reason)


class Faulty(FakeControl):
    async def reload(self) -> Mapping[str, object]:
        raise RuntimeError("a fault")


@contextlib.asynccontextmanager
async def commands(
    control: FakeControl, *allowed: str, channel: Channel | None = None
) -> AsyncIterator[tuple[Commands, Channel]]:
    channel = channel or Channel()
    made = Commands(control, channel, allowed=allowed, topics=TOPICS, clock=channel)
    made.listen()
    running = asyncio.create_task(made.run())
    try:
        yield made, channel
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def send(
    made: Commands,
    name: str,
    words: Mapping[str, object] | None = None,
    *,
    retained: bool = False,
    late: bool = False,
    **more: object,
) -> None:
    payload = json.dumps({**(words or {}), **more}).encode()
    made.commanded(TOPICS[0] + name, payload, retained=retained, late=late)


async def test_what_is_asked_for_is_done_and_replied_to() -> None:
    control = FakeControl()
    control.approvals = {"answered": {"id": "vgyn5h"}}
    async with commands(control, "approve", "pause") as (made, channel):
        assert channel.filters == ["watchtower/v1/h1/command/+"]
        send(made, "approve", id="r1", approval="vgyn5h", reason="we looked")
        (reply,) = await channel.until(1)
        send(made, "pause", {"for": 60}, id="r2", policy="leak")
        await channel.until(2)

    assert channel.sent[0].topic == "watchtower/v1/h1/reply/r1"
    assert reply == {"id": "r1", "ok": True, "answer": {"answered": {"id": "vgyn5h"}}}
    assert control.asked == [
        {"approve": "vgyn5h", "reason": "we looked"},
        {"policy": "leak", "target": None, "length": 60, "reason": ""},
    ]


async def test_without_an_id_it_is_done_and_nobody_is_told() -> None:
    control = FakeControl()
    async with commands(control, "approve") as (made, channel):
        send(made, "approve", approval="one")
        send(made, "approve", id="r", approval="two")
        await channel.until(1)

    assert [each["approve"] for each in control.asked] == ["one", "two"]
    assert [reply["id"] for reply in channel.replies] == ["r"]


async def test_with_none_allowed_nothing_is_subscribed_to() -> None:
    async with commands(FakeControl()) as (_, channel):
        assert channel.filters == []


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("pause", {"policy": "leak"}, "pause is not allowed over MQTT (mqtt.commands: approve); it was not done"),
        ("approve", {"approval": "nope"}, "there is no approval 'nope' to give; none waits for an answer"),
        ("approve", {"approval": "a", "reason": 7}, "reason must be a name, not a number"),
        ("approve", {"aproval": "a"}, "approve takes approval, reason and id, not 'aproval'; nothing was done"),
        ("status", {}, "there is no command 'status'; there are pause, resume, approve, reject, trigger, reload"),
    ],
)
async def test_whoever_is_refused_is_told_why(name: str, words: dict[str, object], why: str) -> None:
    control = FakeControl()
    async with commands(control, "approve") as (made, channel):
        send(made, name, words, id="r")
        assert await channel.until(1) == [{"id": "r", "ok": False, "error": why}]
    assert {"approve": "a", "reason": ""} not in control.asked


async def test_what_the_broker_keeps_is_not_done_nor_what_removes_it() -> None:
    control = FakeControl()
    with capture_logs() as logs:
        async with commands(control, "pause", "reload") as (made, channel):
            for _ in range(3):
                send(made, "pause", id="kept", retained=True)
            made.commanded(TOPICS[0] + "pause", b"", retained=False, late=False)
            send(made, "reload", id="r")
            assert [reply["id"] for reply in await channel.until(1)] == ["r"]
    assert control.asked == []
    assert [line["topic"] for line in logs if line["event"] == "mqtt_command_retained"] == [TOPICS[0] + "pause"]
    assert "mqtt_command_refused" not in {line["event"] for line in logs}


async def test_what_came_while_the_agent_was_away_is_not_done_until_it_is_sent_again() -> None:
    control = FakeControl()
    async with commands(control, "approve") as (made, channel):
        send(made, "approve", late=True, id="r", approval="one")
        assert "may have come while the agent was away" in (await channel.until(1))[0]["error"]
        assert control.asked == []
        send(made, "approve", id="r", approval="one")
        assert (await channel.until(2))[1]["ok"]
    assert len(control.asked) == 1


async def test_what_was_done_is_not_done_again_and_told_again() -> None:
    control = FakeControl()
    control.approvals = {"answered": 1}
    async with commands(control, "approve") as (made, channel):
        send(made, "approve", id="r", approval="one")
        first = (await channel.until(1))[0]
        send(made, "approve", late=True, id="r", approval="one")
        assert (await channel.until(2))[1] == first
        send(made, "approve", id="r", approval="two")
        assert "another command had this id" in (await channel.until(3))[2]["error"]
        send(made, "approve", id="r", approval="one")
        assert (await channel.until(4))[3] == first
        channel.monotonic += 301
        send(made, "approve", id="r", approval="two")
        assert (await channel.until(5))[4]["ok"]
    assert [each["approve"] for each in control.asked] == ["one", "two"]


async def test_what_is_being_done_is_not_begun_again_and_another_of_its_id_is_no_answer_to_it() -> None:
    control = Slow()
    async with commands(control, "approve") as (made, channel):
        send(made, "approve", id="r", approval="one")
        send(made, "approve", late=True, id="r", approval="one")
        send(made, "approve", id="r", approval="two")
        (refused,) = await channel.until(1)
        control.gate.set()
        done = (await channel.until(2))[1]
        send(made, "approve", id="r", approval="one")
        again = (await channel.until(3))[2]
    assert not refused["ok"]
    assert done["ok"]
    assert again == done
    assert control.begun == ["one"]


async def test_one_of_a_name_at_a_time_in_order_and_no_more_than_can_wait() -> None:
    control = Slow()
    async with commands(control, "approve", "reject") as (made, channel):
        for number in range(MOST_WAITING + 2):
            channel.monotonic += 1.0
            send(made, "approve", id=f"r{number}", approval=f"{number}")
            await asyncio.sleep(0)  # the first one's turn
        channel.monotonic += 1.0
        send(made, "reject", id="other", approval="x")
        full, other = await channel.until(2)
        assert control.begun == ["0"]
        control.gate.set()
        await channel.until(MOST_WAITING + 3)
    assert f"{MOST_WAITING} of approve wait already" in full["error"]
    assert full["id"] == f"r{MOST_WAITING + 1}"
    assert (other["id"], other["ok"]) == ("other", True)
    assert control.begun == [str(number) for number in range(MOST_WAITING + 1)]


async def test_more_than_the_rate_is_refused_in_words_and_a_flood_without() -> None:
    control = FakeControl()
    with capture_logs() as logs:
        async with commands(control, "approve") as (made, channel):
            for number in range(1000):
                send(made, "approve", id=f"r{number}", approval=f"{number}")
            await channel.until(RATE + 50)
            channel.monotonic += 0.1
            send(made, "approve", id="later", approval="later")
            await channel.until(RATE + 51)
    busy = [reply for reply in channel.replies if not reply["ok"]]
    assert len(busy) == 50
    assert busy[0]["error"] == "more than 10 commands a second came; 'approve' was not done, send it again later"
    assert [each["approve"] for each in control.asked] == [*map(str, range(RATE)), "later"]
    assert [line["event"] for line in logs].count("mqtt_commands_too_many") == 1


async def test_a_fault_of_ours_is_told_and_the_next_command_is_done() -> None:
    with capture_logs() as logs:
        async with commands(Faulty(), "reload", "reject") as (made, channel):
            send(made, "reload", id="one")
            assert "because of a fault of its own, see its log" in (await channel.until(1))[0]["error"]
            send(made, "reject", id="two", approval="x")
            assert (await channel.until(2))[1]["ok"]
    assert "mqtt_command_failed" in {line["event"] for line in logs}


async def test_an_answer_that_is_too_large_is_left_out() -> None:
    control = FakeControl()
    control.approvals = {"approvals": ["x" * LARGEST_REPLY]}
    async with commands(control, "approve") as (made, channel):
        send(made, "approve", id="r", approval="one")
        (reply,) = await channel.until(1)
    assert reply["answer"] is None
    assert reply["left_out"] > LARGEST_REPLY


async def test_whoever_waits_is_told_that_the_agent_ends() -> None:
    control = Slow()
    async with commands(control, "approve") as (made, channel):
        send(made, "approve", id="begun", approval="one")
        send(made, "approve", id="waits", approval="two")
        await control.beginning.wait()
    send(made, "approve", id="after", approval="three")
    errors = {reply["id"]: reply["error"] for reply in channel.replies}
    assert errors == {
        "begun": "the agent ends; its events tell whether it was done",
        "waits": "the agent ends; it was not done",
        "after": "the agent ends; it was not done",
    }


@settings(max_examples=examples(60))
@given(
    messages=st.lists(
        st.tuples(
            st.sampled_from([*ALL, "follow", "", "é\n"]),
            st.binary(max_size=60)
            | st.dictionaries(
                st.sampled_from(["id", "approval", "policy", "target", "for", "reason", "x"]),
                st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2),
                max_size=4,
            ).map(lambda value: json.dumps(value).encode()),
            st.booleans(),
            st.booleans(),
        ),
        max_size=25,
    )
)
async def test_whatever_comes_every_reply_fits_its_schema_and_the_next_command_is_done(
    messages: list[tuple[str, bytes, bool, bool]],
) -> None:
    async with commands(FakeControl(), *ALL) as (made, channel):
        for name, payload, retained, late in messages:
            channel.monotonic += 1.0
            made.commanded(TOPICS[0] + name, payload, retained=retained, late=late)
            await asyncio.sleep(0)
        channel.monotonic += 1.0
        send(made, "reload", id="the-last-one")
        async with asyncio.timeout(5):
            while not any(reply["id"] == "the-last-one" and reply["ok"] for reply in channel.replies):
                channel.news.clear()
                await channel.news.wait()
