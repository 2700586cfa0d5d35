"""A real Home Assistant, without its user interface, in a Python of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.support.patience import patient

RUN = Path(__file__).resolve().parents[1] / "data" / "home_assistant" / "run.py"
VERSION: Final = "2026.2.3"
_NEEDS: Final = (3, 13, 2)
"""The Python that this version runs on."""
INSTALLED: Final = "WATCHTOWER_TEST_HOME_ASSISTANT"
"""A virtual environment that has it already; else one is made, which takes minutes."""


def _python() -> str:
    """One that is new enough."""
    asks = f"import sys; sys.exit(sys.version_info < {_NEEDS})"
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/bin/python3.13"):
        if Path(candidate).exists() and subprocess.run([candidate, "-c", asks], check=False).returncode == 0:
            return candidate
    raise AssertionError(f"Home Assistant {VERSION} needs a Python {'.'.join(map(str, _NEEDS))} or newer")


@pytest.fixture(scope="session")
def home_assistant_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has Home Assistant."""
    if given := os.environ.get(INSTALLED):
        return Path(given) / "bin" / "python"
    folder = tmp_path_factory.mktemp("home-assistant")
    subprocess.run([_python(), "-m", "venv", str(folder)], check=True, capture_output=True)
    python = folder / "bin" / "python"
    wanted = [f"homeassistant=={VERSION}", "paho-mqtt==2.1.0"]
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", *wanted], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return python


class PrivateHomeAssistant:
    """Home Assistant's core with its MQTT integration. Start it, stop it, start it again.

    Args:
        python: Has it.
        folder: For what it keeps.
        port: Of its broker.

    Attributes:
        seen: What a person would see there: `states`, `unique_ids`, `devices`, `complaints`.
    """

    def __init__(self, python: Path, folder: Path, port: int) -> None:
        self._python = python
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.seen: dict[str, Any] = {}
        folder.mkdir()
        (folder / "configuration.yaml").write_text("")

    def start(self) -> Self:
        """Start it."""
        self.seen = {"states": {}, "unique_ids": {}, "devices": {}, "complaints": []}
        with (self._folder / "errors.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._python), str(RUN), str(self._folder), str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": ""},
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="home-assistant", daemon=True)
        self._reader.start()
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.seen = json.loads(line)

    def stop(self) -> None:
        """End it in good order: what it knows it has written then."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(patient(30))
        self.kill()

    def kill(self) -> None:
        """End it at once. Nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is None or self._reader is None:
            return
        process.kill()
        process.wait(10)
        self._reader.join(10)
        assert process.stdout is not None
        process.stdout.close()

    def state(self, entity: str) -> str:
        """Of an entity; empty when there is none."""
        return str(self.seen["states"].get(entity, {}).get("state", ""))

    def attribute(self, entity: str, name: str) -> Any:  # noqa: ANN401 - JSON is any of its types
        """Of an entity; None when it has none."""
        return self.seen["states"].get(entity, {}).get("attributes", {}).get(name)

    async def until(self, condition: Callable[[], bool], *, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - a test's limit
        """Wait until it holds of what is seen."""
        try:
            async with asyncio.timeout(patient(timeout)):
                while not condition():
                    assert self._process is None or self._process.poll() is None, self._said()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            states = {entity: each["state"] for entity, each in self.seen["states"].items()}
            raise AssertionError(f"not within {timeout:g} s: {states}, {self.seen['complaints']}") from None

    def _said(self) -> str:
        return (self._folder / "errors.log").read_text()


@pytest.fixture
def make_home_assistant(home_assistant_python: Path, tmp_path: Path) -> Iterator[Callable[[int], PrivateHomeAssistant]]:
    """Makes and starts one on a broker's port; it ends with the test."""
    made: list[PrivateHomeAssistant] = []

    def make(port: int) -> PrivateHomeAssistant:
        made.append(PrivateHomeAssistant(home_assistant_python, tmp_path / f"home-assistant-{len(made)}", port))
        return made[-1].start()

    yield make
    for each in made:
        each.kill()
