"""Commands over MQTT: the same as over the control socket, each done once or refused, in words where an id is given."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Final

import structlog

from watchtower_agent.errors import WatchtowerError
from watchtower_agent.model.message import ReplyMessage
from watchtower_agent.model.values import dataclass
from watchtower_agent.ports.clock import Clock
from watchtower_agent.ports.control import Control
from watchtower_agent.ports.delivery import CommandChannel
from watchtower_agent.serving.allowance import Allowance
from watchtower_agent.serving.asking import ask
from watchtower_agent.serving.command import Command, command, document, id_of
from watchtower_agent.serving.request import RequestError

RATE: Final = 10
"""Commands a second, of all names and senders together; as many may come at once."""
MOST_WAITING: Final = 20
"""Commands of one name that wait for their turn."""
LARGEST_REPLY: Final = 64 * 1024
"""Bytes."""
_REFUSALS: Final = 50
"""Replies a second to what is too much. Beyond it there is none: a flood is not answered by a flood."""
_MOST_KNOWN: Final = 200
"""Ids whose replies are remembered: more than can wait."""
_KNOWN_FOR: Final = 300.0
"""Seconds. People use an id again that they used this morning."""
_MOST_NAMED: Final = 100
_SAY_AGAIN: Final = 60.0
"""Seconds between two lines of the log about too many commands."""

_log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class _Known:
    """A command whose id is remembered.

    Attributes:
        digest: Of its topic and payload.
        came: Seconds on the monotonic clock.
        reply: None until there is one.
    """

    digest: bytes
    came: float
    reply: bytes | None = None


class Commands:
    """Implements the port `CommandReceiver`. One command of each name at a time, in the order in which they came.

    Args:
        control: What does them.
        channel: Where they come from, and the replies go.
        allowed: Names of commands; none: nothing is subscribed to.
        topics: The begin of the topics of commands and of replies.
        clock: Counts how many come.
    """

    def __init__(
        self,
        control: Control,
        channel: CommandChannel,
        *,
        allowed: Collection[str],
        topics: tuple[str, str],
        clock: Clock,
    ) -> None:
        self._control = control
        self._channel = channel
        self._topic, self._reply_topic = topics
        self._clock = clock
        self._waiting: dict[str, asyncio.Queue[Command]] = {name: asyncio.Queue(MOST_WAITING) for name in allowed}
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._allowance = Allowance(RATE, RATE)
        self._refusals = Allowance(_REFUSALS, _REFUSALS)
        self._said_at: float | None = None
        self._retained: set[str] = set()
        self._ended = False

    def listen(self) -> None:
        """Have commands brought, if any is allowed."""
        if self._waiting:
            self._channel.obey(f"{self._topic}+", self)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, waiting in self._waiting.items():
                    tasks.create_task(self._serve(waiting), name=f"mqtt command {name}")
                await asyncio.Event().wait()
        finally:
            self._ended = True
            for waiting in self._waiting.values():
                while not waiting.empty():
                    left = waiting.get_nowait()
                    self._refuse(left.name, left.id, "the agent ends; it was not done")

    # --- what comes -------------------------------------------------------------------------------------------------

    def commanded(self, topic: str, payload: bytes, *, retained: bool, late: bool) -> None:
        """See `CommandReceiver.commanded`."""
        if retained:
            self._ignore(topic)
            return
        if not payload:  # by that a retained message is removed: it asks for nothing
            return
        name = topic.removeprefix(self._topic)
        now = self._clock.now().monotonic
        if not self._allowance.take(now):
            self._too_many(name, payload, now)
            return
        try:
            found = document(payload)
            sender = id_of(found)
        except RequestError as error:
            _log.warning("mqtt_command_refused", command=name[:_MOST_NAMED], why=str(error))
            return
        digest = hashlib.sha256(topic.encode("utf-8", "surrogatepass") + b"\0" + payload).digest()
        if not self._told_before(name, sender, digest, now):
            self._accept(name, found, _Known(digest=digest, came=now), late=late)

    def _accept(self, name: str, found: Mapping[str, object], known: _Known, *, late: bool) -> None:
        """Let it wait for its turn, or refuse it."""
        try:
            made = command(name, found)
        except RequestError as error:
            self._refuse(name, id_of(found), str(error))
            return
        why_not = self._why_not(name, late=late)
        if why_not:
            self._refuse(name, made.id, why_not)
            return
        if made.id:
            self._known[made.id] = known
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        self._waiting[name].put_nowait(made)

    def _why_not(self, name: str, *, late: bool) -> str:
        """Why one that is well-formed is not done; empty if it is."""
        if name not in self._waiting:
            return f"{name} is not allowed over MQTT (mqtt.commands: {', '.join(self._waiting)}); it was not done"
        if late:
            return "it may have come while the agent was away, so it is not done; send it again if it is wanted still"
        if self._ended:
            return "the agent ends; it was not done"
        if self._waiting[name].full():
            return f"{MOST_WAITING} of {name} wait already; it was not done, send it again later"
        return ""

    def _told_before(self, name: str, sender: str, digest: bytes, now: float) -> bool:
        """Whether it was taken before: brokers may bring a message twice, and who heard nothing asks again."""
        known = self._known.get(sender)
        if known is None:
            return False
        if known.reply is not None and now - known.came > _KNOWN_FOR:
            del self._known[sender]
            return False
        if known.digest != digest:
            why = "another command had this id; it was not done, send it again under a new one"
            self._send(sender, self._refusal(name, sender, why))
        elif known.reply is not None:
            self._send(sender, known.reply)
        return True

    def _too_many(self, name: str, payload: bytes, now: float) -> None:
        if self._said_at is None or now - self._said_at >= _SAY_AGAIN:
            self._said_at = now
            _log.warning(
                "mqtt_commands_too_many",
                rate=RATE,
                consequence="what comes beyond is not done; look who publishes on the topics of commands",
            )
        if not self._refusals.take(now):
            return
        try:
            sender = id_of(document(payload))
        except RequestError:
            return
        if sender:
            why = f"more than {RATE} commands a second came; {name[:_MOST_NAMED]!a} was not done, send it again later"
            self._send(sender, _encoded({"id": sender, "ok": False, "error": why}))

    def _ignore(self, topic: str) -> None:
        """What a broker keeps would be done at every connection anew."""
        if topic in self._retained or len(self._retained) >= _MOST_NAMED:
            return
        self._retained.add(topic)
        _log.warning(
            "mqtt_command_retained",
            topic=topic[:256],
            consequence="retained commands are ignored; publish them without -r, and remove this one (-r -n)",
        )

    # --- what is done -----------------------------------------------------------------------------------------------

    async def _serve(self, waiting: asyncio.Queue[Command]) -> None:
        while True:
            await self._do(await waiting.get())

    async def _do(self, asked: Command) -> None:
        try:
            answer = await ask(self._control, asked.name, asked.arguments)
        except WatchtowerError as error:
            self._refuse(asked.name, asked.id, str(error))
        except asyncio.CancelledError:
            self._refuse(asked.name, asked.id, "the agent ends; its events tell whether it was done")
            raise
        except Exception:  # noqa: BLE001 - a fault in one answer must not end the agent; it is logged with its stack
            _log.exception("mqtt_command_failed", command=asked.name)
            self._refuse(asked.name, asked.id, "the agent could not do it because of a fault of its own, see its log")
        else:
            _log.info("mqtt_command_done", command=asked.name, id=asked.id)
            self._reply(asked.id, _answer(asked.id, answer))

    def _refuse(self, name: str, sender: str, why: str) -> None:
        self._reply(sender, self._refusal(name, sender, why))

    def _refusal(self, name: str, sender: str, why: str) -> bytes:
        _log.warning("mqtt_command_refused", command=name[:_MOST_NAMED], id=sender, why=why)
        return _encoded({"id": sender, "ok": False, "error": why})

    def _reply(self, sender: str, payload: bytes) -> None:
        if not sender:
            return
        known = self._known.get(sender)
        if known is not None and known.reply is None:
            known.reply = payload
        self._send(sender, payload)

    def _send(self, sender: str, payload: bytes) -> None:
        self._channel.reply(ReplyMessage(topic=f"{self._reply_topic}{sender}", payload=payload))


def _answer(sender: str, answer: object) -> bytes:
    whole = _encoded({"id": sender, "ok": True, "answer": answer})
    if len(whole) <= LARGEST_REPLY:
        return whole
    return _encoded({"id": sender, "ok": True, "answer": None, "left_out": len(whole)})


def _encoded(reply: Mapping[str, object]) -> bytes:
    return json.dumps(reply, separators=(",", ":"), default=str).encode()
