"""`top` in a real terminal: what it shows, its keys, its sizes, hostile names, and how it leaves the terminal."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.command_line import HOSTILE, LONG, piped
from tests.support.control import FakeControl, frame, shown, watcher
from tests.support.facts import NOW
from tests.support.terminal import Terminal
from watchtower_agent.cli.quantities import short_duration, short_size
from watchtower_agent.cli.top import View
from watchtower_agent.serving.control import ControlServer

CROWD = [shown(f"idle-{number:03}") for number in range(60)]


@asynccontextmanager
async def top(
    socket: Path, control: FakeControl, *arguments: str, columns: int = 80, lines: int = 24
) -> AsyncIterator[Terminal]:
    """It runs, and has drawn its first page."""
    terminal = Terminal("top", "--socket", str(socket), *arguments, columns=columns, lines=lines)
    async with ControlServer(control, socket), terminal:
        await terminal.until(lambda seen: "quit" in seen[-1])
        yield terminal


def control_of(containers: Sequence[dict[str, object]], **changes: object) -> FakeControl:
    control = FakeControl()
    control.frame = frame(containers, **changes)
    return control


@pytest.mark.parametrize(("columns", "there"), [(119, False), (120, True), (140, True)])
async def test_a_wide_page_has_the_trend_of_cpu(socket: Path, columns: int, there: bool) -> None:
    containers = [
        shown("grows", trend=[3.0 * number for number in range(30)]),
        shown("begun", trend=[*[None] * 20, *[1.0] * 10]),
        shown("ended", trend=[*[40.0] * 15, *[None] * 15], status="exited"),
        shown("waits", trend=[*[0.0] * 29, 0.3]),
        shown("idle", trend=[0.04] * 30),
        shown("hostile", trend="\x1b[2J"),
        shown("older-agent"),
    ]
    async with top(socket, control_of(containers), columns=columns) as terminal:
        seen = await terminal.until(lambda seen: any("older-agent" in line for line in seen))
    head = next(line for line in seen if line.startswith("name"))
    assert ("5 min" in head) is there
    if there:
        at = head.index("   5 min")
        trends = {line.split()[0]: line[at : at + 8] for line in seen if line.split()[:1] and "leak" in line[at + 8 :]}
        assert trends["grows"] == "▁▂▃▄▅▆▇█"
        assert (trends["begun"], trends["ended"]) == ("     ▁▁▁", "████····")
        assert (trends["waits"], trends["idle"]) == ("▁" * 8, " " * 8)
        assert trends["hostile"] == trends["older-agent"] == " " * 8


async def test_a_page_at_80_columns(socket: Path) -> None:
    firing = watcher(
        "heal",
        firing=True,
        true=True,
        closeness=1.0,
        held_for=75.0,
        guard="cooldown",
        guard_reason="acted 12.0 s ago (cooldown: 30s)",
        release_at=NOW + 18,
    )
    counting = watcher("leak", true=True, closeness=1.0, held_for=34.0)
    containers = [
        shown("web", health="unhealthy", watchers=[firing, watcher("leak")], watched_by=2),
        shown(LONG, watchers=[counting]),
        shown("db", status="exited", health="none", uptime=None, exit_code=137, values={}, watchers=[], watched_by=0),
    ]
    async with top(socket, control_of(containers)) as terminal:
        seen = terminal.screen.display()

    assert seen[0] == "h1  14:13:20  enforce  agent 0.1.0 up 1 h 6 min"
    assert seen[1] == "host    cpu 40.0 %  memory 50.0 %  disk 93.0 %  load 0.50 0.25"
    assert seen[2] == "engine  ✓ 26.1.5  ping 1 ms  lag 2 ms  3 running, 0 paused, 1 stopped"
    assert seen[3] == "policies  3 in force  1 firing  2 counting  1 held   host: disk 80 %"
    assert seen[4].split() == ["name", "cpu", "%", "mem", "mem", "%", "psi", "state", "rst", "up", "nearest", "policy"]
    assert re.fullmatch(r"web +12\.3 +300M +60\.0 +17m unhealthy +2 +2h heal held: cooldown \+1", seen[5])
    assert re.fullmatch(r"shop-\S+…\S+-12 .* healthy +2 +2h leak 34s of 2m", seen[6])
    assert re.fullmatch(r"db +- +- +- +- exited +2 +- -", seen[7])
    panel = seen[-5:-1]
    assert panel[0] == "web  web:1  running  watched by 2 policies ".ljust(80, "─")
    assert panel[1] == "  heal → restart  firing, true for 1m  memory.percent 60.0 % > 90%"
    assert panel[2] == "      held by cooldown until 14:13:38 (18s): acted 12.0 s ago (cooldown: 30s)"
    assert panel[3] == "  leak → restart  66 % of threshold (for: 2m)  memory.percent 60.0 % > 90%"
    assert seen[-1].startswith("policy cpu mem psi restarts uptime net io name - reverse")


@pytest.mark.parametrize("columns", [80, 88, 120, 200])
async def test_a_line_reaches_the_last_cell(socket: Path, columns: int) -> None:
    async with top(socket, control_of(CROWD), columns=columns) as terminal:
        seen = await terminal.until(lambda seen: re.search(r"  1-\d+ of 60$", seen[-1]))
    assert len(seen[-1]) == columns


async def test_the_last_of_many_are_counted_at_80_columns(socket: Path) -> None:
    control = control_of([shown(f"idle-{number:03}") for number in range(406)])
    async with top(socket, control) as terminal:
        terminal.press("G")
        await terminal.until(lambda seen: seen[-1].endswith("name - reverse q quit   391-406 of 406"))
        assert terminal.screen.display()[-3].startswith("idle-405")


async def test_more_room_shows_more(socket: Path) -> None:
    containers = [shown(LONG), *CROWD]
    control = control_of(containers)
    async with top(socket, control) as terminal:
        narrow = terminal.screen.display()
        terminal.resize(240, 50)
        wide = await terminal.until(lambda seen: LONG in seen[5] and "idle-030" in seen[5 + 31])
        terminal.resize(50, 12)
        small = await terminal.until(lambda seen: len(seen[-2]) > 10)

    assert "…" in narrow[5]
    assert "net in" not in narrow[4]
    assert {"net", "disk", "limit", "pids"} <= set(wide[4].split())
    assert "memory.percent 60.0 % > 90%" in wide[5]
    assert small[4].split()[:3] == ["name", "cpu", "%"]
    limits = [asked["limit"] for asked in control.asked]
    assert {24, 24 - 6, 50 - 6} <= set(limits) <= {24, 24 - 6, 50 - 6, 12 - 6}


async def test_keys_put_in_order_choose_and_turn(socket: Path) -> None:
    control = control_of(list(reversed(CROWD)))
    async with top(socket, control) as terminal:
        assert terminal.screen.display()[5].startswith("idle-059")
        terminal.press("n")
        await terminal.until(lambda seen: seen[5].startswith("idle-000") and seen[-3].startswith("idle-000"))
        terminal.press("\x1b[B\x1bOB")
        await terminal.until(lambda seen: seen[-3].startswith("idle-002"))
        terminal.press("\x1b[6~")
        await terminal.until(lambda seen: seen[-3].startswith("idle-018") and seen[-4].startswith("idle-018"))
        terminal.press("\x1b[F")
        await terminal.until(lambda seen: seen[-3].startswith("idle-059") and seen[-4].startswith("idle-059"))
        terminal.press("\x1b[A\x1b[H")
        await terminal.until(lambda seen: seen[-3].startswith("idle-000"))
        terminal.press("-")
        await terminal.until(lambda seen: seen[5].startswith("idle-059"))
        terminal.press("\x1b[200~ignored\x1b[201~")
        terminal.press("q")
        assert await terminal.ended() == 0


class SlowControl(FakeControl):
    """Answers only what begins with the first container, until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()

    async def top(self, *, sort: str, backwards: bool, offset: int, limit: int) -> Mapping[str, object]:
        if offset:
            await self.goes_on.wait()
        return await super().top(sort=sort, backwards=backwards, offset=offset, limit=limit)


