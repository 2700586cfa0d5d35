"""A plan of pruning as a person reads it: what would be deleted and why it may be, what is kept and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchtower_agent.cli.answer import listed, section
from watchtower_agent.cli.layout import Column, Line, Part, name, spare, table, words
from watchtower_agent.cli.page import Page
from watchtower_agent.cli.quantities import number, share, short_duration, short_size
from watchtower_agent.cli.text import counted, printable, since

Json = Mapping[str, Any]

MOST_ITEMS: Final = 20
"""Objects to be deleted that people are shown unless they want all: as many as one pass deletes."""
_MOST_NAMES: Final = 3
"""Of what is kept for one reason, likewise."""
_LABEL_WIDTH: Final = 9
_COLUMNS: Final = (
    Column(title="kind", least=11, usual=11),
    Column(title="name", least=20, usual=36),
    Column(title="size", least=5, usual=6, right=True),
    Column(title="unused", least=6, usual=6, right=True),
    Column(title="why it may go", least=22, usual=0),
)
MEANINGS: Final[Mapping[str, str]] = {
    "own": "the agent itself",
    "label": "it carries the label that protects",
    "container": "a container refers to it",
    "running": "it has not ended",
    "never_ended": "it never ran, or when it ended is not known",
    "service": "a service of the Swarm names it",
    "orchestrator": "an orchestrator owns it",
    "compose": "a Compose project on this host has or had it",
    "child": "something that is kept is built upon it",
    "unread": "the engine does not tell what it is made of",
    "pattern": "the policy's keep names it",
    "newest": "one of the newest of its repository",
    "named": "it has a name, and the policy deletes only those without",
    "no_digest": "no registry can give it back",
    "predefined": "the engine's own",
    "swarm": "the Swarm's: other nodes may need it",
    "in_use": "a build uses it",
    "shared": "an image has the same bytes",
    "not_listed": "the policy's only does not name it",
    "pressure": "never deleted for want of space",
    "engine_up": "the engine is not up for long enough",
    "listings": "two listings have not agreed upon it yet",
    "gap": "events were missed a short time ago",
    "recent": "used a short time ago, or when is not known",
    "gone": "it is not there any more",
    "changed": "it is not as it was planned",
    "used_again": "it was used since",
    "engine": "the engine says that it is needed",
}
"""What the words mean by which a plan says why it keeps something."""


def show_plan(page: Page, plan: Json, at: object, *, every: bool) -> None:
    """One plan.

    Args:
        page: Where to.
        plan: As the agent tells it.
        at: When it did, seconds since the epoch.
        every: List every object, however many there are.
    """
    policy, whose = name(printable(plan.get("policy") or "?"), "bold"), printable(plan.get("plan") or "?")
    page.write(policy, words(f": plan {whose[:8]}, can be carried out until {since(plan.get('expires_at'), at)}"))
    page.paragraph(_label("space"), text=_space(plan))
    page.paragraph(_label("deletes"), text=_deletes(plan), style="" if plan.get("objects") else "yellow")
    held = section(plan, "held")
    if held:
        what = "it will not be done" if held.get("final") else "it would wait"
        page.paragraph(
            _label("held by"),
            text=f"{printable(held.get('guard') or '?')}, so {what}: {printable(held.get('reason') or '')}",
            style="yellow",
        )
    _items(page, plan, every=every)
    _keeps(page, plan, every=every)


def _items(page: Page, plan: Json, *, every: bool) -> None:
    items, total = listed(plan, "items"), int(number(plan.get("objects")) or 0)
    if not items:
        return
    records = 0 if every else int(number(section(plan, "counts").get("build_cache")) or 0)
    cache = [each for each in items if records and each.get("kind") == "build_cache"]
    others = [each for each in items if not records or each.get("kind") != "build_cache"]
    shown = others if every else others[:MOST_ITEMS]
    rows = [*([_records(cache, records)] if cache else []), *map(_item, shown)]
    page.write()
    for line in table(_COLUMNS, rows, page.width, indent=2):
        page.put(line)
    if total > records + len(shown):
        page.write(words(f"and {total - records - len(shown):,} more: --all", "dim"), indent=2)


def _keeps(page: Page, plan: Json, *, every: bool) -> None:
    total = int(number(plan.get("kept")) or 0)
    if not total:
        return
    groups: dict[str, list[Json]] = {}
    for each in listed(plan, "keeps"):
        groups.setdefault(str(each.get("protection")), []).append(each)
    counts = section(plan, "protections")
    page.write()
    page.write(words(f"Kept: {total:,}"), indent=2)
    for protection in sorted(counts, key=lambda word: -(number(counts[word]) or 0)):
        count = int(number(counts[protection]) or 0)
        meaning = MEANINGS.get(protection, "")
        page.write(words(f"{count:>5,} {printable(protection):<12}"), words(f" {meaning}", "dim"), indent=2)
        found = groups.get(protection, [])
        if every:
            for each in found:
                page.write(*_kept(each), indent=10)
        elif found:
            others = [spare(f", {''.join(part.text for part in _kept(each))}") for each in found[1:_MOST_NAMES]]
            more = [spare(", …", "dim")] if count > _MOST_NAMES else []
            page.write(*_kept(found[0]), *others, *more, indent=10)
    if not every:
        page.write(words("all of them: --all", "dim"), indent=2)


def _item(item: Json) -> tuple[Line, ...]:
    return (
        (words(kind_in_words(item.get("kind"))),),
        (name(printable(item.get("name") or "?")),),
        (words(short_size(item.get("size"))),),
        (words(short_duration(item.get("unused"))),),
        (words(_why(item), "dim"),),
    )


def _records(cache: Sequence[Json], count: int) -> tuple[Line, ...]:
    """Records of the build cache, of which nobody knows one from the other, as one row."""
    sizes = [number(each.get("size")) for each in cache]
    all_known = count == len(cache) and None not in sizes
    return _item(
        {
            **cache[0],
            "name": counted(count, "record"),
            "size": sum(size or 0 for size in sizes) if all_known else None,
            "unused": min(number(each.get("unused")) or 0 for each in cache),
        }
    )


def _why(item: Json) -> str:
    asked = short_duration(item["asked"]) if number(item.get("asked")) else ""
    length = f" for {asked}" if asked else ""
    match item.get("kind"):
        case "build_cache":
            return f"unused{length}, in no build"
        case "image" if not item.get("tags"):
            return f"no name, unused{length}"
        case "container":
            return f"ended {asked} ago" if asked else "ended"
        case "network":
            return f"no container{length}"
        case "volume":
            return f"unattached{length}"
        case _:
            return f"unused{length}"


def _kept(kept: Json) -> Line:
    by = printable(kept.get("by") or "") if kept.get("by") != kept.get("name") else ""
    about = (words(f"{kind_in_words(kept.get('kind'))} "), name(printable(kept.get("name") or "?")))
    return (*about, words(" ("), name(by), words(")")) if by else about


def kind_in_words(kind: object) -> str:
    """`build cache`, `image`."""
    return printable(kind or "?").replace("_", " ")


def space_in_words(space: Json) -> str:
    """`83 % used, 6.8G of 40G free`."""
    inodes = (number(space.get("used_inodes")) or 0) > (number(space.get("used_bytes")) or 0)
    of = " of the inodes" if inodes else ""
    return (
        f"{share(space.get('used'))}{of} used, {short_size(space.get('free'))} of {short_size(space.get('total'))} free"
    )


def progress(going: Json) -> tuple[float, str]:
    """How far a pass is, and that in words."""
    objects = max(1.0, number(going.get("objects")) or 0)
    left = number(going.get("left")) or 0
    text = f"{objects - left:,.0f} of {objects:,.0f}, {short_size(going.get('freed'))} freed"
    space, deleting = section(going, "space"), section(going, "deleting")
    if space:
        text += f", {share(space.get('used'))} used"
    if deleting:
        text += f"; {kind_in_words(deleting.get('kind'))} {printable(deleting.get('name') or '')}"
    return 1.0 - left / objects, text


def _space(plan: Json) -> str:
    space = section(plan, "space")
    known = space_in_words(space) if space else "how much is left is not known"
    until = plan.get("until")
    if plan.get("reached"):
        return f"{known}: that is enough by {printable(until or '?')}, so nothing would be deleted now"
    return f"{known}; " + (f"it ends once {printable(until)}" if until else "it ends with the plan")


def _deletes(plan: Json) -> str:
    objects = int(number(plan.get("objects")) or 0)
    if not objects:
        return printable(plan.get("words") or "nothing")
    counts = section(plan, "counts")
    what = ", ".join(_counted(counts[kind], kind) for kind in counts)
    size = f" ({short_size(plan.get('size'))})" if plan.get("size") else ""
    cache = int(number(counts.get("build_cache")) or 0)
    most = [(objects - cache, plan.get("most"), "objects"), (cache, plan.get("most_cache"), "records of build cache")]
    limits = [f"{limit:,} {what}" for count, limit, what in most if isinstance(limit, int) and count > limit]
    return f"{what}{size}" + (f"; one pass deletes {' and '.join(limits)} at most" if limits else "")


def _counted(count: object, kind: str) -> str:
    if kind == "build_cache":
        return counted(count, "record") + " of build cache"
    return counted(count, kind_in_words(kind))


def _label(text: str) -> Part:
    return words(f"  {text:{_LABEL_WIDTH}}", "dim")
