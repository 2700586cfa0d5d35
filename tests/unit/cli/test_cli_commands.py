from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.control import HISTORY, FakeControl, status
from watchtower_agent.cli.commands import main
from watchtower_agent.model.version import VERSION
from watchtower_agent.serving.control import ControlServer

ROOT = Path(__file__).parents[3]


async def asked(
    socket: Path,
    *arguments: str,
    answer: Mapping[str, object] | None = None,
    past: Sequence[Mapping[str, object]] = HISTORY,
) -> tuple[int, str, str]:
    """The command in a process of its own, with an agent behind the socket."""
    async with ControlServer(FakeControl(answer, past), socket):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "watchtower_agent",
            *arguments,
            "--socket",
            str(socket),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"COLUMNS": "80", "PYTHONPATH": str(ROOT), "TZ": "UTC"},
        )
        out, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), errors.decode()


async def test_status_for_people(socket: Path) -> None:
    code, out, errors = await asked(socket, "status")
    assert (code, errors) == (1, "")
    lines = out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert lines[0] == "watchtower-agent 0.1.0 on h1, mode enforce, up 1 h 6 min"
    text = " ".join(" ".join(lines).split())
    for fact in (
        "✓ 26.1.5 at unix:///var/run/docker.sock (default), since 21 Sep",
        "1,234 events, 1 gap, 1 ms behind",
        "✗ not connected to mqtt://broker:1883 connection refused",
        "34 events waiting (34.6 kB), the oldest for",
        "memory: permission denied",
        "12 running, 1 paused, 3 stopped",
        "heal-unhealthy enforce 3 web restart web succeeded",
        "notify-oom shadow 16 - -",
        "restart db by heal-unhealthy: operator_intent until 21 Sep",
        'heal.yaml:3:5: policies[0].whn: unknown key "whn", did you mean when?',
    ):
        assert fact in text
    assert "\x1b" not in out


async def test_status_says_since_when_the_engine_is_away(socket: Path) -> None:
    engine = {"connected": False, "url": "unix:///e.sock", "since": time.time() - 400 * 86400, "last_error": "gone"}
    code, out, _ = await asked(socket, "status", answer=status(engine=engine))
    assert code == 1
    assert re.search(
        r"not connected to unix:///e\.sock, since \d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d$", out, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("http", "words"),
    [
        (
            {"listen": "127.0.0.1:9327", "listening": "127.0.0.1:9327", "error": None},
            "/metrics, /healthz and /readyz at 127.0.0.1:9327",
        ),
        (
            {"listen": "127.0.0.1:9327", "listening": "", "error": "address already in use"},
            "not listening at 127.0.0.1:9327",
        ),
    ],
)
async def test_status_tells_where_it_is_answered_over_http(
    socket: Path, http: dict[str, str | None], words: str
) -> None:
    _, out, _ = await asked(socket, "status", answer=status(http=http))
    assert words in out
    assert str(http["error"] or "") in out


async def test_status_of_a_hostile_host_stays_readable(socket: Path) -> None:
    policies = {"items": [{"name": "x\x1b[2J", "firing": ["[red]a\nb"], "last_decision": {"target": "\x9b"}}]}
    engine = {"connected": False, "last_error": "[/bold]\x1b]0;title\x07"}
    code, out, _ = await asked(socket, "status", answer=status(policies=policies, engine=engine, mqtt=None))
    assert code == 1
    assert all(line.isprintable() for line in out.splitlines())
    assert "[red]a\\nb" in out
    assert "none: mqtt.url is null" in out


async def test_a_pipe_is_told_everything_in_columns_that_do_not_move(socket: Path) -> None:
    name = "n" * 300
    row = HISTORY[0] | {"policy": name, "cause": name}
    code, out, _ = await asked(socket, "history", past=[*HISTORY, row])
    assert code == 0
    head, running, failed, long = out.splitlines()
    assert long.count(name) == 2
    assert running.index("restart") == failed.index("restart") == head.index("action") == 37
    assert running.index("running") == failed.index("failed") == head.index("result")
    code, out, _ = await asked(socket, "status", answer=status(policies={"problems": [name], "items": []}))
    assert f"    {name}" in out.splitlines()
    assert "no policy is active until it is mended" in out


