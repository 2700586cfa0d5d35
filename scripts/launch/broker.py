"""The broker: the one that the settings name, if it is not on this machine or answers, else one of our own."""

from __future__ import annotations

import re
import shutil
import socket
from typing import Final

from scripts.launch.machine import debian_packages, has_systemd, is_root, start_service
from scripts.launch.stage import Stage
from scripts.launch.words import say

_HERE: Final = re.compile(r"mqtt://(?:127\.0\.0\.1|localhost):(\d+)")
_PORT: Final = 1883
_ANSWERS_WITHIN: Final = 1.0


def find_broker(stage: Stage, url: str) -> None:
    """See to it that a broker answers, and that the agent's settings name it.

    Args:
        stage: What it is for. The demo has its own, always: a household's broker shall not hear of its troubles.
        url: What the settings name; empty for none.

    Raises:
        RefusalError: It can't be installed or does not start.
        InterruptedBeginningError: A signal came.
    """
    if stage.demo:
        port = _PORT
        while _answers(port):
            port += 1
    elif not url:
        say("the settings name no broker: events stay in the agent's outbox")
        return
    elif (here := _HERE.fullmatch(url)) and not _answers(int(here[1])):
        port = int(here[1])
    else:
        say(f"using the MQTT broker at {url}")
        return
    debian_packages(stage.processes, "an MQTT broker", "mosquitto", "mosquitto-clients")
    a_service = has_systemd() and is_root() and not stage.demo and port == _PORT
    if not (a_service and start_service(stage.processes, "mosquitto")):
        _start(stage, port)


def _start(stage: Stage, port: int) -> None:
    say(f"starting an MQTT broker on port {port}, for this machine only, stopped again at the end")
    settings = stage.folder / "mosquitto.conf"
    lines = (
        *(f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 1000000"),
        *("log_dest stderr", "log_type error", "log_type warning"),
    )
    settings.write_text("".join(f"{line}\n" for line in lines))
    command = (shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(settings))
    log = stage.folder / "mosquitto.log"
    stage.processes.service("the MQTT broker", log, command, lambda: _answers(port))
    stage.processes.environment["WATCHTOWER_AGENT_MQTT__URL"] = f"mqtt://127.0.0.1:{port}"
    if not stage.demo:
        say(f"to see everything from another shell: mosquitto_sub -p {port} -v -t 'watchtower/#'")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), _ANSWERS_WITHIN).close()
    except OSError:
        return False
    return True
