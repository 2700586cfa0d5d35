"""What the agent answers to `revert`, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchtower_agent.cli.answer import listed
from watchtower_agent.cli.explained import show_result
from watchtower_agent.cli.explained_limits import limit_in_words
from watchtower_agent.cli.layout import name, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.text import printable

Json = Mapping[str, Any]


def show_reverted(page: Page, answer: Json) -> None:
    """Which limits go back, what became of that, and what comes after it.

    Args:
        page: Where to.
        answer: The agent's.
    """
    if not answer.get("set_off"):
        page.write(words("Nothing was reverted: the container or the changes have gone meanwhile."))
        return
    target, policy = (name(printable(answer.get(key) or "?"), "bold") for key in ("target", "policy"))
    page.write(target, words(" gets back what it had before policy "), policy, words(" changed it:"))
    for each in listed(answer, "limits"):
        resource = printable(each.get("resource") or "?")
        before, after = (limit_in_words(resource, each.get(key)) for key in ("limit", "to"))
        page.write(words(f"  {resource} {before} → {after}"))
    show_result(page, answer, answer.get("at"))
    if answer.get("result") != "not_done" and answer.get("then"):
        page.paragraph(words("  then "), text=printable(answer["then"]))
