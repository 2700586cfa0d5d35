"""Pauses as a person reads them: the answers to `pause` and `resume`, and those that `status` shows."""

from __future__ import annotations

from typing import Final

from watchtower_agent.cli.answer import Json, listed
from watchtower_agent.cli.layout import Part, name, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.text import duration, local_day_and_time, printable

_WHAT: Final = {"policy": "policy ", "container": "container "}


def show_answer(page: Page, answer: Json) -> None:
    """What `pause` or `resume` has done, and what else keeps still.

    Args:
        page: Where to.
        answer: The agent's.
    """
    asked = (answer.get("scope"), answer.get("name"))
    paused = listed(answer, "paused")
    mine = next((pause for pause in paused if (pause.get("scope"), pause.get("name")) == asked), None)
    if mine is not None:
        _show(page, mine)
    elif answer.get("was_paused"):
        page.write(*_what(answer), words(" goes on."))
    else:
        page.write(*_what(answer), words(" was not paused."))
    others = [pause for pause in paused if pause is not mine]
    if others:
        page.write()
        page.write(words("Paused, too:" if mine is not None else "Still paused:"))
        for pause in others:
            _show(page, pause, indent=2)


def show_paused(page: Page, status: Json) -> None:
    """The pauses in an answer to `status`; nothing where there are none.

    Args:
        page: Where to.
        status: The agent's answer.
    """
    paused = listed(status, "paused")
    if not paused:
        return
    page.write()
    page.write(words("Paused:", "yellow"), indent=2)
    for pause in paused:
        _show(page, pause, indent=4)


def _show(page: Page, pause: Json, indent: int = 0) -> None:
    until, left = local_day_and_time(pause.get("until")), duration(pause.get("left"))
    page.write(*_what(pause), words(" is paused until "), words(until.strip()), words(f" ({left})"), indent=indent)
    if pause.get("reason"):
        page.write(words(printable(pause["reason"]), "dim"), indent=indent + 2)


def _what(of: Json) -> tuple[Part, ...]:
    if of.get("scope") == "agent":
        return (words("the agent"),)
    return words(_WHAT.get(str(of.get("scope")), "")), name(printable(of.get("name", "?")))