@pytest.mark.parametrize(
    ("options", "well", "expected"),
    [((), True, 0), ((), False, 1), (("--json",), True, 0), (("--json",), False, 1), (("--alive",), False, 0)],
)
async def test_the_exit_code_of_status_says_whether_all_is_well(
    socket: Path, options: tuple[str, ...], *, well: bool, expected: int
) -> None:
    code, out, errors = await asked(socket, "status", *options, answer=status(well=well))
    assert (code, errors) == (expected, "")
    assert out


async def test_status_of_a_frozen_engine_says_so(socket: Path) -> None:
    engine = {"connected": True, "responding": False, "version": "26.1.5", "url": "unix:///x"}
    _, out, _ = await asked(socket, "status", answer=status(engine=engine))
    assert "✗ does not answer at unix:///x" in out


async def test_status_names_containers_that_hang_the_first_few(socket: Path) -> None:
    hanging = [{"name": f"db\x1b{number}", "id": "f" * 64, "since": 1.0} for number in range(7)]
    engine = {"connected": True, "responding": True, "version": "26.1.5", "url": "unix:///x", "hanging": hanging}
    _, out, _ = await asked(socket, "status", answer=status(engine=engine))
    assert out.count("can't be inspected, since") == 5
    assert r"✗ db\x1b0 can't be inspected" in out
    assert "and 2 more" in out


async def test_a_bare_answer_is_enough(socket: Path) -> None:
    code, out, errors = await asked(socket, "status", answer={})
    assert (code, errors) == (0, "")
    assert "No policies are loaded." in out


async def test_history_for_people(socket: Path) -> None:
    code, out, _ = await asked(socket, "history")
    assert code == 0
    assert all(line == line.rstrip() and line.isprintable() for line in out.splitlines())
    assert re.search(r"21 Sep 14:13:18 +heal-unhealthy +restart.*running", out)
    assert r"db\x1b[2J" in out


async def test_json_is_the_agents_answer(socket: Path) -> None:
    for command, expected, answer in (("status", 1, status()), ("history", 0, HISTORY)):
        code, out, _ = await asked(socket, command, "--json")
        assert (code, json.loads(out)) == (expected, answer)
        assert out.isascii()


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_events_as_they_happen(socket: Path, options: list[str]) -> None:
    control = FakeControl()
    async with ControlServer(control, socket):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "watchtower_agent", "events", "--follow", "--socket", str(socket)),
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
            | {"PYTHONPATH": str(ROOT)},
        )
        await asyncio.wait_for(control.following.wait(), 10)
        event = {"topic": "w/v1/h/event/container/start/web", "event": {"subject": "container/web\x1b"}}
        control.publish(event)
        assert process.stdout is not None
        # Read before the stream ends: a line is written when it happens, not when a buffer is full.
        first = (await asyncio.wait_for(process.stdout.readline(), 10)).decode()
        control.publish({"missed": 3})
        control.publish(None)
        rest, errors = await process.communicate()
    assert process.returncode == 3
    if options:
        over = {"ok": False, "error": "The agent stopped."}
        assert [json.loads(first), *map(json.loads, rest.splitlines())] == [event, {"missed": 3}, over]
        assert errors == b""
    else:
        assert errors == b"watchtower-agent: The agent stopped.\n"
        assert first.strip().endswith(r"web\x1b was started")
        assert b"3 events were not shown" in rest


async def test_ctrl_c_ends_following_quietly(socket: Path) -> None:
    control = FakeControl()
    async with ControlServer(control, socket):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "watchtower_agent", "events", "--follow", "--socket", str(socket)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        await asyncio.wait_for(control.following.wait(), 10)
        control.publish({"topic": "w/v1/h/event/container/start/web", "event": {}})
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 10)
        process.send_signal(2)
        assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


