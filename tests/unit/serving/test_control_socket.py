# ruff: noqa: ASYNC240 - looking at a file of a few bytes does not hold up a test's loop
from __future__ import annotations

import asyncio
import json
import resource
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from structlog.testing import capture_logs

from tests.support.control import HISTORY, FakeControl, status
from tests.support.numbers import examples
from watchtower_agent.errors import FatalError, PermanentError, TemporaryError
from watchtower_agent.serving import control as control_module
from watchtower_agent.serving.client import ControlClient, NoAgentError
from watchtower_agent.serving.control import MOST_CONNECTIONS, ControlServer


@pytest.fixture
def path() -> Iterator[Path]:
    # Not tmp_path: its length may leave too little of the 107 bytes.
    with TemporaryDirectory() as folder:
        yield Path(folder) / "run" / "control.sock"


async def ask(path: Path, command: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON is any of its types
    return await asyncio.to_thread(ControlClient(path).ask, command, **arguments)


async def raw(path: Path, content: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(content)
    text = b""
    with suppress(ConnectionResetError):
        text = await reader.readline()
    writer.close()
    return json.loads(text) if text else None


async def test_questions_and_answers(path: Path) -> None:
    control = FakeControl()
    async with ControlServer(control, path):
        assert await ask(path, "status") == status()
        assert await ask(path, "history", limit=1, policy="p", target="t") == HISTORY[:1]
        assert await ask(path, "reload") == {"policies": 2}
        assert await ask(path, "lag", seconds=2) == {"timers": {"count": 0}}
    assert control.asked == [{"limit": 1, "policy": "p", "target": "t"}, {"seconds": 2}]


async def test_a_plan_is_shown_page_by_page_and_only_what_was_shown_can_be_wanted(path: Path) -> None:
    control = FakeControl()
    control.plans, control.pruned = [{"items": [1, 2, 3], "keeps": []}], {"result": "begun"}
    async with ControlServer(control, path):
        answer = await ask(path, "prune", policy="disk", dry_run=True, offset=1, limit=1)
        assert answer["plans"] == [{"items": [2], "keeps": [], "offset": 1}]
        assert await ask(path, "prune", policy="disk", plan="p1") == {"result": "begun"}
        for wrong, said in (
            ({"policy": "disk"}, "needs a policy and the id of a plan"),
            ({"plan": "p1"}, "needs a policy and the id of a plan"),
            ({"policy": "disk", "dry_run": True, "limit": 251}, "limit must be a number between 0 and 250"),
            ({"policy": "disk", "dry_run": True, "offset": -1}, "offset must be a number"),
            ({"policy": "disk", "plan": 7}, "plan must be a name"),
            ({"policy": "disk", "plan": "p1", "dry_run": "no"}, "dry_run must be true or false"),
        ):
            with pytest.raises(PermanentError, match=said):
                await ask(path, "prune", **wrong)
    assert control.asked == [
        {"policy": "disk", "plan": None, "offset": 1, "limit": 1},
        {"policy": "disk", "plan": "p1"},
    ]


async def test_a_policy_is_set_off_unless_that_is_only_tried(path: Path) -> None:
    control = FakeControl()
    control.triggered, control.explained = {"set_off": True}, {"targets": []}
    async with ControlServer(control, path):
        assert await ask(path, "trigger", policy="heal", target="web") == {"set_off": True}
        assert "by_hand" in await ask(path, "trigger", policy="heal", dry_run=True, limit=5)
        with pytest.raises(PermanentError, match="dry_run must be true or false"):
            await ask(path, "trigger", policy="heal", dry_run="yes")
    assert control.asked == [
        {"policy": "heal", "target": "web"},
        {"policy": "heal", "target": None, "offset": 0, "limit": 5},
    ]


async def test_limits_are_asked_back(path: Path) -> None:
    control = FakeControl()
    control.reverted = {"set_off": True}
    async with ControlServer(control, path):
        assert await ask(path, "revert", container="web") == {"set_off": True}
        assert await ask(path, "revert", container="web", policy="right-size") == {"set_off": True}
        with pytest.raises(PermanentError, match="refuses: no limit of db is as the agent made it"):
            await ask(path, "revert", container="db")
    assert control.asked == [
        {"container": "web", "policy": None},
        {"container": "web", "policy": "right-size"},
        {"container": "db", "policy": None},
    ]


async def test_timers_don_t_fire_for_longer_than_a_minute_at_a_time(path: Path) -> None:
    control = FakeControl()
    async with ControlServer(control, path):
        for seconds in (0, 61, 1.5, "1"):
            with pytest.raises(PermanentError, match="seconds must be a number between 1 and 60"):
                await ask(path, "lag", seconds=seconds)
    assert control.asked == []


async def test_the_file_has_its_mode_and_goes_with_the_agent(path: Path) -> None:
    async with ControlServer(FakeControl(), path, mode=0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_what_a_killed_agent_left_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with ControlServer(FakeControl(), path):
        assert await ask(path, "status") == status()


async def test_a_living_agent_is_not_pushed_aside(path: Path) -> None:
    async with ControlServer(FakeControl(), path):
        with pytest.raises(FatalError, match="Another agent answers"):
            await ControlServer(FakeControl(), path).start()
        assert await ask(path, "status") == status()


async def test_another_ones_socket_is_not_removed_at_the_end(path: Path) -> None:
    server = ControlServer(FakeControl(), path)
    await server.start()
    path.unlink()
    async with ControlServer(FakeControl(), path):
        await server.close()
        assert await ask(path, "status") == status()


async def test_places_where_no_socket_can_be(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("mine")
    for wrong, sentence in {
        path: "is no socket",
        path / "control.sock": "can't be made: File exists",
        path.parent / ("x" * 108): "107",
    }.items():
        with pytest.raises(FatalError, match=sentence):
            await ControlServer(FakeControl(), wrong).start()
    assert path.read_text() == "mine"


def test_no_agent_is_said_with_the_remedy(path: Path) -> None:
    with pytest.raises(NoAgentError, match=f"No agent answers at {path}; start it with: watchtower-agent run"):
        ControlClient(path).ask("status")
    with pytest.raises(NoAgentError, match="too long"):
        ControlClient(Path("/" + "x" * 200)).ask("status")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n", "the request is not JSON; write one line like"),
        (b"{\n", "the request is not JSON"),
        (b"\xff\xfe\n", "the request is not JSON"),
        (b"GET / HTTP/1.1\n", "the request is not JSON"),
        (b"[" * 60_000 + b"\n", "the request is not JSON"),
        (b'"' + b"x" * 70_000 + b'"\n', "the request is longer than 65536 bytes"),
        (b"[]\n", "the request is a list, not an object"),
        (b"null\n", "the request is null, not an object"),
        (b"{}\n", 'the request has no version; write one line like {"version": 1, "command": "status"}'),
        (b'{"version":"1"}\n', "the request's version is a text, not a number"),
        (b'{"version":true}\n', "the request's version is true or false, not a number"),
        (
            b'{"version":2,"command":"status"}\n',
            "of version 2 and the agent speaks 1: agent and command line are of different",
        ),
        (b'{"version":1}\n', "the request has no command; the agent knows the commands status, history"),
        (b'{"version":1,"command":"rm\\u001b"}\n', r"'rm\x1b' is not a command; the agent knows the commands status"),
        (b'{"version":1,"command":["status"]}\n', "the request's command is a list, not a text"),
        (b'{"version":1,"command":"history","arguments":[]}\n', "the request's arguments are a list, not an object"),
        (b'{"version":1,"command":"history","arguments":{"limit":0}}\n', "limit must be a number between 1 and 10000"),
        (b'{"version":1,"command":"history","arguments":{"limit":true}}\n', "limit must be a number"),
        (b'{"version":1,"command":"history","arguments":{"limit":"1"}}\n', "limit must be a number"),
        (b'{"version":1,"command":"history","arguments":{"policy":1}}\n', "policy must be a name, not a number"),
        (b'{"version":1,"command":"top","arguments":{"limit":201}}\n', "limit must be a number between 0 and 200"),
        (b'{"version":1,"command":"top","arguments":{"offset":-1}}\n', "offset must be a number between 0 and"),
        (b'{"version":1,"command":"top","arguments":{"sort":[]}}\n', "sort must be a name, not a list"),
        (b'{"version":1,"command":"metrics","arguments":{"container":7}}\n', "container must be a name, not a number"),
        (b'{"version":1,"command":"past","arguments":{"name":[]}}\n', "name must be a name, not a list"),
        (b'{"version":1,"command":"past","arguments":{"last":0}}\n', "last must be a number between 1 and 86400"),
        (b'{"version":1,"command":"past"}\n', "there is no name ''"),
        (b'{"version":1,"command":"explain"}\n', "there is no policy ''"),
        (b'{"version":1,"command":"explain","arguments":{"policy":[]}}\n', "policy must be a name, not a list"),
        (b'{"version":1,"command":"explain","arguments":{"limit":101}}\n', "limit must be a number between 0 and 100"),
        (
            b'{"version":1,"command":"trigger","arguments":{"dry_run":1}}\n',
            "dry_run must be true or false, not a number",
        ),
        (b'{"version":1,"command":"trigger","arguments":{"target":1}}\n', "target must be a name, not a number"),
        (b'{"version":1,"command":"revert","arguments":{"container":[]}}\n', "container must be a name, not a list"),
        (b'{"version":1,"command":"revert"}\n', "no limit of  is as the agent made it"),
    ],
)
async def test_wrong_requests_are_told_what_is_wrong_with_them(path: Path, content: bytes, words: str) -> None:
    async with ControlServer(FakeControl(), path):
        answer = await raw(path, content)
        assert answer["ok"] is False
        assert answer["error"].isprintable()
        assert words in answer["error"]
        assert await ask(path, "status") == status()


@given(st.binary(max_size=200))
@settings(max_examples=examples(25), deadline=None)
def test_any_bytes_leave_the_agent_answering(content: bytes) -> None:
    async def once() -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "s"
            async with ControlServer(FakeControl(), path):
                answer = await raw(path, content.replace(b"\n", b" ") + b"\n")
                assert answer["ok"] is False
                assert await ask(path, "status") == status()

    asyncio.run(once())


async def test_refusals_reach_who_asked(path: Path) -> None:
    async with ControlServer(FakeControl(), path):
        with pytest.raises(PermanentError, match="limit must be a number"):
            await ask(path, "history", limit=0)


async def test_a_fault_in_an_answer_is_the_agents_and_does_not_end_it(path: Path) -> None:
    class Broken(FakeControl):
        async def status(self) -> Mapping[str, object]:
            raise ZeroDivisionError

        async def reload(self) -> Mapping[str, object]:
            raise TemporaryError("the disk is full")

    async with ControlServer(Broken(), path):
        with pytest.raises(PermanentError, match="see its log"):
            await ask(path, "status")
        with pytest.raises(PermanentError, match="the disk is full"):
            await ask(path, "reload")
        assert await ask(path, "history") == HISTORY


async def test_who_says_nothing_is_let_go(path: Path) -> None:
    async with ControlServer(FakeControl(), path, request_time=0.05):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"version":1')
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_followers_see_every_event_from_the_answer_on(path: Path) -> None:
    control = FakeControl()
    async with ControlServer(control, path):
        lines = await asyncio.gather(_follower(path), _follower(path))
        for number in range(100):
            control.publish({"topic": "t", "event": {"number": number}})
        for reader, writer in lines:
            for number in range(100):
                assert json.loads(await reader.readline()) == {"topic": "t", "event": {"number": number}}
            writer.close()
        await asyncio.wait_for(control.left.wait(), 5)


async def _follower(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"version":1,"command":"follow"}\n')
    assert json.loads(await reader.readline())["ok"] is True
    return reader, writer


async def test_a_follower_that_goes_is_noticed_without_an_event(path: Path) -> None:
    control = FakeControl()
    async with ControlServer(control, path):
        _, writer = await _follower(path)
        assert len(control.queues) == 1
        writer.close()
        await asyncio.wait_for(control.left.wait(), 5)
        assert control.queues == []


async def test_a_follower_that_does_not_read_holds_nobody_up_and_is_let_go(path: Path) -> None:
    control = FakeControl()
    async with ControlServer(control, path, write_time=0.1):
        _, slow = await _follower(path)
        for _ in range(200):
            control.publish({"topic": "t", "event": {"text": "x" * 65536}})
        assert await ask(path, "status") == status()
        await asyncio.wait_for(control.left.wait(), 5)
        assert control.queues == []
        slow.close()


async def test_a_stopping_agent_ends_its_followers(path: Path) -> None:
    control = FakeControl()
    server = ControlServer(control, path)
    await server.start()
    reader, writer = await _follower(path)
    await server.close()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert control.queues == []
    writer.close()


@pytest.mark.parametrize("turns", range(5))
async def test_one_who_connects_as_the_agent_stops_is_let_go(path: Path, turns: int) -> None:
    server = ControlServer(FakeControl(), path)
    await server.start()
    with socket.socket(socket.AF_UNIX) as asks:
        asks.settimeout(5)
        asks.connect(str(path))
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close()
        with suppress(ConnectionResetError):  # never accepted
            assert await asyncio.to_thread(asks.recv, 1) == b""


async def test_without_a_file_left_for_a_connection_it_is_told_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "ACCEPT_AGAIN", 0.01)
    with capture_logs() as lines:
        async with ControlServer(FakeControl(), path):
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            with socket.socket(socket.AF_UNIX) as asks:
                resource.setrlimit(resource.RLIMIT_NOFILE, (asks.fileno() + 1, before[1]))
                try:
                    asks.connect(str(path))
                    await asyncio.sleep(0.1)  # longer than ACCEPT_AGAIN: it is tried, and fails, many times
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, before)
            assert await ask(path, "status") == status()
    assert (lines[0]["event"], lines[0]["error"]) == ("control_accept_failed", "Too many open files")


