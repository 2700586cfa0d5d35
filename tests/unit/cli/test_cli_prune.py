"""`prune` as people and programs use it; the agent is a fake behind a real socket."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command_line import run, seen
from tests.support.control import FakeControl, status
from tests.support.facts import NOW
from tests.support.terminal import Terminal
from watchtower_agent.cli.planned import MEANINGS
from watchtower_agent.policies.pruning.item import Protection
from watchtower_agent.serving.control import ControlServer

MIB = 2**20
DAY = 86400.0
CORRELATION = "c" * 32


def item(kind: str, name: str, **more: object) -> dict[str, object]:
    made = {"kind": kind, "id": name, "name": name, "size": 12 * MIB, "unused": 12 * DAY, "asked": DAY}
    return made | ({"tags": [name]} if kind == "image" else {}) | more


def kept(name: str, protection: str, by: str = "") -> dict[str, object]:
    return {"kind": "image", "id": name, "name": name, "protection": protection, "by": by}


ITEMS = [
    item("build_cache", "pfo9qc4uqhc9", asked=0.0),
    item("image", "f62617395f80", tags=[]),
    item("container", "dead", asked=7 * DAY),
    item("image", "registry.example.org/shop/frontend-web:2024.11.2"),
    item("network", "unused", size=None),
]
KEEPS = [kept("web:1", "container", "web-1"), *(kept(f"base:{each}", "newest", "base") for each in range(5))]
PLAN: dict[str, object] = {
    "plan": "fba0dea3c0ffee",
    "policy": "disk",
    "made_at": NOW,
    "expires_at": NOW + 600,
    "correlation_id": CORRELATION,
    "objects": len(ITEMS),
    "size": 48 * MIB,
    "kept": len(KEEPS),
    "words": "",
    "counts": {"build_cache": 1, "image": 2, "container": 1, "network": 1},
    "protections": {"newest": 5, "container": 1},
    "space": {"used": 0.831, "used_bytes": 0.831, "used_inodes": 0.1, "free": 6 * 2**30, "total": 40 * 2**30},
    "until": "host.disk.percent < 75%",
    "reached": False,
    "most": 20,
    "most_cache": 200,
    "held": None,
    "items": ITEMS,
    "keeps": KEEPS,
}
NOTHING = PLAN | {
    "objects": 0,
    "size": 0,
    "counts": {},
    "items": [],
    "words": "nothing may be deleted: 6 kept (5 newest, 1 container)",
}
BEGUN: dict[str, object] = {
    "at": NOW,
    "policy": "disk",
    "plan": PLAN["plan"],
    "decision": "d1",
    "correlation_id": CORRELATION,
    "target": "h1",
    "verb": "prune",
    "expires_at": NOW + 600,
    "approval": None,
    "result": "begun",
    "reason": "it is begun",
    "guard": None,
    "release_at": None,
}


def told(topic: str, correlation: str = CORRELATION, **data: object) -> dict[str, object]:
    return {"topic": f"w/v1/h1/event/{topic}/disk", "event": {"correlationid": correlation, "data": data}}


OTHERS = told("action/succeeded", "d" * 32, reason="somebody else's")
DELETED = told("policy/pruned", reason="deleted image web:1 (unused for 12 d), 12.0 MiB freed")
ENDED = told(
    "action/succeeded",
    result="succeeded",
    reason="deleted 1 image (12.0 MiB): there is as much space as the policy wants",
    numbers={"deleted": 1, "kept": 2, "failed": 0, "freed": 12 * MIB, "ending": "reached"},
)


@pytest.fixture
def control() -> FakeControl:
    made = FakeControl()
    made.plans, made.pruned, made.told = [PLAN], BEGUN, [OTHERS, DELETED, ENDED]
    return made


async def test_a_plan_in_80_columns(socket: Path, control: FakeControl) -> None:
    async with (
        ControlServer(control, socket),
        Terminal("prune", "--plan", "disk", "--socket", str(socket), lines=40) as terminal,
    ):
        assert await terminal.ended() == 0
        lines = await terminal.until(lambda lines: any("--all" in line for line in lines))
    assert [line for line in lines if line] == [
        "disk: plan fba0dea3, can be carried out until 14:23:20",
        "  space    83 % used, 6.0G of 40G free; it ends once host.disk.percent < 75%",
        "  deletes  1 record of build cache, 2 images, 1 container, 1 network (48M)",
        "  kind         name                         size  unused  why it may go",
        "  build cache  1 record                      12M     12d  unused, in no build",
        "  image        f62617395f80                  12M     12d  no name, unused for 1d",
        "  container    dead                          12M     12d  ended 7d ago",
        "  image        registry.exam…web:2024.11.2   12M     12d  unused for 1d",
        "  network      unused                          -     12d  no container for 1d",
        "  Kept: 6",
        "      5 newest       one of the newest of its repository",
        "          image base:0 (base), image base:1 (base), image base:2 (base), …",
        "      1 container    a container refers to it",
        "          image web:1 (web-1)",
        "  all of them: --all",
    ]


def test_every_protection_has_its_words() -> None:
    assert set(MEANINGS) == {each.value for each in Protection}


async def test_programs_get_every_object_page_by_page(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [item("image", f"i:{each}") for each in range(600)]
    control.plans = [PLAN | {"items": many, "objects": 600}]
    assert await run(socket, control, "prune", "--plan", "--json") == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert [each["name"] for each in plan["items"]] == [f"i:{each}" for each in range(600)]
    assert len(plan["keeps"]) == len(KEEPS)
    assert [each["offset"] for each in control.asked] == [0, 250, 500]
    assert control.asked[1] == {"policy": "disk", "plan": PLAN["plan"], "offset": 250, "limit": 250}


async def test_people_see_twenty_objects_unless_they_want_all(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [item("image", f"i:{each}") for each in range(300)]
    control.plans = [PLAN | {"items": many, "objects": 300, "counts": {"image": 300}}]
    assert await run(socket, control, "prune", "--plan", "disk") == 0
    said = capsys.readouterr().out
    assert ("i:19 " in said, "i:20 " in said, "and 280 more: --all" in said) == (True, False, True)
    assert "300 images (48M); one pass deletes 20 objects at most" in said
    assert await run(socket, control, "prune", "--plan", "disk", "--all") == 0
    said = capsys.readouterr().out
    assert ("i:299 " in said, "more" in said, said.count("(base)")) == (True, False, 5)


async def test_it_is_carried_out_as_shown_and_followed_to_its_end(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(socket, control, "prune", "disk", "--yes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:] == [
        "  ✓ deleted image web:1 (unused for 12 d), 12.0 MiB freed",
        "",
        "succeeded: 1 deleted, 2 kept, 0 failed, 12M freed",
        "  deleted 1 image (12.0 MiB): there is as much space as the policy wants",
    ]
    assert control.asked[-1] == {"policy": "disk", "plan": PLAN["plan"]}


async def test_programs_get_the_plan_the_events_and_the_end_in_one_document(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(socket, control, "prune", "disk", "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["plan"]["plan"], found["result"]) == (PLAN["plan"], BEGUN)
    assert found["events"] == [DELETED, ENDED]
    assert found["outcome"]["numbers"]["freed"] == 12 * MIB


@pytest.mark.parametrize(
    ("ending", "numbers"),
    [
        ("failed", {"ending": "prune_ineffective", "deleted": 3}),
        ("succeeded", {"ending": "stopped", "deleted": 1}),
        ("succeeded", {"ending": "expired", "deleted": 1}),
        ("succeeded", {"ending": "through", "deleted": 1, "failed": 1}),
        ("interrupted", {"ending": "interrupted"}),
    ],
)
async def test_what_is_not_all_done_is_told_by_the_exit_code(
    socket: Path, control: FakeControl, ending: str, numbers: dict[str, object]
) -> None:
    control.told = [told(f"action/{ending}", result=ending, reason="as it is", numbers=numbers)]
    assert await run(socket, control, "prune", "disk", "--yes") == 1


async def test_nothing_to_delete_and_a_mark_that_is_reached_ask_nobody(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    control.plans = [NOTHING]
    assert await run(socket, control, "prune", "disk", "--yes") == 0
    assert "nothing may be deleted: 6 kept" in capsys.readouterr().out
    control.plans = [PLAN | {"reached": True}]
    assert await run(socket, control, "prune", "disk", "--yes") == 0
    assert "that is enough by host.disk.percent < 75%, so nothing would be deleted now" in capsys.readouterr().out
    assert all("limit" in each for each in control.asked)


async def test_what_a_guard_says_and_what_to_do(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    control.pruned = BEGUN | {"result": "held", "guard": "paused", "reason": "policy disk is paused for 1h"}
    assert await run(socket, control, "prune", "disk", "--yes") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "prune h1 held by paused policy disk is paused for 1h" in said
    assert "watchtower-agent resume" in said
    assert "It is done by itself once it may be, until" in said

    control.pruned = BEGUN | {"result": "held", "guard": "mode", "reason": "a person is asked", "approval": "rtmwbr"}
    assert await run(socket, control, "prune", "disk", "--yes") == 1
    assert "watchtower-agent approve rtmwbr" in capsys.readouterr().out

    never = {"guard": "mode", "reason": "shadow mode: it decides and does not act", "release_at": None, "final": True}
    control.plans = [PLAN | {"held": never}]
    asked = len(control.asked)
    assert await run(socket, control, "prune", "disk", "--yes") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "held by mode, so it will not be done: shadow mode: it decides and does not act" in said
    assert "give the policy mode: enforce" in said
    assert len(control.asked) == asked + 1


async def test_what_waits_is_followed_until_it_is_given_up(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    control.pruned = BEGUN | {"result": "waits", "reason": "a prune by policy nightly is under way"}
    control.told = [
        told("policy/held", decision_id="another", reason="not ours"),
        told("policy/dropped", decision_id="d1", reason="its plan is 10 min old"),
    ]
    assert await run(socket, control, "prune", "disk", "--yes") == 1
    said = capsys.readouterr().out
    assert "It waits: a prune by policy nightly is under way." in said
    assert "It is not done: its plan is 10 min old" in said


async def test_a_plan_that_is_over_is_not_carried_out(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    control.pruned = {"result": "over", "reason": "its plan is 10 min old"}
    assert await run(socket, control, "prune", "disk", "--yes") == 1
    assert "its plan is 10 min old: nothing was deleted." in capsys.readouterr().out


async def test_an_agent_that_stops_and_one_whose_events_were_missed(
    socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]
) -> None:
    control.told = [DELETED, None]
    assert await run(socket, control, "prune", "disk", "--yes") == 3
    assert "The agent stopped." in capsys.readouterr().err
    control.told = [DELETED, None]
    assert await run(socket, control, "prune", "disk", "--yes", "--json") == 3
    words = capsys.readouterr()
    answer = json.loads(words.out)
    assert (answer["ok"], len(answer["events"]), words.err) == (False, 1, "")
    assert answer["error"].startswith("The agent stopped. What it was doing is found out")
    row = {"id": "d1", "result": "succeeded", "reason": "by the ledger", "numbers": {"ending": "through"}}
    control.rows, control.told = [row], [{"missed": 9}]
    assert await run(socket, control, "prune", "disk", "--yes") == 0
    assert "by the ledger" in capsys.readouterr().out


async def test_wrong_usage_and_refusals(socket: Path, control: FakeControl, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(socket, control, "prune", "disk", "--json") == 2
    assert await run(socket, control, "prune", "disk") == 2
    assert await run(socket, control, "prune", "--yes") == 2
    assert control.asked == []
    capsys.readouterr()
    assert await run(socket, control, "prune", "--plan", "dsk") == 1
    assert "did you mean disk?" in capsys.readouterr().err


async def test_a_person_is_asked_again_about_a_new_plan(socket: Path, control: FakeControl) -> None:
    control.pruned = {"result": "over", "reason": "its policy was changed"}
    async with (
        ControlServer(control, socket),
        Terminal("prune", "disk", "--socket", str(socket), lines=60) as terminal,
    ):
        await terminal.until(lambda lines: "Delete this? [y/N]" in lines)
        terminal.press("y\r")
        await terminal.until(lambda lines: "A new one:" in lines)
        await terminal.until(lambda lines: lines.count("Delete this? [y/N]") == 1 and any("y/N] y" in x for x in lines))
        terminal.press("\r")
        assert await terminal.ended() == 1
        assert terminal.left_as_it_was()


async def test_ctrl_c_leaves_the_agent_to_it_and_says_so(socket: Path, control: FakeControl) -> None:
    control.told = [DELETED]
    async with (
        ControlServer(control, socket),
        Terminal("prune", "disk", "--yes", "--socket", str(socket), lines=40) as terminal,
    ):
        lines = await terminal.until(lambda lines: any("━━━" in line for line in lines))
        await terminal.until(lambda lines: any("✓ deleted image web:1" in line for line in lines))
        terminal.process.send_signal(signal.SIGINT)
        lines = await terminal.until(lambda lines: any("The agent goes on with it" in line for line in lines))
        assert await terminal.ended() == 1
        assert not any("━" in line for line in lines)
        assert terminal.left_as_it_was()


async def test_ctrl_c_while_the_engine_is_asked_is_no_stack_of_calls(socket: Path) -> None:
    class Slow(FakeControl):
        async def prune_plan(self, **asked: object) -> Mapping[str, object]:
            self.asked.append(asked)
            await asyncio.Event().wait()
            return {}

    async with (
        ControlServer(Slow(), socket),
        Terminal("prune", "disk", "--socket", str(socket)) as terminal,
    ):
        await terminal.until(lambda lines: any("the engine is asked what it keeps" in line for line in lines))
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.ended() == 1
        lines = await terminal.until(lambda lines: any("ended before anything was deleted" in line for line in lines))
        assert [line for line in lines if line] == ["watchtower-agent: ended before anything was deleted"]


async def test_status_tells_of_it(socket: Path) -> None:
    control = FakeControl(
        status(
            pruned=[
                {"policy": "disk", "plan": None, "under_way": None, "last": None, "begun_at": None},
                {
                    "policy": "nightly",
                    "plan": {"made_at": NOW, "objects": 12, "size": 48 * MIB},
                    "under_way": None,
                    "last": {"result": "succeeded", "finished_at": NOW - 7200, "freed": 3 * 2**30, "deleted": 20},
                    "begun_at": NOW - 7300,
                },
            ],
            use_tracking={"images": 42, "since": NOW - 3600, "gap": None, "listed_at": NOW - 60},
        )
    )
    lines = await seen(socket, control, "status", "--alive")
    at = lines.index("  Pruning by disk: no plan at present")
    assert lines[at + 1].startswith("  Pruning by nightly: plan of 21 Sep ")
    assert lines[at + 1].endswith("14:13:20: 12 objects, 48M")
    assert lines[at + 2].startswith("    last pass succeeded ")
    assert lines[at + 2].endswith(" ago, 3.0G freed")
    assert lines[at + 3].startswith("    last use of 42 images known, back to 21 Sep ")
