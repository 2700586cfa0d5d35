"""A connection to a broker that answers what the test wants: quotas and the like, which mosquitto never says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from watchtower_agent.publishing.connection import PublishResult, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message that was handed to the network, and the answer it waits for."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    answer: asyncio.Future[PublishResult]


class FakeConnection:
    """Implements `Connection`. Keeps everything sent; answers at once by `verdict`, or when the test says so.

    Args:
        window: As a broker's Receive Maximum.
        reports_refusals: As MQTT 5 does.
        verdict: Decides the answer; None: it stays open until `answer`.
        largest_packet: As a broker's Maximum Packet Size.
    """

    def __init__(
        self,
        *,
        window: int = 20,
        reports_refusals: bool = True,
        verdict: Callable[[Sent], Verdict | None] = lambda _: Verdict.DELIVERED,
        largest_packet: int | None = None,
    ) -> None:
        self.window = window
        self.reports_refusals = reports_refusals
        self.verdict = verdict
        self.largest_packet = largest_packet
        self.silent = self.blames_packet = self.excuses_packet = False
        self.sent: list[Sent] = []
        self._open: list[Sent] = []
        self.most_open = 0
        self.news = asyncio.Event()
        """Set whenever something is sent or answered; whoever waits for that clears it."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        content_type: str = "",  # noqa: ARG002 - the port's
        user_properties: tuple[tuple[str, str], ...] = (),  # noqa: ARG002 - the port's
        expiry: int | None = None,  # noqa: ARG002 - the port's
    ) -> asyncio.Future[PublishResult]:
        sent = Sent(
            topic=topic, payload=payload, qos=qos, retain=retain, answer=asyncio.get_running_loop().create_future()
        )
        self.sent.append(sent)
        if qos:
            self._open.append(sent)
        self.most_open = max(self.most_open, len(self.open))
        self.news.set()
        verdict = self.verdict(sent)
        if verdict is not None:
            self.answer(sent, verdict)
        return sent.answer

    @property
    def open(self) -> list[Sent]:
        """What waits for an acknowledgement."""
        self._open = [sent for sent in self._open if not sent.answer.done()]
        return list(self._open)

    def answer(self, sent: Sent, verdict: Verdict = Verdict.DELIVERED) -> None:
        """Say what became of it."""
        sent.answer.set_result(PublishResult(verdict=verdict, reason="the test says so"))
        self.news.set()
