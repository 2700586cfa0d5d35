"""How close a policy is to firing, in words: short for a column, and in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchtower_agent.cli.layout import Line, Part, length, name, words
from watchtower_agent.cli.quantities import entry_of, number, reading, share, short_duration
from watchtower_agent.cli.text import local_time, printable

Json = Mapping[str, Any]

_NEAR: Final = 0.9
"""Share of the way to a threshold from which on it is in colour."""
_INDENT: Final = "      "


def standing(watcher: Json, now: object) -> tuple[str, str]:
    """In few words, and their style: `91 %` of the way, true for `34s of 2m`, `firing`, `held: cooldown 12s`."""
    held = watcher.get("guard")
    if watcher.get("under_way"):
        return f"{printable(watcher.get('does') or 'acts')} under way", "bold cyan"
    if held:
        left = _left(watcher, now)
        return f"held: {printable(held)}{f' {left}' if left else ''}", "yellow"
    return _of_event(watcher["on"]) if "on" in watcher else _of_condition(watcher)


def _of_event(events: object) -> tuple[str, str]:
    return f"on {printable(events[0])}" if isinstance(events, list) and events else "on events", "dim"


def _of_condition(watcher: Json) -> tuple[str, str]:
    truth, ratio = watcher.get("true"), number(watcher.get("closeness"))
    if watcher.get("firing"):
        return "firing", "bold red"
    if truth:
        return f"{short_duration(watcher.get('held_for'))} of {short_duration(watcher.get('for'))}", "bold yellow"
    if truth is None:
        return "not known", "dim"
    return ("no", "dim") if ratio is None else (share(ratio), "yellow" if ratio >= _NEAR else "")


def told(watcher: Json, now: object) -> Line:
    """On one line: policy, how close, and its comparisons with their values."""
    text, style = standing(watcher, now)
    return (
        words(printable(watcher.get("policy") or "?"), style),
        words(f" {text}", style),
        *_comparisons(watcher, "  "),
    )


def details(watcher: Json, now: object, room: int | None) -> list[Line]:
    """In full: what it does and how close it is; value against threshold; which guard holds it, and until when.

    Args:
        watcher: The policy, as the agent tells it.
        now: When it was told, seconds since the epoch.
        room: Cells of a line: what has no room beside the rest gets a line of its own. None for any number.
    """
    text, style = standing(watcher, now)
    mode = watcher.get("mode")
    begin: list[Part] = [words("  "), name(printable(watcher.get("policy") or "?"), style)]
    begin.append(words(f" → {printable(watcher.get('does') or '?')}"))
    if mode != "enforce":
        begin.append(words(f" ({printable(mode or '?')})", "yellow"))
    events = watcher.get("on")
    if isinstance(events, list):
        begin.append(words(f"  on {', '.join(map(printable, events))}", "dim"))
    else:
        begin.append(words(f"  {_progress(watcher, text)}", style))
    compared = _comparisons(watcher, "")
    together: Line = (*begin, words("  "), *compared) if compared else tuple(begin)
    beside = room is None or length(together) <= room
    found: list[Line] = [together] if beside else [tuple(begin), (words(_INDENT), *compared)]
    if watcher.get("guard"):
        found.append((words(f"{_INDENT}held by {_held(watcher, now)}", "yellow"),))
    return found


def _progress(watcher: Json, text: str) -> str:
    """`91 % of threshold`, `true for 34s of 2m`, `firing for 3m`."""
    held = number(watcher.get("held_for")) or 0.0
    if watcher.get("firing"):
        return f"firing, true for {short_duration(held)}"
    if watcher.get("true"):
        return f"true for {short_duration(held)} of {short_duration(watcher.get('for'))}"
    hold = f" (for: {short_duration(watcher.get('for'))})" if watcher.get("for") else ""
    if watcher.get("true") is False and number(watcher.get("closeness")) is not None:
        return f"{share(watcher.get('closeness'))} of threshold{hold}"
    return {"no": "not true"}.get(text, text) + hold


def _held(watcher: Json, now: object) -> str:
    left = _left(watcher, now)
    until = f" until {local_time(watcher.get('release_at'))} ({left})" if left else ""
    reason = printable(watcher.get("guard_reason") or "")
    return f"{printable(watcher.get('guard'))}{until}" + (f": {reason}" if reason else "")


def _left(watcher: Json, now: object) -> str:
    """Until the guard lets it go, where that is known."""
    release, at = number(watcher.get("release_at")), number(now)
    return short_duration(release - at) if release is not None and at is not None and release > at else ""


def _comparisons(watcher: Json, before: str) -> list[Part]:
    """Each value against its threshold: `memory.percent 82.0 % > 90%`. Those that hold are bold."""
    found: list[Part] = []
    compared = watcher.get("comparisons")
    for each in compared if isinstance(compared, list) else []:
        if not isinstance(each, Mapping):
            continue
        about = printable(each.get("name") or "?")
        value = reading(each.get("value"), entry_of(about)) if each.get("value") is not None else "not known"
        sign, threshold = printable(each.get("sign") or "?"), printable(each.get("threshold") or "?")
        found.append(words(before if not found else ", "))
        found.append(words(f"{about} {value} {sign} {threshold}", "bold" if each.get("true") else "dim"))
    left = watcher.get("comparisons_left_out")
    if isinstance(left, int) and left > 0:
        found.append(words(f", and {left:,} more", "dim"))
    return found
