"""A disk that hangs: it raises no error, so somebody has to say it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import Host
from tests.support.broker import PrivateBroker
from tests.support.engine import PrivateEngine
from tests.support.troubles import reviving
from watchtower_agent.cli.commands import main
from watchtower_agent.errors import PermanentError

REVIVE = reviving()


class Disk:
    """A file system that can be frozen: then whoever writes to it waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frozen = False

    def freeze(self) -> None:
        subprocess.run(["fsfreeze", "--freeze", str(self.folder)], check=True)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            subprocess.run(["fsfreeze", "--unfreeze", str(self.folder)], check=True)
        self._frozen = False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    made = Disk(folder)
    yield made
    made.thaw()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_hangs_is_said_and_nothing_is_done_until_it_answers(
    engine: PrivateEngine,
    module_broker: PrivateBroker,
    make_host: Callable[..., Host],
    disk: Disk,
    capfd: pytest.CaptureFixture[str],
) -> None:
    host = make_host(engine, module_broker, REVIVE, settings={"state_dir": str(disk.folder / "state")})
    disk.freeze()
    crash = engine.run("crash", "sh", "-c", "exit 3", labels={"heal": "true"})
    (stalled,) = await asyncio.to_thread(host.agent.wait_log, "store_stalled")
    assert "the disk of the state folder does not answer" in stalled["error"]

    status = await asyncio.to_thread(host.agent.status)
    assert status["outbox"] is None
    (why,) = status["unwell"]
    assert why.startswith("the store does not take anything: a write has waited for ")
    asked = ["status", "--socket", str(host.agent.socket)]
    assert await asyncio.to_thread(main, [*asked, "--alive"]) == 0
    assert await asyncio.to_thread(main, asked) == 1
    shown = capfd.readouterr().out
    assert "does not take anything" in shown
    assert "outbox       not known" in shown
    with pytest.raises(PermanentError, match=r"has not answered for 5 s\. Look whether it hangs"):
        await asyncio.to_thread(host.agent.history)
    assert host.calls(crash) == []
    assert host.watch.told("container", "die", "crash") == []

    disk.thaw()
    await host.watch.until_told("action", "succeeded", "crash")
    (again,) = await asyncio.to_thread(host.agent.wait_log, "store_works_again")
    assert "a write has waited for" in again["was"]
    assert len(host.agent.logged("store_stalled")) == 1
    assert (await asyncio.to_thread(host.agent.status))["well"]
