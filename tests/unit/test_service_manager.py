"""What systemd is told, word by word, on a socket as systemd's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notify_socket import Ear
from watchtower_agent.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    with Ear(str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}/notify") as listening:
        yield listening


async def test_ready_reloading_waiting_and_stopping_are_told(ear: Ear) -> None:
    service = ServiceManager(ear.address)
    service.waits_for("the state folder", 5.0)
    assert await ear.hear() == ["EXTEND_TIMEOUT_USEC=35000000", "STATUS=waits for the state folder"]
    service.ready("3 containers run,\nengine connected")
    assert await ear.hear() == ["READY=1", "STATUS=3 containers run, engine connected"]
    service.reloading(12.5)
    assert await ear.hear() == ["RELOADING=1", "MONOTONIC_USEC=12500000"]
    service.stopping()
    assert (await ear.hear())[0] == "STOPPING=1"


async def test_the_watchdog_is_fed_while_nothing_is_stuck_and_only_then(ear: Ear) -> None:
    stuck: list[str] = []
    service = ServiceManager(ear.address, watchdog=4.0)
    watching = asyncio.create_task(service.watch(lambda: stuck, lambda: "all well"))
    try:
        assert await ear.hear() == ["WATCHDOG=1", "STATUS=all well"]
        assert await ear.hear() == ["WATCHDOG=1"]
        stuck.append("the loop for 41 s")
        assert await ear.hear() == ["STATUS=stands still: the loop for 41 s"]
        stuck.clear()
        assert await ear.hear() == ["WATCHDOG=1", "STATUS=all well"]
    finally:
        watching.cancel()


def test_the_variables_are_meant_for_this_process_alone() -> None:
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "17", "PATH": "/bin"}
    ServiceManager.of(environment, 17)
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("variables", "fed"),
    [
        ({"WATCHDOG_USEC": "4000000"}, True),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "17"}, True),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "18"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({}, False),
    ],
)
async def test_a_watchdog_is_fed_where_there_is_one_for_this_process(
    ear: Ear, variables: dict[str, str], fed: bool
) -> None:
    service = ServiceManager.of({"NOTIFY_SOCKET": ear.address, **variables}, 17)
    watching = asyncio.create_task(service.watch(list, lambda: "all well"))
    try:
        assert ("WATCHDOG=1" in await ear.hear()) is fed
    finally:
        watching.cancel()


async def test_without_systemd_nobody_is_told_and_a_socket_that_is_gone_harms_nothing(tmp_path: Path) -> None:
    ServiceManager().ready("all well")
    ServiceManager(str(tmp_path / "gone")).ready("all well")
    watching = asyncio.create_task(ServiceManager().watch(list, lambda: ""))
    await asyncio.sleep(0)
    assert not watching.done()
    watching.cancel()


async def test_who_does_not_listen_holds_nobody_up(ear: Ear) -> None:
    service = ServiceManager(ear.address)
    for _ in range(10_000):  # more than the socket keeps
        service.ready("all well")
    assert not ear.silent()
