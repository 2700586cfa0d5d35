"""Which settings are taken over while the agent runs, and which wait."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from watchtower_agent.settings import Settings
from watchtower_agent.settings.in_force import AT_ONCE, SettingsInForce
from watchtower_agent.settings.model import value_paths


def others(**sections: object) -> Settings:
    return Settings.model_validate(sections)


def test_every_key_that_is_taken_over_is_a_key() -> None:
    assert {".".join(path) for path in value_paths()} >= AT_ONCE


def test_what_can_change_is_in_force_at_once_and_the_rest_waits() -> None:
    in_force = SettingsInForce(others(host="h1"))
    wanted = others(
        host="h1",
        mode="observe",
        guards={"host_budget": {"max": 2}, "shared_cause": {"hold": "0s"}},
        sampling={"interval": "5s"},
        mqtt={"exec_events": True, "labels": ["team"]},
    )

    change = in_force.take(wanted)

    assert set(change.taken) == {
        "mode",
        "guards.host_budget.max",
        "guards.shared_cause.hold",
        "mqtt.exec_events",
    }
    assert set(change.waiting) == {"sampling.interval", "mqtt.labels"}
    assert change.news
    settings = in_force.settings
    assert (settings.mode, settings.guards.host_budget.max, settings.guards.host_budget.per) == ("observe", 2, 600.0)
    assert (settings.mqtt.exec_events, settings.mqtt.labels, settings.sampling.interval) == (True, (), 1.0)


def test_the_same_again_is_no_news_and_still_waits() -> None:
    in_force = SettingsInForce(others())
    wanted = others(mode="observe", sampling={"interval": "5s"})
    in_force.take(wanted)

    again = in_force.take(wanted)

    assert (again.taken, again.waiting, again.news) == ((), ("sampling.interval",), False)


def test_what_is_taken_back_waits_no_more() -> None:
    in_force = SettingsInForce(others())
    in_force.take(others(sampling={"interval": "5s"}))

    back = in_force.take(others())

    assert (back.taken, back.waiting, back.news) == ((), (), True)
    assert in_force.settings == others()


def test_a_password_that_changed_is_named_by_its_key_alone() -> None:
    in_force = SettingsInForce(others(mqtt={"password": SecretStr("old")}))

    change = in_force.take(others(mqtt={"password": SecretStr("new")}))

    assert change.waiting == ("mqtt.password",)
    assert not any(word in repr((change, in_force)) for word in ("old'", "new'"))


@pytest.mark.parametrize(("first", "second", "news"), [("a", "a", False), ("a", "b", True)])
def test_the_same_mistake_is_told_once(first: str, second: str, *, news: bool) -> None:
    in_force = SettingsInForce(others())
    assert in_force.refuse((first,))

    assert in_force.refuse((second,)) is news
    assert in_force.settings == others()


def test_a_mistake_that_is_mended_is_news() -> None:
    in_force = SettingsInForce(others())
    in_force.refuse(("wrong",))

    assert in_force.take(others()).news
    assert in_force.problems == ()
