"""A scaled service in `explain`, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchtower_agent.cli.answer import listed
from watchtower_agent.cli.layout import Column, Line, Part, name, table, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import UNKNOWN, entry_of, number, reading, short_duration
from watchtower_agent.cli.text import counted, printable
from watchtower_agent.policies.catalogue import Entry

Json = Mapping[str, Any]

_LABEL_WIDTH: Final = 11
_MINUTE: Final = 60
_COLUMNS: Final = (
    Column(title="metric", least=20, usual=28),
    Column(title="now", least=8, usual=10),
    Column(title="target", least=8, usual=10),
    Column(title="needs", least=6, usual=8),
    Column(title="replicas", least=14, usual=0),
)
LIMITS: Final = {
    "tolerance": "more would be needed, but not by enough",
    "step_up": "at most so many are added at once",
    "window": "as many were needed a short while ago",
    "regret": "the same, and for longer, since a shrink was regretted",
    "step_down": "at most so many go at once",
    "warming": "those that count are above target, and others do not count yet",
    "missing": "not everything is known",
    "idle": "only an idle rule takes the last one away",
    "min": "it has no fewer",
    "max": "it has no more",
    "updating": "it is being updated or rolled back",
    "operator": "somebody else changed it, which is left alone for a while",
    "settling": "somebody makes, stops or removes its containers, which is let come to its end",
    "stopped": "somebody else wants none of it, which is left so until somebody scales it up",
    "fewer_running": "fewer run than are wanted",
    "host_room": "the host has no memory for more",
    "cooldown": "the number changed only now",
}
"""What each limit at work means."""


def show_service(page: Page, service: Json) -> None:
    """What the service has and needs, by which metric, and what limits that.

    Args:
        page: Where to.
        service: As the agent tells it.
    """
    page.write()
    if number(service.get("wanted")) is None:
        return
    page.paragraph(_label("replicas"), text=_replicas(service))
    if (hands_off := number(service.get("hands_off_for"))) is not None and hands_off > 0:
        page.paragraph(_label(""), text=f"changed by somebody else: left alone for {short_duration(hands_off)}")
    page.paragraph(_label("needed"), text=_needed(service))
    limits = listed(service, "limits")
    for place, each in enumerate(limits):
        limit = str(each.get("limit"))
        said = f"{_number(each.get('before'))} → {_number(each.get('after'))} {printable(limit)}: "
        page.paragraph(_label("limited" if place == 0 else ""), text=said + LIMITS.get(limit, ""))
    page.write()
    for line in table(_COLUMNS, [_metric(each) for each in listed(service, "metrics")], page.width, indent=2):
        page.put(line)


def _replicas(service: Json) -> str:
    wanted, running, least, most = (_number(service.get(each)) for each in ("wanted", "running", "min", "max"))
    said = f"{wanted} wanted, {running} running, {least} to {most} allowed"
    clones = number(service.get("clones"))
    if clones:
        said += f"; {counted(int(clones), 'clone')} of the agent's own"
    room = number(service.get("room"))
    return said if room is None else f"{said}; the host has room for {room:.0f} more"


def _needed(service: Json) -> str:
    need, jump = number(service.get("need")), number(service.get("jump"))
    said = "not known" if need is None else f"{need:.3g} now"
    if jump is not None:
        said += f" ({jump:.3g} by the last 5 s)"
    return (
        f"{said}; at most {_number(service.get('recent'))} in {_span(service.get('wait'))}, "
        f"{_number(service.get('most'))} in {_span(service.get('window'))}"
    )


def _span(value: object) -> str:
    """`2.5 min`."""
    seconds = number(value)
    return UNKNOWN if seconds is None else f"{seconds / 60:.3g} min" if seconds >= _MINUTE else f"{seconds:.0f} s"


def _metric(metric: Json) -> tuple[Line, ...]:
    about = printable(metric.get("name") or "?")
    entry, need, value = entry_of(about), number(metric.get("need")), metric.get("value")
    target: Line = (words(_quantity(metric.get("target"), entry)),)
    if value is None:
        nothing: Line = (words(UNKNOWN, "dim"),)
        return (name(about),), nothing, target, nothing, (words(printable(metric.get("why") or "not known"), "yellow"),)
    return (
        (name(about),),
        (words(_quantity(value, entry)),),
        target,
        (words(UNKNOWN if need is None else f"{need:.3g}", "bold"),),
        (words(_counted(metric), "dim"),),
    )


def _quantity(value: object, entry: Entry | None) -> str:
    if entry is not None:
        return reading(value, entry)
    known = number(value)
    return "?" if known is None else f"{known:g}"


def _counted(metric: Json) -> str:
    parts = [
        f"{int(known)} {how}"
        for how in ("counted", "missing", "warming")
        if (known := number(metric.get(how))) is not None and (known or how == "counted")
    ]
    return "" if parts == ["0 counted"] else ", ".join(parts)


def _number(value: object) -> str:
    known = number(value)
    return "?" if known is None else f"{known:.0f}"


def _label(text: str) -> Part:
    return words(f"  {text:{_LABEL_WIDTH}}", "dim")