async def test_one_walks_on_while_the_agent_is_slow_to_answer(socket: Path) -> None:
    control = SlowControl()
    control.frame = frame(CROWD, sort="policy")
    async with top(socket, control) as terminal:
        terminal.press("\x1b[B" * 16)
        await terminal.until(lambda seen: seen[-3].startswith("idle-016") and seen[-4].startswith("idle-016"))
        assert terminal.screen.display()[5].startswith("idle-001")


async def test_an_agent_that_is_held_up_is_told(socket: Path) -> None:
    control = SlowControl()
    control.frame = frame(CROWD, sort="policy")
    async with top(socket, control, "--interval", "60") as terminal:
        terminal.press("\x1b[F")
        seen = await terminal.until(lambda seen: re.fullmatch(r"The agent has not answered for \d s", seen[-1]))
        assert seen[5].startswith("idle-000")
        control.goes_on.set()
        await terminal.until(lambda seen: "quit" in seen[-1] and seen[-3].startswith("idle-059"))


async def test_the_choice_follows_its_container(socket: Path) -> None:
    control = control_of([shown("a"), shown("b"), shown("c")])
    async with top(socket, control, "--interval", "0.2") as terminal:
        terminal.press("\x1b[B")
        await terminal.until(lambda seen: seen[-3].startswith("b "))
        control.frame = frame([shown("c"), shown("a"), shown("b")])
        await terminal.until(lambda seen: seen[5].startswith("c ") and seen[-3].startswith("b "))
        control.frame = frame([shown("c")])
        await terminal.until(lambda seen: seen[-3].startswith("c "))


