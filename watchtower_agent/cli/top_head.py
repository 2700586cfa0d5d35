"""The head of a page of `top`: the agent, its host, its engine, its policies, a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.layout import Line, fitted, least, length, name, words
from watchtower_agent.cli.quantities import number, reading
from watchtower_agent.cli.text import counted, duration, local_time, printable, since
from watchtower_agent.cli.watchers import told
from watchtower_agent.policies.catalogue import CATALOGUE

Json = Mapping[str, Any]

_HIGH: Final = 90
"""Percent from which on it is in colour."""
_LOADS: Final = ("host.load1", "host.load5")
_CONTAINERS: Final = ("running", "paused", "stopped")


def head(frame: Json, width: int | None) -> list[Text]:
    """Four lines: who asks, its host, its engine, what its policies do."""
    agent, policies = section(frame, "agent"), section(frame, "policies")
    title: Line = (
        name(printable(agent.get("host", "?")), "bold"),
        words(f"  {local_time(frame.get('at'))}  "),
        words(f"{printable(agent.get('mode', '?'))}", "" if agent.get("mode") == "enforce" else "yellow"),
        words(f"  agent {printable(agent.get('version', '?'))} up {duration(agent.get('uptime'))}"),
    )
    failing = [
        *(["broker away"] if agent.get("broker_connected") is False else []),
        *(["store takes nothing"] if agent.get("store_error") else []),
        *(["a collector fails"] if agent.get("failures") else []),
    ]
    if failing:
        title = (*title, words(f"  ✗ {', '.join(failing)}: see status", "bold red"))
    return [
        fitted(title, width),
        fitted(_whole(_host(frame), width), width),
        fitted(_whole(_engine(frame), width), width),
        fitted(_policies(frame, policies, width), width),
    ]


def _whole(parts: Sequence[Line], width: int | None) -> Line:
    """As many parts as have room: half a number says the wrong thing."""
    line, *rest = parts
    for part in rest:
        if width is not None and length((*line, *part)) > width:
            break
        line = (*line, *part)
    return line


def _host(frame: Json) -> Sequence[Line]:
    host = section(frame, "host")

    def part(title: str, key: str) -> Line:
        value = number(host.get(key))
        if value is None:
            return ()
        style = "bold red" if value >= _HIGH and key.endswith("percent") else ""
        return words(f"  {title} ", "dim"), words(reading(value, CATALOGUE.get(key)), style)

    loads = " ".join("-" if (load := number(host.get(key))) is None else f"{load:.2f}" for key in _LOADS)
    return (
        (words("host  ", "dim"), *part("cpu", "host.cpu.percent")),
        part("memory", "host.memory.percent"),
        part("disk", "host.disk.percent"),
        (words("  load ", "dim"), words(loads)),
        part("swap", "host.swap.percent"),
        part("free", "host.disk.free"),
        part("psi cpu", "host.pressure.cpu"),
        part("psi mem", "host.pressure.memory"),
        part("psi io", "host.pressure.io"),
    )


def _engine(frame: Json) -> Sequence[Line]:
    engine = section(frame, "engine")
    title = words("engine  ", "dim")
    if not engine.get("engine.connected"):
        away = f" since {since(engine['since'], frame.get('at'))}" if engine.get("since") else ""
        why = printable(engine.get("last_error") or "trying")
        return ((title, words("✗ ", "bold red"), words(f"not connected{away}: {why}", "bold red")),)
    counts = ", ".join(
        f"{reading(engine.get(f'engine.containers.{state}'), None)} {state}"
        for state in ("running", "paused", "stopped")
    )

    def part(title: str, key: str) -> Line:
        known = engine.get(key)
        return () if known is None else (words(f"  {title} ", "dim"), words(reading(known, CATALOGUE.get(key))))

    restarts = engine.get("engine.restarts")
    hangs = engine.get("engine.responding") is False
    mark = words("✗ ", "bold red") if hangs else words("✓ ", "green")
    return (
        (title, mark, words(printable(engine.get("version") or "?"))),
        (words("  does not answer", "bold red"),) if hangs else (),
        part("ping", "engine.latency"),
        part("lag", "engine.event_lag"),
        (words(f"  {counts}"),),
        (words(f"  {counted(restarts, 'restart')}", "yellow"),) if restarts else (),
        part("cpu", "engine.cpu.percent"),
        part("memory", "engine.memory"),
        part("threads", "engine.threads"),
        part("files", "engine.open_files"),
    )


def _policies(frame: Json, policies: Json, width: int | None) -> Line:
    """What they do, and how close one of the host is, if there is room for that."""
    counts = [
        words(f"  {policies.get(key, 0):,} {key}", style)
        for key, style in (("firing", "bold red"), ("counting", "yellow"), ("held", "yellow"))
        if policies.get(key)
    ]
    line: Line = (
        words("policies  ", "dim"),
        words(f"{policies.get('in_force', 0):,} in force"),
        *(counts or [words("  none fires", "green")]),
        *([words("  the folder has mistakes, see status", "bold yellow")] if policies.get("problems") else []),
    )
    watchers = listed(frame, "watchers")
    if not watchers:
        return line
    nearest: Line = (words("   host: ", "dim"), *told(watchers[0], frame.get("at")))
    whole = (*line, *(part for part in nearest if not part.spare))
    return (*line, *nearest) if width is None or least(whole) <= width else line
