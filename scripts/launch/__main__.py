"""Runs the agent or the demo, with what they need; `scripts/run` starts this."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from scripts.launch.broker import find_broker
from scripts.launch.engine import find_engine
from scripts.launch.interruptions import InterruptedBeginningError, Interruptions
from scripts.launch.lock import only_one
from scripts.launch.machine import debian_packages, static_busybox, virtual_environment
from scripts.launch.processes import Processes
from scripts.launch.remains import remove
from scripts.launch.stage import Stage
from scripts.launch.words import RefusalError, Status, say

_PYTHON: Final = ".venv/bin/python"
_ENDED_UNHEARD: Final = 128 + signal.SIGTERM
"""The exit code of what was asked to end before it listens to signals."""


def run(interruptions: Interruptions, *, demo: bool, keep: bool) -> int:
    """Prepare what is needed, run the agent or the demo, end and remove what was made.

    Args:
        interruptions: The signals.
        demo: Whether it is the demo.
        keep: Whether the demo goes on until a signal.

    Returns:
        The exit code of the agent or the demo.

    Raises:
        RefusalError: Something needed is missing.
        InterruptedBeginningError: A signal came before it began.
    """
    processes = Processes(interruptions)
    with ExitStack() as stack:
        state = Path(os.environ.get("WATCHTOWER_AGENT_STATE_DIR") or Path.cwd() / ".state/agent")
        if not demo:
            only_one(stack, state / "run.lock", "scripts/run runs here")
        virtual_environment(processes)
        if demo:
            debian_packages(processes, "the demo's containers", "busybox-static")
        scratch = tempfile.mkdtemp(prefix="watchtower-", dir=os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 - it is safe
        folder = Path(scratch).resolve()  # short, because the path of a unix socket is; as /proc/mounts has it
        stack.callback(remove, folder)
        folder.chmod(0o711)  # mosquitto, started by root, reads its configuration as another user
        stage = Stage(demo=demo, folder=folder, processes=processes)
        config = "config/demo/agent.yaml" if demo else "config/agent.yaml"
        status, found = processes.result((_PYTHON, "-m", "scripts.launch.addresses", config))
        if status:
            raise RefusalError(Status.SETTINGS)
        engine, broker = found.splitlines()
        stack.callback(processes.end)
        find_engine(stage, stack, engine)
        interruptions.look()
        find_broker(stage, broker)

        processes.environment["WATCHTOWER_AGENT_CONTROL__SOCKET"] = f"{folder}/control.sock"
        processes.environment["WATCHTOWER_AGENT_STATE_DIR"] = str(folder / "state" if demo else state)
        if demo:
            kept = ("--keep",) if keep else ()
            words = ("scripts.demo", "--busybox", static_busybox(processes), "--log", f"{folder}/agent.log", *kept)
        else:
            asked = f"export WATCHTOWER_AGENT_CONTROL__SOCKET={folder}/control.sock"
            say(f"the agent starts; to ask it from another shell: {asked}")
            say(f"and then: {Path.cwd()}/.venv/bin/watchtower-agent status. Ctrl-C ends it.")
            words = ("watchtower_agent", "run", "--config", config)
        interruptions.look()
        status = processes.foreground((_PYTHON, "-m", *words))
        if status == _ENDED_UNHEARD:
            interruptions.look()
        return status
    raise AssertionError("nothing in there is swallowed")  # pragma: no cover - for the type checker


def main() -> int:
    """Run; tell in a sentence what kept it from that."""
    interruptions = Interruptions()
    try:
        return run(interruptions, demo="--demo" in sys.argv, keep="--keep" in sys.argv)
    except InterruptedBeginningError:
        interrupted = True
    except RefusalError as refusal:
        interrupted = interruptions.came()  # which it may come from
        if not interrupted:
            if words := str(refusal):
                say(words)
            return refusal.status
    except OSError as error:
        interrupted = interruptions.came()
        if not interrupted:
            say(str(error))
            return Status.ENVIRONMENT
    say("ended before it began; everything that was started is stopped again")
    return Status.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
