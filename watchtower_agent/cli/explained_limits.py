"""A container's limits in `explain`, as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.layout import Column, Line, Part, table, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import UNKNOWN, number, short_duration, short_size
from watchtower_agent.cli.text import printable

Json = Mapping[str, Any]

_LABEL_WIDTH: Final = 11
_COLUMNS: Final = (
    Column(title="limit of", least=8, usual=9),
    Column(title="is", least=7, usual=9),
    Column(title="allowed", least=13, usual=16),
    Column(title="used", least=6, usual=8),
    Column(title="P95", least=6, usual=8),
    Column(title="peak", least=6, usual=8),
    Column(title="needs", least=6, usual=0),
)


def show_limits(page: Page, limits: Json) -> None:
    """What a container's limits are, what it uses, and what stands between them.

    Args:
        page: Where to.
        limits: As the agent tells them.
    """
    resources = listed(limits, "resources")
    if not resources:
        return
    page.write()
    for line in table(_COLUMNS, [_row(each) for each in resources], page.width, indent=2):
        page.put(line)
    page.write()
    for each in resources:
        resource = printable(each.get("resource") or "?")
        measured, data = each.get("measured"), each.get("data")
        said = f"{short_duration(measured)} measured, lowered only after {short_duration(data)}"
        page.paragraph(_label(resource), text=said)
        for limited in listed(each, "limits"):
            before, after = (_quantity(resource, limited.get(name)) for name in ("before", "after"))
            why = printable(limited.get("why") or "")
            page.paragraph(_label(""), text=f"{before} → {after} {printable(limited.get('limit') or '?')}: {why}")
    originals = section(limits, "originals")
    given = [
        f"{name} {limit_in_words(name, originals[name] or None)}" for name in ("memory", "cpu") if name in originals
    ]
    if given:
        page.paragraph(_label("before"), text=f"{', '.join(given)}: what it had before the agent changed it (revert)")
    for each in listed(limits, "by_hand"):
        resource, ago = printable(each.get("resource") or "?"), short_duration(each.get("ago"))
        text = f"{resource} {ago} ago by hand: it is as others made it, and rests for 6h before it is lowered"
        page.paragraph(_label("changed"), text=text)


def _row(each: Json) -> tuple[Line, ...]:
    resource = printable(each.get("resource") or "?")
    least, most = (_quantity(resource, each.get(name)) for name in ("min", "max"))
    to, limit = each.get("to"), each.get("limit")
    now = limit_in_words(resource, limit) + (f" → {limit_in_words(resource, to)}" if to != limit else "")
    need = each.get("kill_need") if each.get("kill_need") is not None else each.get("need")
    cells = [resource, now, f"{least} to {most}"]
    cells += [_quantity(resource, value) for value in (each.get("used"), each.get("p95"), each.get("peak"), need)]
    return tuple((words(cell),) for cell in cells)


def limit_in_words(resource: str, value: object) -> str:
    """`512M`, `0.50`, or `none`."""
    return "none" if value is None else _quantity(resource, value)


def _quantity(resource: str, value: object) -> str:
    known = number(value)
    if known is None:
        return UNKNOWN
    return short_size(known) if resource == "memory" else f"{known:.2f}"


def _label(text: str) -> Part:
    return words(f"  {text:{_LABEL_WIDTH}}", "dim")
