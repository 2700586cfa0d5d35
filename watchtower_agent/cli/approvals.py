"""Approvals as a person reads them: the answers to `approve` and `reject`, and what `status` says waits for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchtower_agent.cli.answer import Json, listed, section
from watchtower_agent.cli.layout import Part, name, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.text import duration, printable, since

_MOST: Final = 20
"""That are shown; `--json` has them all."""


def show_answer(page: Page, answer: Json, now: float) -> None:
    """What `approve` or `reject` has done, and what else waits for an answer.

    Args:
        page: Where to.
        answer: The agent's.
        now: Seconds since the epoch.
    """
    answered = section(answer, "answered")
    asked = _asked(answer)
    if answered:
        _show_answered(page, answered, now)
        if asked:
            page.write()
            page.write(words("Waiting for an answer, too:"))
    elif asked:
        page.write(words("Waiting for an answer (approve ID, or reject ID):"))
    else:
        page.write(words("Nothing waits for approval."))
    _show(page, asked, now, indent=2)


def show_asked(page: Page, status: Json, now: float) -> None:
    """What waits for approval in an answer to `status`; nothing where nothing does.

    Args:
        page: Where to.
        status: The agent's answer.
        now: Seconds since the epoch.
    """
    asked = _asked(status)
    if asked:
        page.write()
        page.write(words("Waiting for approval (approve ID, or reject ID):", "yellow"), indent=2)
        _show(page, asked, now, indent=4)


def waiting_for_guards(status: Json) -> Sequence[Json]:
    """Of what waits that which no person is asked about, or which is approved."""
    asked = {each.get("id") for each in _asked(status)}
    return [each for each in listed(status, "pending") if each.get("approval") is None or each["approval"] not in asked]


def _asked(answer: Json) -> list[Json]:
    return [each for each in listed(answer, "approvals") if each.get("state") == "asked"]


def _show(page: Page, asked: Sequence[Json], now: float, *, indent: int) -> None:
    for each in asked[:_MOST]:
        left = f" ({duration(each.get('left'))})"
        until = words(f", until {since(each.get('expires_at'), now)}{left}")
        page.write(name(printable(each.get("id", "?")), "bold"), words("  "), *_what(each), until, indent=indent)
        page.write(words(printable(each.get("reason", "")), "dim"), indent=indent + 8)
    if len(asked) > _MOST:
        page.write(words(f"and {len(asked) - _MOST:,} more: approve --json", "dim"), indent=indent)


def _show_answered(page: Page, answered: Json, now: float) -> None:
    state, what = answered.get("state"), _what(answered)
    if state == "rejected":
        page.write(words("Rejected: "), *what, words("."))
        again = "not asked for again" if answered.get("from_event") else "not asked for again while its condition lasts"
        page.write(words(f"It is not done, and {again}."), indent=2)
        return
    if state != "given":
        page.write(words("Approved: "), *what, words(" has begun."))
        page.write(words("How it ends: watchtower-agent history", "dim"), indent=2)
        return
    page.write(words("Approved: "), *what, words("; it is not done yet."))
    guard, release = answered.get("guard"), answered.get("release_at")
    if guard:
        until = f" until {since(release, now)} ({duration(release - now)})" if isinstance(release, int | float) else ""
        page.write(words(f"held by {printable(guard)}{until}", "yellow"), indent=2)
        page.write(words(printable(answered.get("guard_reason", "")), "dim"), indent=4)
    else:
        page.write(words("next in turn, or what it rests on is not known at this moment", "yellow"), indent=2)
    end = since(answered.get("expires_at"), now)
    page.write(words(f"It is done once it may be, unless it is not wanted any more, until {end}."), indent=2)


def _what(of: Json) -> tuple[Part, ...]:
    verb, target, policy = (printable(of.get(key, "?")) for key in ("verb", "target", "policy"))
    return words(f"{verb} "), name(target), words(" by "), name(policy)
