"""The figures of `scale.py`: of all hosts, of each, and the arithmetic for more of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fleet import INTERVAL
from report import Figure

MANY, NODES = 10_000, 3
"""Hosts that the arithmetic is for, and nodes of a cluster that they share."""
KEEP_ALIVE = 15.0
"""Seconds: each connection asks the broker for a sign of life once in that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the broker took in one part.

    Attributes:
        cpu: Seconds.
        received: Bytes, TCP's payload.
        sent: The same, the other way.
        passed: Seconds.
        answer: What the fleet says that it sent.
    """

    cpu: float
    received: int
    sent: int
    passed: float
    answer: dict[str, Any]

    @property
    def percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu / self.passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What was measured, part by part.

    Attributes:
        connecting: All hosts connect and send what is retained.
        idle: Nothing but keep-alives.
        alone: Batches and crashes, nobody subscribes.
        heard: The same with one subscriber to everything.
        each: With a message for each container as well.
        arrived: Messages that the subscriber got of `heard`.
        greeted: Retained messages that it got when it came, and the broker's CPU for that in seconds.
        memory: What the broker holds after connecting, MiB.
        saved: Seconds of CPU for saving it all once, and MiB.
    """

    hosts: int
    connecting: Taken
    idle: Taken
    alone: Taken
    heard: Taken
    each: Taken
    arrived: int
    greeted: tuple[int, float]
    memory: float
    saved: tuple[float, float]


def of_all(parts: Parts) -> list[Figure]:
    """What the hosts together cost."""
    connecting, sent = parts.connecting.answer, parts.heard.answer
    heard, each = parts.heard, parts.each
    pace = parts.hosts / INTERVAL / each.answer["batches"]  # were it late, it would be as much later on
    return [
        Figure(
            name="messages to the broker",
            value=sent["messages"] / heard.passed,
            unit="/s",
            note=f"{sent['batches'] / heard.passed:.0f} of them batches, late by {sent['latest']:.2f} s at most",
        ),
        Figure(name="a batch, mean payload", value=sent["of_batches"] / sent["batches"] / 1e3, unit="kB"),
        Figure(name="bytes to the broker", value=heard.received / heard.passed / 1e6, unit="MB/s"),
        Figure(
            name="bytes from it to one subscriber to everything", value=heard.sent / heard.passed / 1e6, unit="MB/s"
        ),
        Figure(
            name="messages to the subscriber / messages sent",
            value=parts.arrived / sent["messages"],
            unit="",
            note=f"{parts.arrived:,} of {sent['messages']:,}",
        ),
        Figure(name="broker's CPU, idle connections", value=parts.idle.percent, unit="%"),
        Figure(name="broker's CPU, nobody subscribes", value=parts.alone.percent, unit="%"),
        Figure(name="broker's CPU, one subscriber to everything", value=heard.percent, unit="%"),
        Figure(
            name="a message for each container as well: messages",
            value=each.answer["messages"] * pace,
            unit="/s",
            note="`mqtt.metrics.per_container`",
        ),
        Figure(
            name="the same: broker's CPU, one subscriber",
            value=100 * each.cpu * pace,
            unit="%",
            note=f"{100 * each.cpu * pace / heard.percent:.1f} times as much",
        ),
        Figure(
            name="all connect: retained messages",
            value=connecting["messages"],
            unit="",
            note=f"{connecting['payload'] / connecting['messages']:.0f} B each, all acknowledged",
        ),
        Figure(name="all connect: broker's CPU", value=parts.connecting.cpu, unit="s"),
        Figure(
            name="a subscriber gets all that is retained: broker's CPU",
            value=parts.greeted[1],
            unit="s",
            note=f"{parts.greeted[0]:,} messages",
        ),
        Figure(name="broker's memory, connections and all retained", value=parts.memory, unit="MiB"),
        Figure(
            name="the broker saves all once: CPU",
            value=parts.saved[0],
            unit="s",
            note=f"{parts.saved[1]:.1f} MiB on disk",
        ),
    ]


