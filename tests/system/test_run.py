"""`scripts/run`: the agent in the foreground, on the engine and broker that are there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_agent_runs_with_the_shipped_configuration_until_ctrl_c(
    engine: PrivateEngine, broker: PrivateBroker, tmp_path: Path
) -> None:
    environment = os.environ | {
        "DOCKER_HOST": engine.url,
        "WATCHTOWER_AGENT_HOST": "bench",
        "WATCHTOWER_AGENT_MQTT__URL": broker.url,
        "WATCHTOWER_AGENT_STATE_DIR": str(tmp_path / "state"),
    }
    process = subprocess.Popen(
        ["scripts/run"],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        words = ""
        while not {"engine_up", "mqtt_up"} <= set(re.findall(r'"event":"(\w+)"', words)):
            line = process.stdout.readline()
            assert line, words
            words += line
        socket = re.search(r"SOCKET=(\S+)", words)
        assert socket, words
        status = subprocess.run(
            [sys.executable, "-m", "watchtower_agent", "status", "--json"],
            cwd=CHECKOUT,
            env=environment | {"WATCHTOWER_AGENT_CONTROL__SOCKET": socket[1]},
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)

    assert process.returncode == 0, words + rest
    assert json.loads(status.stdout)["agent"]["host"] == "bench"
    assert '"agent_stopped"' in rest
    assert (
        "starting" not in words.split("the agent starts")[0]
    )  # an engine and a broker that answer are used as they are
    assert not Path(socket[1]).parent.exists()
