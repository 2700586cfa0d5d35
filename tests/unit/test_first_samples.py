"""What ran when the agent ended is sampled from its next start on, before the engine was found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.core import Host, container_id


def restarted() -> Host:
    """One that remembers `web`, which runs, and `job`, which ran; the engine does not answer yet."""
    host = Host()
    host.docker.create(silent=True)
    host.docker.create("job", silent=True)
    host.relist()
    host.deliver()
    host.docker.remove("job", force=True)
    host.dies(away=5.0)
    host.clear()
    host._boot()
    return host


def batches(host: Host) -> list[Mapping[str, Any]]:
    return [json.loads(message.payload) for step in host.steps for message in step.metrics]


def test_what_ran_is_sampled_before_the_engine_was_found() -> None:
    host = restarted()

    watched = [step.watch for step in host.steps if step.watch is not None]

    assert [{target.container_id for target in targets} for targets in watched] == [
        {container_id("web"), container_id("job")}
    ]


def test_nothing_is_sampled_before_the_first_listing_ever() -> None:
    host = Host(first_start=True)
    host.docker.create(silent=True)

    assert [step.watch for step in host.steps if step.watch is not None] == []


def test_what_has_no_measurements_before_the_listing_is_not_told_as_running() -> None:
    host = restarted()
    host.clock.advance(1.0)
    host.see(host.sample({"memory_working_set": 1e6}))

    (before,) = batches(host)
    assert [each["name"] for each in before["containers"]] == ["web"]
    assert before["containers"][0]["memory.working_set"] == 1e6


def test_once_listed_what_runs_is_told_though_it_can_not_be_measured() -> None:
    host = restarted()
    host.connect()
    host.tick(10)

    assert [each["name"] for each in batches(host)[-1]["containers"]] == ["web"]


def test_what_ended_meanwhile_is_let_go_with_the_listing() -> None:
    host = restarted()
    host.connect()

    watched = [step.watch for step in host.steps if step.watch is not None]

    assert [target.container_id for target in watched[-1]] == [container_id("web")]
