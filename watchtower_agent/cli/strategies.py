"""Services that are scaled and containers that are resized, as `status` shows them."""

from __future__ import annotations

from typing import Final

from watchtower_agent.cli.answer import Json, listed
from watchtower_agent.cli.explained_service import LIMITS
from watchtower_agent.cli.layout import Column, Line, name, table, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import UNKNOWN, number
from watchtower_agent.cli.text import counted, printable

_COLUMNS: Final = (
    Column(title="service", least=14, usual=24),
    Column(title="policy", least=12, usual=18),
    Column(title="wanted", least=6, usual=6, right=True),
    Column(title="needed", least=6, usual=6, right=True),
    Column(title="allowed", least=8, usual=9),
    Column(title="what limits it", least=18, usual=0),
)
_LOUD: Final = frozenset({"max", "missing", "host_room", "fewer_running"})
"""Limits about which somebody may want to do something."""


def show_strategies(page: Page, status: Json) -> None:
    """The services and limits in an answer to `status`; nothing where no policy scales or resizes.

    Args:
        page: Where to.
        status: The agent's answer.
    """
    services, resized = listed(status, "services"), listed(status, "resized")
    if services:
        page.write()
        for line in table(_COLUMNS, [_service(each) for each in services], page.width, indent=2):
            page.put(line)
    if resized:
        page.write()
    for each in resized:
        policy = name(printable(each.get("policy") or "?"))
        page.write(words("Limits by "), policy, words(": "), words(*_resized(each)), indent=2)


def _service(service: Json) -> tuple[Line, ...]:
    least, most = (_whole(service.get(each)) for each in ("min", "max"))
    return (
        (name(printable(service.get("service") or "?")),),
        (name(printable(service.get("policy") or "?")),),
        (words(_whole(service.get("wanted"))),),
        (words(_whole(service.get("needed"))),),
        (words(f"{least} to {most}" if service.get("max") is not None else UNKNOWN),),
        (words(*_limit(service)),),
    )


def _limit(service: Json) -> tuple[str, str]:
    """What limits it, and how that looks."""
    if service.get("unseen"):
        return f"not known: {printable(service['unseen'])}", "yellow"
    if service.get("failed"):
        return f"the last change failed: {printable(service['failed'])}", "red"
    if not service.get("acts"):
        return "the agent of the Swarm's leader acts", "dim"
    limit = service.get("limit")
    if limit is None:
        return "-", "dim"
    return f"{printable(limit)}: {LIMITS.get(str(limit), '')}", "yellow" if limit in _LOUD else ""


def _resized(each: Json) -> tuple[str, str]:
    """How many containers have other limits than they came with, and how that looks."""
    text = f"{_whole(each.get('resized'))} of {counted(each.get('containers'), 'container')} changed"
    at_max, killed = (number(each.get(key)) or 0 for key in ("at_max", "killed_at_max"))
    text += f", {at_max:.0f} at max" if at_max else ""
    text += f", {killed:.0f} OOM-killed there" if killed else ""
    text += "" if each.get("in_force") else "; no policy any more: see revert"
    return text, "red" if killed else "yellow" if not each.get("in_force") else ""


def _whole(value: object) -> str:
    known = number(value)
    return UNKNOWN if known is None else f"{known:,.0f}"
