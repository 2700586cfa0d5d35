"""`scripts/launch`, what `scripts/run` does: the parts that need no engine."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.launch import __main__, addresses
from scripts.launch.engine import answers
from scripts.launch.interruptions import InterruptedBeginningError, Interruptions
from scripts.launch.lock import only_one
from scripts.launch.processes import Processes
from scripts.launch.remains import mounts_at
from scripts.launch.words import RefusalError, Status

HEEDS_THE_SECOND = "trap 'trap - TERM' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def interruptions() -> Iterator[Interruptions]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield Interruptions()
    while signal.sigtimedwait({signal.SIGINT, signal.SIGCHLD}, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupt() -> None:
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def test_nothing_begins_once_ctrl_c_has_come(interruptions: Interruptions, tmp_path: Path) -> None:
    interrupt()

    with pytest.raises(InterruptedBeginningError):
        Processes(interruptions).result(["touch", str(tmp_path / "begun")])
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_does_not_heed_the_first_signal_hears_it_again(interruptions: Interruptions) -> None:
    interrupter = threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    interrupter.start()

    with pytest.raises(InterruptedBeginningError):
        Processes(interruptions).result(["sh", "-c", HEEDS_THE_SECOND])


def test_a_command_is_met_by_signals_as_usual(interruptions: Interruptions) -> None:
    status, _ = Processes(interruptions).result(["sh", "-c", "kill -INT $$; echo goes on"])

    assert status == Status.INTERRUPTED
    assert not interruptions.came()


def test_what_came_before_a_child_had_left_the_foreground_is_its_parent_s(interruptions: Interruptions) -> None:
    words = (
        "import os, signal; from scripts.launch.interruptions import Interruptions, as_usual; Interruptions(); "
        "os.kill(os.getpid(), signal.SIGINT); as_usual(); print('begins', flush=True); "
        "os.kill(os.getpid(), signal.SIGINT)"
    )
    assert Processes(interruptions).result([sys.executable, "-c", words]) == (Status.INTERRUPTED, "begins\n")


def test_what_is_ignored_from_the_start_stays_ignored(interruptions: Interruptions) -> None:
    words = (
        "import os, signal; from scripts.launch.interruptions import Interruptions; signal.signal(signal.SIGHUP, "
        "signal.SIG_IGN); its = Interruptions(); os.kill(os.getpid(), signal.SIGHUP); print(its.came()); "
        "os.kill(os.getpid(), signal.SIGTERM); print(its.came())"
    )
    assert Processes(interruptions).result([sys.executable, "-c", words]) == (0, "False\nTrue\n")


def test_an_engine_that_says_nothing_keeps_nobody_who_has_pressed_ctrl_c(
    interruptions: Interruptions, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "engine.sock"))
        silent.listen()
        interrupt()
        with pytest.raises(InterruptedBeginningError):
            answers(f"unix://{tmp_path}/engine.sock", interruptions)


def test_a_lock_is_one_process_s_and_names_it(tmp_path: Path) -> None:
    file = tmp_path / "state/run.lock"
    for _ in range(2):  # it is free again
        with ExitStack() as stack:
            only_one(stack, file, "this runs")
            with pytest.raises(RefusalError, match=rf"this runs already, as process {file.read_text().strip()}; end"):
                only_one(stack, file, "this runs")


def test_mounts_are_found_below_a_folder_the_newest_first() -> None:
    mounts = (
        "tmpfs /run tmpfs rw 0 0\noverlay /a\\040b/engine overlay rw 0 0\nproc /a\\040b/engine/x proc rw 0 0\n"
        "tmpfs /a\\040bc tmpfs rw 0 0\n"
    )

    assert mounts_at(Path("/a b"), mounts) == ["/a b/engine/x", "/a b/engine"]


@pytest.mark.usefixtures("interruptions")  # which has the signals as they were, afterwards
def test_a_state_folder_that_can_not_be_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WATCHTOWER_AGENT_STATE_DIR", str(tmp_path / "file/state"))
    monkeypatch.setattr(sys, "argv", ["launch"])

    assert __main__.main() == Status.ENVIRONMENT
    assert f"can't write {tmp_path}/file/state/run.lock: run this as the user who owns that" in capsys.readouterr().err


def test_a_mistake_in_the_settings_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("mqtt: {url: 7}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["addresses", str(file)])

    with pytest.raises(SystemExit, match=r"agent.yaml.*mqtt.url"):
        addresses.main()