async def test_more_connections_than_the_agent_takes_are_told_so(path: Path) -> None:
    async with ControlServer(FakeControl(), path):
        followers = [await _follower(path) for _ in range(MOST_CONNECTIONS)]
        with pytest.raises(PermanentError, match="too many connections"):
            await ask(path, "status")
        for _, writer in followers:
            writer.close()


async def test_the_client_yields_events_and_ends_with_the_agent(path: Path) -> None:
    control = FakeControl()
    async with ControlServer(control, path):
        following = asyncio.create_task(asyncio.to_thread(lambda: list(ControlClient(path).follow())))
        await asyncio.wait_for(control.following.wait(), 5)
        control.publish({"topic": "t", "event": {}})
        control.publish({"missed": 3})
        control.publish(None)
        assert await asyncio.wait_for(following, 5) == [{"topic": "t", "event": {}}, {"missed": 3}]


def test_an_agent_that_hangs_is_not_waited_for_for_ever(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(path))
        hanging.listen()
        with pytest.raises(NoAgentError, match=r"does not answer within 0\.05 s"):
            ControlClient(path, answer_time=0.05).ask("status")


def test_something_else_behind_the_socket(path: Path) -> None:
    async def once() -> None:
        async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"220 hello\n")
            writer.close()

        path.parent.mkdir()
        async with await asyncio.start_unix_server(hello, path):
            with pytest.raises(PermanentError, match="not an agent of this release"):
                await ask(path, "status")

    asyncio.run(once())
