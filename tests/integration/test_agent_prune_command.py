"""`prune` on a real engine whose disk is small, by the command line: what is shown is what is deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.integration.test_agent_explains import command
from tests.support import plans
from tests.support.agent import Host, Json
from tests.support.broker import PrivateBroker
from tests.support.engine import IMAGE, PrivateEngine
from tests.support.small_disk import MIB, all_tags, engine_on_small_disk, fat_image, swept
from tests.support.terminal import Terminal

POLICIES = """
version: 1
policies:
  - name: by-hand
    schedule: {cron: "0 0 29 2 *", timezone: UTC}
    prune:
      build_cache: {}
      images: {unused_for: UNUSED, keep_newest: 0, without_digest: true, keep: ["kept/*", "IMAGE"]}
  - name: asks
    mode: approve
    schedule: {cron: "0 0 29 2 *", timezone: UTC}
    prune:
      build_cache: {}
      images: {unused_for: UNUSED, keep_newest: 0, without_digest: true, keep: ["kept/*", "IMAGE"]}
  - name: heal
    select: {name: web}
    when: health == "unhealthy"
    then: {restart: {}}
""".replace("IMAGE", IMAGE)
SOON = POLICIES.replace("UNUSED", "1s")


@pytest.fixture(scope="module")
def small() -> Iterator[PrivateEngine]:
    with engine_on_small_disk(128 * MIB) as engine:
        yield engine


@pytest.fixture
def engine(small: PrivateEngine) -> Iterator[PrivateEngine]:
    with swept(small) as engine:
        yield engine


async def planned(host: Host, *wanted: str, policy: str = "by-hand") -> Json:
    """The plan, once these are old enough for it."""
    return await plans.planned(host, *wanted, policy=policy)


def names(plan: Json) -> set[str]:
    """Of the images that it deletes."""
    return plans.names(plan, "image")


async def test_a_plan_is_shown_then_carried_out_and_told(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, SOON)
    fat_image(engine, "old:1", MIB)
    fat_image(engine, "old:2", MIB)
    fat_image(engine, "kept/by:pattern", MIB)
    fat_image(engine, "used:1", MIB)
    engine.docker("create", "--name=holder", "--network=none", "used:1", "/nothing")

    plan = await planned(host, "old:1", "old:2")
    assert names(plan) == {"old:1", "old:2"}
    assert {each["name"]: each["protection"] for each in plan["keeps"] if each["kind"] == "image"} == {
        "kept/by:pattern": "pattern",
        "used:1": "container",
        IMAGE: "pattern",
    }
    assert plan["space"]["used"] > 0
    assert plan["held"] is None
    assert {"old:1", "old:2"} < all_tags(engine)

    found = json.loads(command(host, "prune", "by-hand", "--yes", "--json"))
    assert names(found["plan"]) == {"old:1", "old:2"}
    assert found["result"]["result"] == "begun"
    assert {each["event"]["correlationid"] for each in found["events"]} == {found["result"]["correlation_id"]}
    assert found["outcome"]["numbers"]["deleted.image"] == 2
    assert found["outcome"]["numbers"]["freed"] > MIB
    assert all_tags(engine) == {"kept/by:pattern", "used:1", IMAGE}

    assert "2 images" in command(host, "history", "--policy", "by-hand")
    assert "last pass  succeeded" in command(host, "explain", "by-hand")
    assert "last pass succeeded" in command(host, "status", "--alive")


async def test_what_was_shown_is_what_is_deleted_and_nothing_else(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, SOON)
    fat_image(engine, "old:1", MIB)
    fat_image(engine, "old:2", MIB)
    shown = await planned(host, "old:1", "old:2")
    fat_image(engine, "late:1", MIB)
    await planned(host, "late:1", policy="asks")  # by now it may be deleted, too: by rules that are the same
    command(host, "prune", "--plan", "by-hand")  # a further look does not change what was shown

    carried_out = host.agent.ask("prune", policy="by-hand", plan=shown["plan"])
    assert carried_out["result"] == "begun"
    await host.watch.until_told("action", "succeeded")
    assert all_tags(engine) == {"late:1", IMAGE}
    again = host.agent.ask("prune", policy="by-hand", plan=shown["plan"])
    assert (again["result"], "there is no plan" in again["reason"]) == ("over", True)

    shown = await planned(host, "late:1")
    host.agent.write_policies(POLICIES.replace("UNUSED", "2s"))
    await host.watch.until_told("policy", "loaded", count=2)
    changed = host.agent.ask("prune", policy="by-hand", plan=shown["plan"])
    assert (changed["result"], "its policy was changed" in changed["reason"]) == ("over", True)
    assert all_tags(engine) == {"late:1", IMAGE}


async def test_on_a_terminal_it_asks_first_and_shows_how_far_it_is(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, SOON)
    fat_image(engine, "old:1", MIB)
    fat_image(engine, "old:2", MIB)
    await planned(host, "old:1", "old:2")

    async with Terminal("prune", "by-hand", "--socket", str(host.agent.socket), lines=40) as terminal:
        await terminal.until(lambda lines: "Delete this? [y/N]" in lines)
        terminal.press("n\r")
        assert await terminal.ended() == 1
        await terminal.until(lambda lines: "Nothing was deleted." in lines)
    assert len(all_tags(engine)) == 3

    async with Terminal("prune", "by-hand", "--socket", str(host.agent.socket), lines=40) as terminal:
        await terminal.until(lambda lines: "Delete this? [y/N]" in lines)
        terminal.press("y\r")
        lines = await terminal.until(lambda lines: any(line.startswith("succeeded: ") for line in lines))
        assert await terminal.ended() == 0
        assert sum(line.startswith("  ✓ deleted image old:") for line in lines) == 2
        assert "━━━" in terminal.raw
        assert not any("━" in line for line in lines)
        assert terminal.left_as_it_was()
    assert all_tags(engine) == {IMAGE}


async def test_what_stands_against_it_is_told_with_what_to_do(
    engine: PrivateEngine, module_broker: PrivateBroker, make_host: Callable[..., Host]
) -> None:
    host = make_host(engine, module_broker, SOON)
    fat_image(engine, "old:1", MIB)
    await planned(host, "old:1")

    assert "did you mean by-hand?" in command(host, "prune", "--plan", "by-hnd", code=1)
    assert "those that do: by-hand, asks" in command(host, "prune", "--plan", "heal", code=1)
    assert "give --yes" in command(host, "prune", "by-hand", code=2)
    assert "prune needs a policy" in command(host, "prune", "--yes", code=2)

    said = command(host, "prune", "asks", "--yes", code=1)
    (asked,) = await host.watch.until_told("policy", "approval_asked")
    assert f"watchtower-agent approve {asked.data['approval']}" in said
    command(host, "approve", asked.data["approval"])
    await host.watch.until_told("action", "succeeded")
    assert all_tags(engine) == {IMAGE}

    fat_image(engine, "old:2", MIB)
    await planned(host, "old:2")
    command(host, "pause", "by-hand")
    said = command(host, "prune", "by-hand", "--yes", code=1)
    assert "held by paused" in said
    assert "watchtower-agent resume" in said
    assert "old:2" in all_tags(engine)
    command(host, "resume", "by-hand")
    await host.watch.until_told("action", "succeeded", count=2)
    assert all_tags(engine) == {IMAGE}
