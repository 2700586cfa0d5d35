"""An engine kept busy: events at a pace that only the engine limits, without a process started for each."""

from __future__ import annotations

import threading
from typing import Self

from tests.support.engine import IMAGE, PrivateEngine, UnixConnection


def rename_often(engine: PrivateEngine, name: str, times: int) -> None:
    """Create a container, rename it that often and leave it: one event more than renames."""
    connection = UnixConnection(engine.socket)
    container = engine.api("POST", "/containers/create", {"Image": IMAGE}, name=name, connection=connection)["Id"]
    for number in range(times):
        engine.api("POST", f"/containers/{container}/rename", name=f"{name}-{number}", connection=connection)
    connection.close()


def live_short(engine: PrivateEngine, name: str, lives: int) -> None:
    """Create, start, kill and remove containers one after the other: five events or more each."""
    connection = UnixConnection(engine.socket)
    body = {"Image": IMAGE, "Cmd": ["sleep", "60"], "HostConfig": {"NetworkMode": "none"}}
    for number in range(lives):
        container = engine.api("POST", "/containers/create", body, name=f"{name}-{number}", connection=connection)["Id"]
        engine.api("POST", f"/containers/{container}/start", connection=connection)
        engine.api("POST", f"/containers/{container}/kill", connection=connection)
        engine.api("DELETE", f"/containers/{container}", force="true", connection=connection)
    connection.close()


def tag_often(engine: PrivateEngine, times: int, *, tags: int = 5) -> None:
    """Tag the image that often, by turns with a few tags: as many events on a few topics."""
    connection = UnixConnection(engine.socket)
    for number in range(times):
        engine.api("POST", f"/images/{IMAGE}/tag", repo="tagged", tag=f"t{number % tags}", connection=connection)
    connection.close()


def untag(engine: PrivateEngine, *, tags: int = 5) -> None:
    """Take those tags away again."""
    for number in range(tags):
        engine.docker("rmi", f"tagged:t{number}", check=False)


class Steady:
    """Events at a steady pace until left, from a thread of its own. Use as a context manager.

    Args:
        engine: Kept busy.
        pace: Events a second, at most.
    """

    def __init__(self, engine: PrivateEngine, pace: float) -> None:
        self._engine = engine
        self._pause = 1 / pace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steady", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        connection = UnixConnection(self._engine.socket)
        body = {"Image": IMAGE}
        steady = self._engine.api("POST", "/containers/create", body, name="steady", connection=connection)["Id"]
        number = 0
        while not self._over.wait(self._pause):
            number += 1
            self._engine.api("POST", f"/containers/{steady}/rename", name=f"steady-{number}", connection=connection)
        connection.close()
