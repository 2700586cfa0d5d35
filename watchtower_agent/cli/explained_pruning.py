"""What a policy prunes, in `explain` and `status`, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.layout import Part, name, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.planned import progress
from watchtower_agent.cli.quantities import number, share, short_size
from watchtower_agent.cli.text import age, counted, printable, since

Json = Mapping[str, Any]

_LABEL_WIDTH: Final = 11


def show_pruning(page: Page, pruning: Json, at: object) -> None:
    """In full: the pass under way, the newest plan, the last pass.

    Args:
        page: Where to.
        pruning: As the agent tells it.
        at: When it did, seconds since the epoch.
    """
    going, plan, last = (section(pruning, each) for each in ("under_way", "plan", "last"))
    page.write()
    if going:
        page.paragraph(_label("pass"), text=f"since {since(going.get('since'), at)}: {_far(going)}", style="bold cyan")
    elif plan:
        made = f"of {since(plan.get('made_at'), at)}, until {since(plan.get('expires_at'), at)}"
        page.paragraph(_label("plan"), text=f"{printable(plan.get('words') or '?')} ({made})")
    if last:
        page.paragraph(_label("last pass"), text=f"{_last(last, at)}: {printable(last.get('reason') or '')}")
    elif pruning.get("begun_at"):
        page.paragraph(_label("last pass"), text=f"begun {since(pruning['begun_at'], at)}; see history")
    whose = printable(pruning.get("policy") or "POLICY")
    page.paragraph(_label(""), text=f"what it would delete now: watchtower-agent prune --plan {whose}", style="dim")


def show_pruned(page: Page, status: Json, at: float) -> None:
    """In short: each policy on a line, and how well it is known when things were used; nothing where none prunes.

    Args:
        page: Where to.
        status: The agent's answer.
        at: When it was told, seconds since the epoch.
    """
    pruned = listed(status, "pruned")
    if not pruned:
        return
    page.write()
    for each in pruned:
        whose = name(printable(each.get("policy") or "?"))
        page.write(words("Pruning by "), whose, words(": "), _short(each, at), indent=2)
        last = _last_in_short(each, at)
        if last is not None:
            page.write(last, indent=4)
    tracking = section(status, "use_tracking")
    if tracking:
        page.write(words(_tracked(tracking, at), "dim"), indent=4)


def _short(pruning: Json, at: float) -> Part:
    going, plan = section(pruning, "under_way"), section(pruning, "plan")
    if going:
        return words(f"pass under way, {_far(going)}", "bold cyan")
    if not plan:
        return words("no plan at present", "dim")
    what = f"{counted(plan.get('objects'), 'object')}, {short_size(plan.get('size'))}" if plan.get("objects") else ""
    return words(f"plan of {since(plan.get('made_at'), at)}: {what or 'nothing to delete'}")


def _last_in_short(pruning: Json, at: float) -> Part | None:
    last = section(pruning, "last")
    if last:
        text = f"last pass {_last(last, at)}, {short_size(last.get('freed'))} freed"
        return words(text, "dim" if last.get("result") == "succeeded" else "yellow")
    begun = number(pruning.get("begun_at"))
    return None if begun is None else words(f"last pass begun {age(at - begun)} ago: see history", "dim")


def _far(going: Json) -> str:
    ratio, text = progress(going)
    return f"{share(ratio)}, {text}" if going.get("space") else f"{share(ratio)}: it looks at the disk"


def _last(last: Json, at: object) -> str:
    finished, present = number(last.get("finished_at")), number(at)
    ago = f" {age(present - finished)} ago" if finished is not None and present is not None else ""
    return f"{printable(last.get('result') or '?')}{ago}"


def _tracked(tracking: Json, at: float) -> str:
    images = int(number(tracking.get("images")) or 0)
    if not tracking.get("listed_at"):
        return "when images were last used is not known yet: the engine was not asked so far"
    text = f"last use of {images:,} image{'' if images == 1 else 's'} known"
    text += f", back to {since(tracking['since'], at)}" if tracking.get("since") else ""
    return text + (f"; events were missed until {since(tracking['gap'], at)}" if tracking.get("gap") else "")


def _label(text: str) -> Part:
    return words(f"  {text:{_LABEL_WIDTH}}", "dim")