def test_no_agent(socket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["status"], ["history"], ["events", "--follow"]):
        assert main([*command, "--socket", str(socket)]) == 3
        assert capsys.readouterr().err == (
            f"watchtower-agent: No agent answers at {socket}; start it with: watchtower-agent run\n"
        )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("status", 3),
        ("status --alive", 3),
        ("top --once", 3),
        ("explain heal web", 3),
        ("trigger heal", 3),
        ("trigger heal --dry-run", 3),
        ("revert web", 3),
        ("prune --plan", 3),
        ("prune disk --yes", 3),
        ("metrics web", 3),
        ("metrics cpu.percent --of web", 3),
        ("pause heal", 3),
        ("resume --all", 3),
        ("approve", 3),
        ("reject abc", 3),
        ("events --follow", 3),
        ("history", 3),
        ("prune", 2),
        ("prune disk", 2),
        ("top", 2),
        ("metrics --of web", 2),
        ("history --limit 0", 2),
        ("events", 2),
        ("explain", 2),
        ("run --set mode=on", 1),
    ],
)
def test_what_is_not_done_is_told_as_json_where_json_was_asked_for(
    socket: Path, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    arguments = [*command.split(), "--socket", str(socket)]
    with suppress(SystemExit):
        assert main(arguments) == code
    said = capsys.readouterr().err
    assert main([*arguments, "--json"]) == code
    words = capsys.readouterr()
    answer = json.loads(words.out)
    assert (set(answer), answer["ok"], words.err) == ({"ok", "error"}, False, "")
    assert answer["error"] in said
    assert words.out.count("\n") == 1


async def test_a_refusal_is_told_as_json_where_json_was_asked_for(socket: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"version": 1, "ok": false, "error": "no policy \\"x\\", did you mean y?"}\n')
        writer.close()

    async with await asyncio.start_unix_server(refuse, socket):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "watchtower_agent", "explain", "x", "--json", "--socket", str(socket)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        out, errors = await process.communicate()
    assert (process.returncode, errors) == (1, b"")
    assert json.loads(out) == {"ok": False, "error": 'The agent refuses: no policy "x", did you mean y?'}


def test_json_that_nobody_reads_any_more_leaves_the_exit_code(socket: Path) -> None:
    line = '"$0" -m watchtower_agent status --json --socket "$1" | true; exit "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, str(socket)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize(
    "arguments",
    [[], ["events"], ["stat"], ["history", "--limit", "0"], ["run", "--set", "mode"], ["status", "--soc", "x"]],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: watchtower-agent" in capsys.readouterr().err


def test_the_schema_of_policy_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = capsys.readouterr().out
    assert printed == (ROOT / "config" / "policy.schema.json").read_text(encoding="utf-8")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"watchtower-agent {VERSION}\n"


def test_run_tells_a_wrong_configuration_without_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text("mode: on\n")
    assert main(["run", "--config", str(config)]) == 1
    assert capsys.readouterr().err == (
        f'watchtower-agent: {config}:1:7: mode: "on" is not known here, choose one of enforce, observe\n'
    )
    assert main(["run", "--config", str(config), "--set", "mqtt.url=x", "--set", "mode=observe"]) == 1
    assert "command line: mqtt.url" in capsys.readouterr().err


def test_asking_loads_nothing_that_running_needs(socket: Path) -> None:
    program = (
        "import sys; from watchtower_agent.cli.commands import main; main(['status', '--socket', sys.argv[1]]);"
        "print(*{'pydantic', 'structlog', 'docker', 'aiomqtt', 'rich', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(socket)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "\n"


def test_output_that_nobody_reads_any_more_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\n" + "".join(f"key{number}: 1\n" for number in range(5000)))
    done = subprocess.run(
        f"{sys.executable} -m watchtower_agent check {tmp_path} | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["schema", "check config/policies", "status --json", "events --follow --json"])
@pytest.mark.parametrize("buffering", ["", "1"])
def test_an_output_that_is_full_is_told_in_words(command: str, buffering: str, tmp_path: Path) -> None:
    arguments = [*command.split(), *(["--socket", str(tmp_path / "none")] if "--json" in command else [])]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "watchtower_agent", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=Path(__file__).resolve().parents[3],
            env={**os.environ, "PYTHONUNBUFFERED": buffering},
        )

    assert done.returncode == 1
    assert done.stderr == (
        "watchtower-agent: what was asked for can't be written to standard output: No space left on device\n"
    )


@pytest.mark.parametrize(("command", "code"), [("schema", 0), ("status --json", 3), ("events --follow --json", 3)])
def test_an_output_that_is_closed_gets_nothing_and_the_exit_code_tells(command: str, code: int, tmp_path: Path) -> None:
    arguments = [*command.split(), *(["--socket", str(tmp_path / "none")] if "--json" in command else [])]
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "watchtower_agent", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
    )

    assert (done.returncode, done.stderr) == (code, "")
