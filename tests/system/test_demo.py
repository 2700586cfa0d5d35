"""`scripts/run --demo` as a newcomer sees it, and what it leaves behind: nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from tests.support.broker import PersistentSubscriber
from tests.support.engine import PrivateEngine

CHECKOUT = Path(__file__).resolve().parents[2]
SICK = ("--health-cmd=false", "--health-interval=1s", "--health-retries=1")
MOMENTS = ("import", "create", "start")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TOLD_WITHIN = 90.0
"""Seconds within which the demo has told its story."""


@contextmanager
def demo(
    docker_host: str, *arguments: str, path: str = os.environ["PATH"]
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The demo as started from a shell, and the folder for its temporary files."""
    with tempfile.TemporaryDirectory(prefix="wt-", ignore_cleanup_errors=True) as scratch:
        process = subprocess.Popen(
            ["scripts/run", "--demo", *arguments],
            cwd=CHECKOUT,
            env=os.environ | {"DOCKER_HOST": docker_host, "TMPDIR": scratch, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process, Path(scratch)
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=60)


@contextmanager
def watching(engine: PrivateEngine, action: str) -> Iterator[subprocess.Popen[str]]:
    """A line for each event of the engine with this action, from now on."""
    command = ["docker", "events", f"--since={time.time():.3f}", f"--filter=event={action}"]
    environment = os.environ | {"DOCKER_HOST": engine.url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read the demo's words up to the first line that matches."""
    assert process.stdout
    words = []
    for line in process.stdout:
        words.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"the demo ended without a line like {pattern!r}:\n{''.join(words)}")


def test_the_demo_tells_its_story_and_touches_nothing_else(engine: PrivateEngine) -> None:
    engine.run("bystander", labels={"autoheal": "true"}, options=SICK)
    before = engine.docker("inspect", "--format={{.State.StartedAt}}", "bystander")
    images = engine.docker("images", "--all", "--quiet")

    with demo(engine.url) as (process, scratch):
        port = int(read_until(process, r"mosquitto_sub -p (\d+)")[1])
        with PersistentSubscriber(port, topics=("watchtower/v1/demo/event/#",)) as subscriber:
            words, _ = process.communicate(timeout=TOLD_WITHIN)
            events = [json.loads(message.payload) for message in subscriber.messages]
        assert process.returncode == 0, words
        assert list(scratch.iterdir()) == []

    web = [event for event in events if event["data"].get("target", {}).get("name") == "demo-web"]
    kinds = ["policy.firing", "policy.decision", "action.started", "action.succeeded"]
    story = [event for kind in kinds for event in web if event["type"] == f"io.watchtower.{kind}.v1"]
    assert [event["type"].removeprefix("io.watchtower.").removesuffix(".v1") for event in story] == kinds, words
    assert len({event["correlationid"] for event in story}) == 1
    assert story[0]["correlationid"] in words
    assert story[0]["data"]["numbers"]["health"] == "unhealthy"

    lines = re.findall(r"^ *[\d.]+ s  #(\d+) +(\w+) +demo-web ", words, re.MULTILINE)
    number = lines[0][0]
    # a container is no longer unhealthy once it has started, which can be before the engine has answered
    stages = [stage for story, stage in lines if story == number and stage != "after"]
    assert stages == ["sign", "cause", "decision", "action", "outcome"], words
    assert re.search(r"cause +demo-web +unhealthy for \d", words), "the cause says how long it has been true"
    assert "\x1b" not in words
    assert max(map(len, words.splitlines())) <= 120

    assert engine.docker("ps", "--all", "--format={{.Names}}") == "bystander"
    assert engine.docker("inspect", "--format={{.State.StartedAt}}", "bystander") == before
    assert engine.docker("images", "--all", "--quiet") == images


def test_a_container_of_somebody_s_in_the_way_is_named_and_left_alone(engine: PrivateEngine) -> None:
    theirs = engine.run("demo-web")

    with demo(engine.url) as (process, scratch):
        words, _ = process.communicate(timeout=60)
        assert list(scratch.iterdir()) == []

    assert process.returncode == 1
    told = [line for line in words.splitlines() if not line.startswith("run: ")]
    assert len(told) == 1, words
    assert told[0].startswith("demo: the engine has a container named demo-web already")
    assert "docker rename demo-web my-demo-web" in told[0]
    assert engine.docker("ps", "--all", "--no-trunc", "--format={{.ID}} {{.State}}") == f"{theirs} running"


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(*both, marks=() if both in zip(MOMENTS, SIGNALS, strict=True) else pytest.mark.only_full)
        for both in product(MOMENTS, SIGNALS)
    ],
)
def test_a_signal_in_the_midst_of_the_set_up_removes_all_that_was_made(
    engine: PrivateEngine, number: signal.Signals, moment: str
) -> None:
    images = engine.docker("images", "--all", "--quiet")

    with watching(engine, moment) as watch, demo(engine.url) as (process, scratch):
        read_until(process, "what happened")
        assert watch.stdout
        watch.stdout.readline()
        for _ in range(2):  # the second time is impatience, and changes nothing
            process.send_signal(number)
        words, _ = process.communicate(timeout=60)

        assert process.returncode == 130, words
        assert "are removed" in words
        assert list(scratch.iterdir()) == []
    assert engine.docker("ps", "--all", "--quiet", "--filter=label=watchtower-agent.demo") == ""
    assert engine.docker("images", "--all", "--quiet") == images


