"""Our way of packing an MQTT packet's properties says, byte for byte, what paho's does."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from watchtower_agent.publishing.publish_properties import packed

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(
    content_type=texts,
    user_properties=st.lists(st.tuples(texts, texts), max_size=12),
    expiry=st.none() | st.integers(0, 2**32 - 1),
)
def test_it_packs_as_paho_does(content_type: str, user_properties: list[tuple[str, str]], expiry: int | None) -> None:
    theirs = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # not typed in paho
    if content_type:
        theirs.ContentType = content_type
    if user_properties:
        theirs.UserProperty = user_properties
    if expiry is not None:
        theirs.MessageExpiryInterval = expiry
    expected = theirs.pack()  # type: ignore[no-untyped-call] # same
    assert packed(content_type=content_type, user_properties=user_properties, expiry=expiry) == expected


@pytest.mark.parametrize("length", [0, 1, 120, 121, 122, 123, 16_370, 16_377, 16_378, 16_379, 65_535])
def test_lengths_at_every_border_of_their_encoding(length: int) -> None:
    theirs = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # not typed in paho
    theirs.UserProperty = [("n", "x" * length)]
    expected = theirs.pack()  # type: ignore[no-untyped-call] # same
    assert packed(content_type="", user_properties=[("n", "x" * length)], expiry=None) == expected


@pytest.mark.parametrize(
    ("value", "expiry"), [("x" * 65_536, None), ("\ud800", None), ("x", 2**32), ("x", -1)], ids=str
)
def test_what_does_not_fit_is_refused(value: str, expiry: int | None) -> None:
    with pytest.raises((OverflowError, UnicodeEncodeError)):
        packed(content_type="", user_properties=[("n", value)], expiry=expiry)
