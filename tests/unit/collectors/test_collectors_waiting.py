"""What a thread waits for that does not come back."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from watchtower_agent.collectors.waiting import file_waited_for


def test_a_file_that_is_being_opened_is_told_and_nothing_once_it_is_open(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe é"
    os.mkfifo(pipe)
    done = threading.Event()

    def read() -> None:
        pipe.read_bytes()
        done.set()
        ended.wait(10)

    ended = threading.Event()
    thread = threading.Thread(target=read)
    thread.start()
    assert thread.native_id is not None
    deadline = time.monotonic() + 10
    while (file := file_waited_for(thread.native_id)) != str(pipe):
        assert time.monotonic() < deadline, file
    pipe.write_bytes(b"x")
    assert done.wait(10)
    assert file_waited_for(thread.native_id) == ""
    ended.set()
    thread.join()


def test_of_a_thread_that_has_ended_nothing_is_told() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert file_waited_for(thread.native_id or 0) == ""