@pytest.mark.parametrize("moment", ["starting one of our own", "starting an MQTT broker"])
def test_ctrl_c_before_it_has_begun_stops_what_was_started(moment: str) -> None:
    with demo("unix:///nowhere/docker.sock") as (process, scratch):
        read_until(process, moment)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its foreground
        words, _ = process.communicate(timeout=60)

        assert process.returncode == 130, words
        assert "run: ended before it began;" in words
        assert "Traceback" not in words
        assert list(scratch.iterdir()) == []
        assert str(scratch) not in Path("/proc/mounts").read_text()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_first_moment_is_answered(number: signal.Signals) -> None:
    with demo("unix:///nowhere/docker.sock") as (process, scratch):
        process.send_signal(number)
        words, _ = process.communicate(timeout=60)

        assert (process.returncode, words) == (-number, "")
        assert list(scratch.iterdir()) == []


PENDING = """[ "$2" = echo ] || exec /usr/bin/env "$1" "$2" "$3" sh -c 'shift 3; kill -INT $$; exec "$@"' - "$@\""""
"""Python begins with a Ctrl-C that came since signals are kept back."""


def shim(folder: Path, command: str, argument: str, hit: str) -> str:
    """A PATH with the command as it is, but that Ctrl-C comes when it is called with that argument first.

    It survives that itself: bash takes a command that does for one that Ctrl-C was meant for.
    """
    path = folder / command
    path.write_text(f'#!/bin/sh\ntrap : INT\n[ "$1" != {argument} ] || {hit}\nexec {shutil.which(command)} "$@"\n')
    path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize(("command", "argument"), [("python3", "-c"), ("env", "--block-signal=INT")])
def test_ctrl_c_while_a_python_is_looked_for_ends_it_at_once(command: str, argument: str, tmp_path: Path) -> None:
    path = shim(tmp_path, command, argument, "kill -INT 0")

    with demo("unix:///nowhere/docker.sock", path=path) as (process, scratch):
        words, _ = process.communicate(timeout=60)

        assert (process.returncode, words) == (-signal.SIGINT, "")
        assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "argument", "hit"),
    [
        pytest.param("bash", "-c", "kill -INT $PPID", id="packages"),
        pytest.param("setpriv", "--pdeathsig", "kill -INT $PPID", id="service"),
        pytest.param("env", "--block-signal=INT", PENDING, id="python's start"),
    ],
)
def test_ctrl_c_is_answered_whatever_it_meets(command: str, argument: str, hit: str, tmp_path: Path) -> None:
    path = shim(tmp_path, command, argument, hit)

    with demo("unix:///nowhere/docker.sock", path=path) as (process, scratch):
        words, _ = process.communicate(timeout=60)

        assert process.returncode == 130, words
        assert "Traceback" not in words
        assert words.splitlines()[-1].startswith("run: ended before it began;")
        assert list(scratch.iterdir()) == []
        assert str(scratch) not in Path("/proc/mounts").read_text()


def test_ctrl_c_ends_an_engine_of_the_demo_s_own_and_all_that_is_on_it() -> None:
    with demo("unix:///nowhere/docker.sock") as (process, scratch):
        read_until(process, "starting one of our own")
        read_until(process, r" s  .* demo-job ")
        daemon = next(scratch.glob("*/dockerd.pid")).read_text().strip()

        process.send_signal(signal.SIGINT)
        words, _ = process.communicate(timeout=60)

        assert process.returncode == 130, words
        assert "removed" in words
        assert list(scratch.iterdir()) == []
        assert not Path("/proc", daemon).exists()
        assert str(scratch) not in Path("/proc/mounts").read_text()
