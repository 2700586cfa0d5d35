"""Keeps a connection to the broker: connects, serves, and connects again, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from watchtower_agent.publishing.broker_options import MqttOptions, MqttProtocol, parse_broker_url
from watchtower_agent.publishing.connection import Verdict
from watchtower_agent.publishing.mqtt import MqttConnection, RefusedError, connect
from watchtower_agent.publishing.subscriptions import Subscriptions

_THROWN_OUT_TIMES = 5
"""Short-lived connections in a row that look like a second client with our id: MQTT 3.1.1 does not say so itself."""
_THROWN_OUT_PAUSE = 600.0


class MqttLink:
    """Keeps a connection to the broker.

    Args:
        options: How to reach the broker.
        delays: Seconds (first, longest) between attempts to connect, with jitter.
        stable_after: Seconds after which a connection counts as good and the delays begin anew.
        takeover: Seconds (first, longest) until it tries again after another client took its id; doubled each time,
            until a connection lasted for the longest. So two agents with one id take turns, and never fight.
        on_up: Called with one sentence at each connection.
        on_down: Called with one sentence when the broker is lost or can't be reached; the same sentence is not
            repeated while it stays away.
        on_alarm: Called with a short name and one sentence for what a person has to put right.

    Attributes:
        connected: Whether a connection is being served.
        last_error: Why there is none, empty while there is.
        pause: Seconds, before jitter, that it waited or waits before the newest attempt to connect but the first.
        subscriptions: What is listened to, over all connections.

    Raises:
        SettingsError: The URL is none.
    """

    def __init__(
        self,
        options: MqttOptions,
        *,
        delays: tuple[float, float] = (0.5, 30.0),
        stable_after: float = 10.0,
        takeover: tuple[float, float] = (300.0, 1800.0),
        on_up: Callable[[str], None] | None = None,
        on_down: Callable[[str], None] | None = None,
        on_alarm: Callable[[str, str], None] | None = None,
    ) -> None:
        self._options = options
        self._first_delay, self._longest_delay = delays
        self._stable_after = stable_after
        self._takeover = takeover
        self._taken_over = 0
        self._address = parse_broker_url(options.url)
        self._on_up = on_up or (lambda _sentence: None)
        self._on_down = on_down or (lambda _sentence: None)
        self._on_alarm = on_alarm or (lambda _name, _sentence: None)
        self._delay = self._first_delay
        self._thrown_out = 0
        self._stopping = asyncio.Event()
        self._said = ""
        self._alarmed = ""
        self.connected = False
        self.last_error = ""
        self.pause = 0.0
        self.subscriptions = Subscriptions(self._on_alarm, options.url)

    @property
    def url(self) -> str:
        """The broker's address."""
        return self._options.url

    def stop(self) -> None:
        """Let `run` end: at once when not connected, else as soon as `serve` has returned."""
        self._stopping.set()

    def alarm(self, name: str, sentence: str) -> None:
        """Tell a person, once until the connection is good again."""
        if sentence != self._alarmed:
            self._alarmed = sentence
            self._on_alarm(name, sentence)

    async def run(self, serve: Callable[[MqttConnection], Awaitable[None]]) -> None:
        """Connect, serve, and connect again, until `stop`.

        Args:
            serve: Called with each new connection; cancelled when that is lost. Its return means that everything is
                said: the agent says `offline` and hangs up.
        """
        while not self._stopping.is_set():
            try:
                connection = await self._connect()
            except RefusedError as error:
                self.pause = self._refused(error)
            else:
                if connection is None or await self._live(connection, serve):
                    return
                self.pause = self._yielded(connection) if connection.taken_over else self._ended(connection)
            self._delay = min(self._longest_delay, self._delay * 2)
            with contextlib.suppress(TimeoutError):
                jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads agents over time, keeps no secret
                await asyncio.wait_for(self._stopping.wait(), self.pause * jitter)

    def _refused(self, error: RefusedError) -> float:
        """Say so, and return the seconds to wait."""
        self._down(str(error))
        if not error.by_broker:
            return self._delay
        self.alarm("mqtt_refused", f"{error} The agent tries again every {self._longest_delay:g} s.")
        return self._longest_delay

    def _ended(self, connection: MqttConnection) -> float:
        """Judge a connection that was lost, and return the seconds to wait."""
        if connection.age >= self._stable_after:
            self._delay = self._first_delay
            self._thrown_out = 0
            self._alarmed = ""
        elif self._options.protocol is MqttProtocol.V311 and not connection.ended_busy:
            self._thrown_out += 1
            if self._thrown_out >= _THROWN_OUT_TIMES:
                return self._pause_publishing()
        return self._delay

    async def _connect(self) -> MqttConnection | None:
        """Try once; None when told to stop meanwhile: a silent host would hold up the end of the agent."""
        connecting = asyncio.create_task(connect(self._options, self._address), name="mqtt connecting")
        stopping = asyncio.create_task(self._stopping.wait(), name="mqtt stopping")
        try:
            await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await connecting if connecting.done() else None
        finally:
            stopping.cancel()
            if not connecting.done():
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)

    async def _live(self, connection: MqttConnection, serve: Callable[[MqttConnection], Awaitable[None]]) -> bool:
        """One connection's life. True when it ended because everything was said."""
        self.subscriptions.opened(connection)
        connection.deliver_to(self.subscriptions.received)
        serving = asyncio.create_task(self._serve(connection, serve), name="mqtt serving")
        watching = asyncio.create_task(connection.lost(), name="mqtt watching")
        said_all = False
        try:
            await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and not watching.done():
                serving.result()  # raises what went wrong in there
                await connection.close()
                said_all = True
        finally:
            self.connected = False
            self.subscriptions.closed()
            connection.hang_up()
            serving.cancel()
            watching.cancel()
            _, reason = await asyncio.gather(serving, watching, return_exceptions=True)
        if not said_all:
            why = f": {reason}." if isinstance(reason, str) and reason else "."
            self._down(f"The connection to the broker at {self.url} ended{why}")
        return said_all

    async def _serve(self, connection: MqttConnection, serve: Callable[[MqttConnection], Awaitable[None]]) -> None:
        status = await connection.say("online")
        if status.verdict not in {Verdict.DELIVERED, Verdict.LOST}:
            topic = self._options.status_topic
            self.alarm(
                "mqtt_not_authorised",
                f"The broker at {self.url} does not take the agent's status on {topic}: {status.reason}. "
                f"Allow this user to write {self._options.base_topic}/v1/{self._options.host}/#.",
            )
        if status.verdict is not Verdict.LOST:
            self.connected, self.last_error, self._said = True, "", ""
            self._on_up(f"Connected to the broker at {self.url}.")
        await serve(connection)

    def _down(self, sentence: str) -> None:
        self.last_error = sentence
        if sentence != self._said:
            self._said = sentence
            self._on_down(sentence)

    def _yielded(self, connection: MqttConnection) -> float:
        """Say that another client took our id, and return the seconds to wait."""
        first, longest = self._takeover
        if connection.age >= longest:
            self._taken_over = 0
        pause = float(min(longest, first * 2 ** min(self._taken_over, 20)))
        self._taken_over += 1
        self.last_error = (
            f"Another client connected to {self.url} with this agent's client id {self._options.client_id!r} and threw "
            f"it out. Publishing pauses for up to {pause / 60:g} min (later {longest / 60:g}, if that happens again) "
            "so that the two don't fight; events wait in the outbox and the agent goes on healing. "
            "Give each agent a host name or an mqtt.client_id of its own."
        )
        if self._taken_over == 1:  # the same is not told every few minutes
            self.alarm("mqtt_session_taken_over", self.last_error)
        return pause

    def _pause_publishing(self) -> float:
        """Say so, and return the seconds to wait: the evidence is circumstantial, so not for ever."""
        self.last_error = (
            f"{self._thrown_out} connections in a row to {self.url} ended within {self._stable_after:g} s each: most "
            f"likely another client uses this agent's client id {self._options.client_id!r}, or a message is larger "
            f"than the broker takes, which MQTT 3.1.1 can't say. Publishing stops for about "
            f"{_THROWN_OUT_PAUSE / 60:g} min; events wait in the outbox and the agent goes on healing. "
            "Give each agent a host name or an mqtt.client_id of its own, and use MQTT 5 where the broker can."
        )
        self.alarm("mqtt_session_taken_over", self.last_error)
        return _THROWN_OUT_PAUSE
