"""Breakers that are not closed, as `status` shows them."""

from __future__ import annotations

from typing import Final

from watchtower_agent.cli.answer import Json, listed, section
from watchtower_agent.cli.layout import Part, name, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import number, short_duration
from watchtower_agent.cli.text import counted, printable, since

_PHASES: Final = {"open": ("is open", "bold red"), "half_open": ("is half-open", "yellow")}


def show_breakers(page: Page, status: Json, now: float) -> None:
    """The breakers in an answer to `status`; nothing where all are closed.

    Args:
        page: Where to.
        status: The agent's answer.
        now: Seconds since the epoch.
    """
    breakers = listed(status, "breakers")
    if not breakers:
        return
    page.write()
    page.write(words("Breakers:", "yellow"), indent=2)
    for breaker in breakers:
        phase, style = _PHASES.get(str(breaker.get("phase")), (printable(breaker.get("phase")), ""))
        begun = since(breaker.get("since"), now)
        page.write(
            *_whose(breaker), words(" "), words(phase, style), words(f" since {begun}{_next(breaker, now)}"), indent=4
        )
        budget, times = section(breaker, "budget"), breaker.get("times_opened")
        again = f", opened {times} times" if isinstance(times, int) and times > 1 else ""
        within = f"within {short_duration(budget.get('per'))}"
        actions = f"more than {counted(budget.get('max'), 'action')} {within} were wanted"
        in_vain = f"what it did to {counted(budget.get('in_vain'), 'container')} {within} was of no use"
        cause = printable(breaker.get("cause") or (in_vain if breaker.get("scope") == "policy" else actions))
        page.write(
            words(f"{cause}{again}; by policy ", "dim"),
            name(printable(breaker.get("opened_by") or "?"), "dim"),
            indent=6,
        )


def _whose(breaker: Json) -> tuple[Part, ...]:
    if breaker.get("scope") == "host":
        return (words("this host"),)
    if breaker.get("scope") == "policy":
        return (words("policy "), name(printable(breaker.get("name") or "?")))
    return (name(printable(breaker.get("name") or "?")),)


def _to_do(breaker: Json) -> str:
    """What a probe has to do: of a policy's own it has to last."""
    return "lasts" if breaker.get("scope") == "policy" else "helps"


def _next(breaker: Json, now: float) -> str:
    """What has to come before it closes."""
    probe, at = section(breaker, "probe"), number(breaker.get("probe_at"))
    if probe:
        tried = f"the {printable(probe.get('verb'))} of {printable(probe.get('target'))}"
        return f": whether {tried} {_to_do(breaker)} is to be seen"
    if at is None:
        return ""
    return f"; one is tried at {since(at, now)} ({short_duration(at - now)})" if at > now else "; the next is tried"
