"""How close a policy is to firing, in words: short for a column, and in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchtower_agent.cli.layout import Line, Part, length, name, spare, words
from watchtower_agent.cli.quantities import entry_of, number, reading, share, short_duration
from watchtower_agent.cli.text import printable, since

Json = Mapping[str, Any]

_NEAR: Final = 0.9
"""Share of the way to a threshold from which on it is in colour."""
_INDENT: Final = "      "


def short(watcher: Json, now: object) -> Line:
    """Policy and how close it is, in few words: `91 %` of the way, `34s of 2m`, `firing`, `held: cooldown 12s`."""
    text, style = standing(watcher)
    left = _left(watcher, now) if watcher.get("guard") and not watcher.get("under_way") else ""
    policy = name(printable(watcher.get("policy") or "?"), style)
    return policy, words(f" {text}", style), *([spare(f" {left}", style)] if left else [])


def standing(watcher: Json) -> tuple[str, str]:
    """How close it is, and the style of that."""
    held = watcher.get("guard")
    if watcher.get("under_way"):
        return f"{printable(watcher.get('does') or 'acts')} under way", "bold cyan"
    if held:
        return f"held: {printable(held)}", "yellow"
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
    """On one line: policy, how close, and as many of its comparisons with their values as have room."""
    return (
        *short(watcher, now),
        *(
            spare(f"{' ' if number else '  '}{part.text}" if part is piece[0] else part.text, part.style)
            for number, piece in enumerate(comparisons(watcher))
            for part in piece
        ),
    )


def details(watcher: Json, now: object, room: int | None) -> list[Line]:
    """In full: what it does and how close it is; value against threshold; which guard holds it, and until when.

    Args:
        watcher: The policy, as the agent tells it.
        now: When it was told, seconds since the epoch.
        room: Cells of a line: what has no room beside the rest gets a line of its own. None for any number.
    """
    text, style = standing(watcher)
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
    compared = comparisons(watcher)
    found = _in_lines(tuple(begin), compared, room)
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
    until = f" until {since(watcher.get('release_at'), now)} ({left})" if left else ""
    reason = printable(watcher.get("guard_reason") or "")
    return f"{printable(watcher.get('guard'))}{until}" + (f": {reason}" if reason else "")


def _left(watcher: Json, now: object) -> str:
    """Until the guard lets it go, where that is known."""
    release, at = number(watcher.get("release_at")), number(now)
    return short_duration(release - at) if release is not None and at is not None and release > at else ""


def comparisons(watcher: Json) -> list[Line]:
    """Each value against its threshold: `memory.percent 82.0 % > 90%`. Those that hold are bold.

    A threshold that is measured itself has its value as a piece of its own: `> max(memory.percent, 10m)` and ` 97.0 %`.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    compared = watcher.get("comparisons")
    for each in compared if isinstance(compared, list) else []:
        if not isinstance(each, Mapping):
            continue
        about, threshold = printable(each.get("name") or "?"), printable(each.get("threshold") or "?")
        value, sign = _known(about, each.get("value")), printable(each.get("sign") or "?")
        limit = measured_limit(each)
        texts = (f"{about} {value} {sign} {threshold}", *([f" {limit}"] if limit else []))
        found.append((texts, "bold" if each.get("true") else "dim"))
    left = watcher.get("comparisons_left_out")
    if isinstance(left, int) and left > 0:
        found.append(((f"and {left:,} more",), "dim"))
    return [
        tuple(words(text, style) for text in (*texts[:-1], texts[-1] if number == len(found) else f"{texts[-1]},"))
        for number, (texts, style) in enumerate(found, 1)
    ]


def _known(about: str, value: object) -> str:
    return reading(value, entry_of(about)) if value is not None else "not known"


def measured_limit(compared: Json) -> str:
    """The present value of a threshold that is a name or a window; empty for a fixed value, which says it itself."""
    threshold = printable(compared.get("threshold") or "?")
    if not threshold[:1].isalpha() or threshold in {"true", "false"}:
        return ""  # fixed values begin with a digit, a sign, a quote or a bracket
    return _known(threshold, compared.get("limit"))


def _in_lines(begin: Line, pieces: Sequence[Line], room: int | None) -> list[Line]:
    """The pieces behind the beginning if all have room there, else on lines of their own, as many on each as fit."""
    spaced = [part for piece in pieces for part in (words("  " if piece is pieces[0] else " "), *piece)]
    if room is None or length((*begin, *spaced)) <= room:
        return [(*begin, *spaced)]
    found: list[Line] = [begin]
    for piece in pieces:
        following = (*found[-1], words(" "), *piece)
        if len(found) > 1 and length(following) <= room:
            found[-1] = following
        else:
            whole = (words(_INDENT), *piece)
            found.append(whole if length(whole) <= room else (words(_INDENT), _without_limit(piece)))
    return found


def _without_limit(piece: Line) -> Part:
    first, comma = piece[0], "," if len(piece) > 1 and piece[-1].text.endswith(",") else ""
    return words(f"{first.text}{comma}", first.style)