@pytest.mark.parametrize("end", ["q", "\x03", signal.SIGTERM, signal.SIGHUP])
async def test_it_leaves_the_terminal_as_it_was(socket: Path, end: str | signal.Signals) -> None:
    async with top(socket, control_of(CROWD)) as terminal:
        assert terminal.screen.modes == {1049}
        assert terminal.settings() != terminal.before
        if isinstance(end, str):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        assert await terminal.ended() == 0
        assert terminal.left_as_it_was()
        assert "Traceback" not in terminal.raw


async def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(socket: Path) -> None:
    async with top(socket, control_of(CROWD)) as terminal:
        terminal.press("\x1a")
        await terminal.stopped()
        assert terminal.left_as_it_was()
        terminal.screen.resize(80, 24)
        terminal.process.send_signal(signal.SIGCONT)
        await terminal.until(lambda seen: "quit" in seen[-1] and seen[0].startswith("h1"))
        assert terminal.screen.modes == {1049}


@pytest.mark.parametrize(("columns", "lines"), [(1, 1), (20, 5), (40, 12), (80, 24), (160, 50)])
async def test_no_size_is_too_small(socket: Path, columns: int, lines: int) -> None:
    terminal = Terminal("top", "--socket", str(socket), columns=columns, lines=lines)
    control = control_of(CROWD)
    async with ControlServer(control, socket), terminal:
        await terminal.until(any)
        terminal.press("\x1b[B\x1b[Fcq")
        assert await terminal.ended() == 0
        assert terminal.left_as_it_was()


@pytest.mark.parametrize("columns", [40, 80, 140, 200])
async def test_no_name_breaks_the_page(socket: Path, columns: int) -> None:
    def about(name: str) -> dict[str, object]:
        compared = {"name": name, "value": name, "sign": ">", "threshold": name, "true": True}
        held = watcher(name, guard="cooldown", guard_reason=name, comparisons=[compared] * 3, does=name, mode=name)
        return shown(name, image=name, health=name, status=name, operator_action=name, watchers=[held] * 3)

    containers = [*map(about, HOSTILE), shown("after")]
    engine = {"engine.connected": False, "last_error": HOSTILE[1], "since": NOW}
    agent = {"host": HOSTILE[2], "mode": HOSTILE[5], "version": HOSTILE[3]}
    control = control_of(containers, engine=engine, agent=agent, watchers=[watcher(HOSTILE[1])])
    async with top(socket, control, columns=columns) as terminal:
        seen = await terminal.until(lambda seen: seen[5 + len(HOSTILE)].startswith("after"))
        for number in range(len(HOSTILE)):
            terminal.press("\x1b[B")
            await terminal.until(lambda _: True)
            assert len(terminal.screen.display()) == 24, number
        await terminal.until(lambda seen: seen[-9].startswith("af") and "watched by 1 policy" in seen[-9])
        assert not any("after" in line for line in seen[: 5 + len(HOSTILE)])
        terminal.press("q")
        assert await terminal.ended() == 0


