"""Commands over MQTT, taken apart: what is one, and what whoever sent something else is told."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, strategies as st

from watchtower_agent.serving.command import ARGUMENTS, LARGEST_COMMAND, command, document, id_of
from watchtower_agent.serving.protocol import COMMANDS
from watchtower_agent.serving.request import RequestError
from watchtower_agent.settings.values import MQTT_COMMANDS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def test_the_names_are_those_of_the_settings_and_of_the_control_socket() -> None:
    assert tuple(ARGUMENTS) == MQTT_COMMANDS
    assert set(ARGUMENTS) < set(COMMANDS)


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        (b"", "not JSON"),
        (b"vgyn5h", "not JSON"),
        (b'"vgyn5h"', "not an object"),
        (b"[]", "not an object"),
        (b"\xff{}", "not UTF-8"),
        (b'{"policy": "a", "policy": "b"}', "a key twice"),
        (b'{"for": NaN}', "not JSON"),
        (b'{"for": -Infinity}', "not JSON"),
        (b'{"for": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "not JSON"),
        (b'{"a":' * 9_000, "not JSON"),
        (b"[" * LARGEST_COMMAND, "not JSON"),
        (b"{" + b" " * LARGEST_COMMAND + b"}", "larger than 64 KiB"),
    ],
)
def test_what_is_no_object_is_told(payload: bytes, wrong: str) -> None:
    with pytest.raises(RequestError, match=wrong):
        document(payload)


def test_the_largest_is_taken() -> None:
    assert document(b"{" + b" " * (LARGEST_COMMAND - 2) + b"}") == {}


@pytest.mark.parametrize("wrong", ["", "a/b", "a+", "#", "ä", "a\n", "x" * 65, 7, True, ["a"], {}])
def test_an_id_that_can_be_no_level_of_a_topic_is_refused(wrong: object) -> None:
    with pytest.raises(RequestError, match="id must be"):
        id_of({"id": wrong})


@pytest.mark.parametrize(("found", "sender"), [({}, ""), ({"id": None}, ""), ({"id": "a_B-9" * 12}, "a_B-9" * 12)])
def test_the_sender_chooses_the_id_or_none(found: dict[str, object], sender: str) -> None:
    assert id_of(found) == sender


@pytest.mark.parametrize(
    ("name", "found", "wrong"),
    [
        ("status", {}, "there is no command 'status'; there are pause, resume"),
        ("", {}, "there is no command ''"),
        ("appr\nove", {}, r"there is no command 'appr\\nove'"),
        ("pause", {"taget": "web"}, "pause takes for, policy, reason, target and id, not 'taget'; nothing was done"),
        ("reload", {"policy": "x"}, "reload takes an id and nothing else, not 'policy'"),
        ("trigger", {"policy": "x", "dry_run": True}, "not 'dry_run'"),
        ("approve", {}, "approve needs an approval"),
        ("approve", {"id": "vgyn5h"}, "approve needs an approval"),
        ("reject", {"approval": " "}, "reject needs an approval"),
        ("reject", {"approval": ["a"]}, "approval must be a name, not a list"),
    ],
)
def test_what_can_not_be_asked_for_is_told(name: str, found: dict[str, object], wrong: str) -> None:
    with pytest.raises(RequestError, match=wrong):
        command(name, found)


def test_the_id_is_no_argument() -> None:
    made = command("approve", document(b'{"id": "r1", "approval": "vgyn5h", "reason": "we looked"}'))
    assert (made.name, made.id) == ("approve", "r1")
    assert made.arguments == {"approval": "vgyn5h", "reason": "we looked"}


@given(payload=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), name=st.text(max_size=20))
def test_whatever_comes_is_a_command_or_told_in_one_printable_line(payload: bytes, name: str) -> None:
    for each in (name, *ARGUMENTS):
        told, made = "a line", None
        try:
            made = command(each, document(payload))
        except RequestError as error:
            told = str(error)
        assert re.fullmatch(r"[ -~]{1,400}", told)
        assert made is None or set(made.arguments) <= ARGUMENTS[made.name]


@given(arguments=st.data())
def test_what_a_command_takes_comes_through_as_it_was_written(arguments: st.DataObject) -> None:
    name = arguments.draw(st.sampled_from(sorted(ARGUMENTS)))
    keys = sorted(ARGUMENTS[name])
    words = (
        {key: arguments.draw(st.text(max_size=30)) for key in arguments.draw(st.sets(st.sampled_from(keys)))}
        if keys
        else {}
    )
    if name in {"approve", "reject"}:
        words["approval"] = "vgyn5h"
    made = command(name, document(json.dumps({"id": "x", **words}).encode()))
    assert (made.arguments, made.id) == (words, "x")