def of_each(parts: Parts) -> list[Figure]:
    """What one host costs."""
    heard, hosts = parts.heard, parts.hosts
    carried = heard.received / heard.passed / hosts
    return [
        Figure(name="messages", value=heard.answer["messages"] / heard.passed / hosts, unit="/s"),
        Figure(
            name="bytes to the broker",
            value=carried / 1e3,
            unit="kB/s",
            note=f"{carried * 86400 * 30 / 1e9:.1f} GB in 30 days",
        ),
        Figure(
            name="broker's CPU, one subscriber to everything", value=1e6 * heard.cpu / heard.passed / hosts, unit="µs/s"
        ),
        Figure(name="broker's CPU when it connects", value=1e3 * parts.connecting.cpu / hosts, unit="ms"),
        Figure(name="broker's memory", value=1024 * parts.memory / hosts, unit="KiB"),
        Figure(
            name="CPU of composing and sending, on the host",
            value=1e6 * heard.answer["cpu"] / heard.answer["seconds"] / hosts,
            unit="µs/s",
        ),
    ]


def of_many(parts: Parts) -> list[Figure]:
    """The same arithmetic for more hosts, and for a third of a cluster."""
    times, heard = MANY / parts.hosts, parts.heard
    messages, carried = times * heard.answer["messages"] / heard.passed, times * heard.received / heard.passed / 1e6
    retained, left = times * parts.connecting.answer["messages"], MANY / NODES / (NODES - 1)
    one = parts.connecting.cpu / parts.hosts
    in_proportion = f"{times:g} times the measured"
    node = f"one of {NODES} nodes"
    return [
        Figure(name="connections", value=MANY, unit=""),
        Figure(name="signs of life", value=MANY / KEEP_ALIVE, unit="/s", note=f"one each {KEEP_ALIVE:g} s"),
        Figure(name="messages", value=messages, unit="/s", note=in_proportion),
        Figure(name="bytes", value=carried, unit="MB/s", note=f"{carried * 8:.0f} Mbit/s; as much to each subscriber"),
        Figure(name="CPU: connections, messages in", value=times * parts.alone.percent / 100, unit="cores"),
        Figure(
            name="CPU: each subscriber to everything",
            value=times * (heard.percent - parts.alone.percent) / 100,
            unit="cores",
            note="the difference between with and without",
        ),
        Figure(name="memory", value=times * parts.memory / 1024, unit="GiB"),
        Figure(name="all connect anew: messages", value=retained, unit="", note="all that is retained, QoS 1"),
        Figure(name="all connect anew: CPU", value=times * parts.connecting.cpu, unit="s"),
        Figure(
            name="all that is kept, saved once",
            value=times * parts.saved[1],
            unit="MiB",
            note=f"{times * parts.saved[0]:.1f} s of CPU",
        ),
        Figure(name=f"{node}: connections", value=MANY / NODES, unit=""),
        Figure(
            name=f"{node}: messages of agents", value=messages / NODES, unit="/s", note=f"{carried / NODES:.1f} MB/s"
        ),
        Figure(
            name=f"{node}: from the others, for its subscriber to everything",
            value=carried * (NODES - 1) / NODES,
            unit="MB/s",
        ),
        Figure(
            name=f"{node}, when another ends: connections",
            value=left,
            unit="",
            note=f"and {left * retained / MANY:,.0f} messages, {left * one:.1f} s of CPU",
        ),
    ]


def as_markdown(parts: Parts) -> None:
    """The tables of docs/scale.md."""
    for head, figures in (
        (f"{parts.hosts:,} hosts together", of_all(parts)),
        ("each host", of_each(parts)),
        (f"{MANY:,} hosts", of_many(parts)),
    ):
        print(f"\n| {head} | | |\n| --- | --- | --- |")
        for figure in figures:
            assert figure.value is not None
            print(f"| {figure.name} | {_short(figure.value)} {figure.unit} | {figure.note} |".replace("  |", " |"))


def _short(value: float) -> str:
    """Three digits of it, or all of a large one."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