async def test_an_agent_that_goes_is_told_and_waited_for(socket: Path) -> None:
    control = control_of(CROWD)
    terminal = Terminal("top", "--socket", str(socket), "--interval", "0.2", columns=120)
    async with terminal:
        async with ControlServer(control, socket):
            await terminal.until(lambda seen: "quit" in seen[-1])
        gone = await terminal.until(lambda seen: seen[-1].startswith("No agent answers at"))
        assert gone[5].startswith("idle-000")
        async with ControlServer(control, socket):
            await terminal.until(lambda seen: "quit" in seen[-1])


async def test_one_frame_for_a_file(socket: Path) -> None:
    counting = watcher("leak", true=True, held_for=34.0)
    containers = [shown(LONG, watchers=[counting]), *CROWD, shown("x\x1b[2J\ny")]
    async with ControlServer(control_of(containers), socket):
        done = await asyncio.to_thread(piped, socket, "top", "--once")

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    assert sum(line.startswith("idle-") for line in lines) == 60
    assert any(LONG in line and "leak 34s of 2m" in line for line in lines)
    assert lines[-1] == f"  {LONG}  leak → restart  true for 34s of 2m  memory.percent 60.0 % > 90%"


async def test_one_frame_for_a_program_has_every_container(socket: Path) -> None:
    control = control_of([shown(f"c{number}") for number in range(450)])
    async with ControlServer(control, socket):
        done = await asyncio.to_thread(piped, socket, "top", "--once", "--json", "--sort", "name", "--reverse")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["total"], len(answer["containers"])) == (0, 450, 450)
    assert len({each["name"] for each in answer["containers"]}) == 450
    assert [asked["offset"] for asked in control.asked] == [0, 200, 400]
    assert {(asked["sort"], asked["backwards"]) for asked in control.asked} == {("name", True)}


async def test_without_a_terminal_it_says_what_to_do(socket: Path) -> None:
    async with ControlServer(control_of([]), socket):
        for arguments in ([], ["--json"]):
            done = await asyncio.to_thread(piped, socket, "top", *arguments)
            said, other = (done.stdout, done.stderr) if arguments else (done.stderr, done.stdout)
            assert (done.returncode, other) == (2, "")
            assert "top --once" in said
    done = piped(socket, "top", "--once")
    assert done.returncode == 3
    assert "No agent answers" in done.stderr
    assert piped(socket, "top", "--interval", "0").returncode == 2
    assert piped(socket, "top", "--sort", "size").returncode == 2


async def test_without_an_agent_the_terminal_is_not_taken(socket: Path) -> None:
    async with Terminal("top", "--socket", str(socket)) as terminal:
        assert await terminal.ended() == 3
        assert terminal.left_as_it_was()
        assert "1049" not in terminal.raw


async def test_a_bare_answer_is_enough(socket: Path) -> None:
    control = FakeControl()
    control.frame = {"containers": [{}, {"watchers": [{}]}]}
    async with top(socket, control) as terminal:
        assert terminal.screen.display()[5].startswith("?")
        terminal.press("q")
        assert await terminal.ended() == 0


def test_the_chosen_one_stays_in_sight() -> None:
    view = View(room=10)
    for key, total, cursor, offset in (
        ("up", 100, 0, 0),
        ("end", 100, 99, 90),
        ("page up", 100, 89, 89),
        ("down", 100, 90, 89),
        ("home", 100, 0, 0),
        ("page down", 100, 10, 1),
        ("down", 5, 4, 0),
        ("down", 0, 0, 0),
    ):
        view = view.pressed(key, total)
        assert (view.cursor, view.offset) == (cursor, offset), key


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.4, "0"),
        (512, "512B"),
        (1023, "1023B"),
        (1024, "1.0K"),
        (300 * 2**20, "300M"),
        (2**70, "1048576P"),
    ],
)
def test_sizes_are_short(value: object, text: str) -> None:
    assert short_size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (-3.0, "0s"), (59.9, "60s"), (60, "1m"), (7300.0, "2h"), (864000, "10d")]
)
def test_durations_are_short(value: object, text: str) -> None:
    assert short_duration(value) == text
