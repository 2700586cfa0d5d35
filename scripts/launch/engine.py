"""The engine: the one that the agent would find, else one of our own."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from scripts.launch.interruptions import Interruptions
from scripts.launch.lock import only_one
from scripts.launch.machine import debian_packages, has_systemd, is_root, start_service
from scripts.launch.remains import kill_orphans, unmount
from scripts.launch.stage import Stage
from scripts.launch.words import RefusalError, Status, say

_SCHEME: Final = "unix://"
_ANSWERS_WITHIN: Final = 5.0
_LOOKS_EVERY: Final = 0.1
_REQUEST: Final = b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n"


def find_engine(stage: Stage, stack: ExitStack, url: str) -> None:
    """See to it that an engine answers, and that DOCKER_HOST names it.

    Args:
        stage: What it is for.
        stack: At its end what was started here is ended.
        url: Where the agent would look for it (settings, DOCKER_HOST, the CLI's context, the default socket).
            One on another machine is taken as it is.

    Raises:
        RefusalError: None answers, and none can be started.
        InterruptedBeginningError: A signal came.
    """
    interruptions = stage.processes.interruptions
    stage.processes.environment["DOCKER_HOST"] = url
    if url.startswith(_SCHEME) and not answers(url, interruptions):
        if not is_root():
            raise RefusalError(
                Status.ENVIRONMENT,
                f"no Docker Engine answers at {url} and only root can start one: start it, or run this as root",
            )
        debian_packages(stage.processes, "a Docker Engine", "docker.io", "docker-cli", "ca-certificates")
        if has_systemd() and not stage.demo:
            start_service(stage.processes, "docker")
        if not answers(url, interruptions):
            _start(stage, stack)
            return
    say(f"using the Docker Engine at {url}")


def answers(url: str, interruptions: Interruptions) -> bool:
    """Whether an engine on this machine answers.

    Args:
        url: `unix://` and its socket.
        interruptions: What ends the wait.

    Raises:
        InterruptedBeginningError: A signal came.
    """
    until = time.monotonic() + _ANSWERS_WITHIN
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_LOOKS_EVERY)
        answer = b""
        try:
            line.connect(url.removeprefix(_SCHEME))
            line.sendall(_REQUEST)
        except OSError:
            return False
        while time.monotonic() < until and b"\r\n" not in answer:
            interruptions.look()
            try:
                part = line.recv(1024)
            except TimeoutError:
                continue
            except OSError:
                break
            if not part:
                break
            answer += part
    return answer.partition(b"\r\n")[0].split(b" ")[1:2] == [b"200"]


def _start(stage: Stage, stack: ExitStack) -> None:
    processes, folder = stage.processes, stage.folder
    if stage.demo:
        data = folder / "engine"
        # A network of its own, which ends with it: else dockerd would remove another engine's docker0, even so.
        command = ["unshare", "--net", "dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"]
    else:
        data = Path.cwd() / ".state/engine"
        what = f"scripts/run with an engine of its own, its data in {data}, runs"
        only_one(stack, data.with_name("engine.lock"), what)
        data.mkdir(exist_ok=True)
        unmount(data)  # left by one that was killed
        command = ["dockerd"]
    url = f"{_SCHEME}{folder}/docker.sock"
    processes.environment["DOCKER_HOST"] = url
    command += [
        "--data-root",
        str(data),
        "--exec-root",
        f"{folder}/exec",
        "--pidfile",
        f"{folder}/dockerd.pid",
        "-H",
        url,
    ]

    def end() -> None:
        processes.end()
        kill_orphans(folder / "exec")
        unmount(data)

    stack.callback(end)
    say("no Docker Engine answers: starting one of our own, stopped again at the end")
    processes.service(
        "the Docker Engine", folder / "dockerd.log", command, lambda: answers(url, processes.interruptions)
    )
    if not stage.demo:
        say(f"to use it from another shell: export DOCKER_HOST={url}")
