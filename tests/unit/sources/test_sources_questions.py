"""Addresses that are asked again and again, each at its own pace, while the event loop goes on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import pytest

from tests.support.http_server import HttpServer, body, http_server, silent
from tests.support.inbound import Heard
from tests.support.patience import patient
from watchtower_agent.clock import SystemClock
from watchtower_agent.model.source import JsonPath, UrlSource
from watchtower_agent.sources.questions import Questions


def url(server: HttpServer, target: str = "/", *path: str | int, every: float = 0.05) -> UrlSource:
    """Asked every so many seconds, named after what is asked."""
    where: JsonPath = path
    return UrlSource(name=target, url=server.url(target), value=where, every=every)


@contextlib.asynccontextmanager
async def asking(*wanted: UrlSource) -> AsyncIterator[tuple[Questions, Heard]]:
    heard = Heard()
    made = Questions(SystemClock(), heard.put)
    made.follow(frozenset(wanted))
    running = asyncio.create_task(made.run())
    try:
        yield made, heard
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_address_is_asked_again_and_again() -> None:
    with http_server(body('{"data": {"value": "12.5"}}')) as server:
        async with asking(url(server, "/q", "data", "value")) as (_, heard):
            await heard.until(lambda _: len(heard.observations) >= 3)
    first, *_ = heard.of("/q")
    assert (first.value, first.age, first.why) == (12.5, 0.0, "")
    assert heard.values("/q")[:3] == [12.5] * 3
    assert set(server.targets) == {"/q"}


async def test_what_can_not_be_known_says_why_and_is_asked_for_again() -> None:
    with http_server(body("42", status="500 no")) as server:
        async with asking(url(server)) as (_, heard):
            await heard.until(lambda _: bool(heard.observations))
            server.behave = body("many")
            await heard.until(lambda _: "JSON" in heard.of("/")[-1].why)
            server.behave = body("42")
            await heard.until(lambda _: heard.values("/")[-1] == 42.0)
    silent_where = {each.why: each.silent for each in heard.of("/")}
    assert silent_where["it answers 500"]  # which says nothing of the number
    assert not silent_where["the answer can't be used: it is no JSON"]


async def test_each_at_its_own_pace() -> None:
    with http_server(body("1")) as server:
        async with asking(url(server, "/fast"), url(server, "/slow", every=3600.0)) as (_, heard):
            await heard.until(lambda _: len(heard.of("/fast")) >= 5)
    assert len(heard.of("/slow")) == 1


async def test_a_server_that_keeps_silent_holds_up_no_other_and_not_the_loop() -> None:
    with http_server(silent) as dead, http_server(body("1")) as server:
        many = [url(dead, f"/{number}", every=0.2) for number in range(30)]
        async with asking(*many, url(server, "/good")) as (_, heard):
            await heard.until(
                lambda _: bool(heard.of("/good")) and any(heard.of(f"/{n}") for n in range(30)), timeout=2
            )
            loop, late = asyncio.get_running_loop(), 0.0
            for _ in range(100):
                before = loop.time()
                await asyncio.sleep(0.001)
                late = max(late, loop.time() - before)
            assert late < patient(0.15)
            await heard.until(lambda _: all(heard.of(f"/{number}") for number in range(30)), timeout=2)
    assert {each.why for number in range(30) for each in heard.of(f"/{number}")} == {"no answer within 0.2 s"}


async def test_other_policies_ask_others_and_what_stays_is_not_asked_anew() -> None:
    with http_server(body("1")) as server:
        stays, goes, comes = url(server, "/stays", every=3600.0), url(server, "/goes"), url(server, "/comes")
        async with asking(stays, goes) as (made, heard):
            await heard.until(lambda _: bool(heard.of("/stays")) and bool(heard.of("/goes")))
            made.follow(frozenset({stays, comes}))
            await heard.until(lambda _: len(heard.of("/comes")) >= 3)
            had = len(heard.of("/goes"))
            await heard.until(lambda _: len(heard.of("/comes")) >= 8)
            assert len(heard.of("/goes")) == had
            assert len(heard.of("/stays")) == 1


async def test_one_that_is_under_way_ends_with_the_agent() -> None:
    with http_server(silent) as server:
        async with asking(url(server, every=3600.0)):
            await asyncio.to_thread(server.news.wait, patient(10))
            (thread,) = (each for each in threading.enumerate() if each.name.startswith("asking "))
        await asyncio.to_thread(thread.join, patient(3))
        assert not thread.is_alive()


async def test_a_question_that_nothing_can_cut_short_is_told_of_and_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resolver that does not answer holds its thread for as long as it likes."""
    resolver, asked = threading.Event(), []

    def resolve(*_: object, **__: object) -> list[object]:
        asked.append(1)
        resolver.wait()
        raise OSError("no")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    source = UrlSource(name="m", url="http://slow.invalid/", every=0.1)
    try:
        async with asking(source) as (_, heard):
            await heard.until(lambda _: bool(heard.observations))
            assert heard.of("m")[0].why == "no answer within 0.1 s"
            assert len(asked) == 1
            resolver.set()
            await heard.until(lambda _: len(heard.observations) >= 2)
            assert len(asked) >= 2
    finally:
        resolver.set()
