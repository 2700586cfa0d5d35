"""Plans of pruning as a running agent shows them."""

from __future__ import annotations

from tests.support.agent import Host, Json


def names(plan: Json, kind: str = "") -> set[str]:
    """Of all that it deletes, or of those of a kind."""
    return {item["name"] for item in plan["items"] if kind in {"", item["kind"]}}


async def planned(host: Host, *wanted: str, policy: str) -> Json:
    """The plan, once these are old enough for it: the agent is asked again and again what it would delete."""
    found: list[Json] = []

    def is_so(_: object) -> bool:
        found[:] = host.agent.ask("prune", policy=policy, dry_run=True)["plans"]
        return set(wanted) <= names(found[0])

    await host.watch.until(is_so, timeout=20)
    return found[0]
