"""Messages that wait to be read: few, whatever comes, and the newest."""

from __future__ import annotations

from hypothesis import given, strategies as st

from watchtower_agent.model.instant import Instant
from watchtower_agent.sources.mailbox import Mailbox, Message

AT = Instant(wall=0.0, monotonic=0.0)


def message(topic: str, payload: bytes = b"") -> Message:
    return Message(topic=topic, payload=payload, retained=False, came=AT)


def taken(mailbox: Mailbox) -> list[tuple[str, bytes]]:
    found = []
    while (each := mailbox.take()) is not None:
        found.append((each.topic, each.payload))
    return found


def test_the_newest_of_a_topic_has_the_turn_of_the_first() -> None:
    mailbox = Mailbox()
    for topic, payload in [("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b"1"), ("a", b"3")]:
        mailbox.put(message(topic, payload))

    assert taken(mailbox) == [("a", b"3"), ("b", b"1"), ("c", b"1")]


def test_of_a_topic_with_parts_the_newest_few_in_order() -> None:
    mailbox = Mailbox()
    for number in range(5):
        mailbox.put(message("a", b"%d" % number), keep=3)

    assert [payload for _, payload in taken(mailbox)] == [b"2", b"3", b"4"]


def test_a_topic_too_many_takes_the_place_of_the_one_that_waited_longest() -> None:
    mailbox = Mailbox(most_topics=2)
    for topic in ("a", "b", "c", "b"):
        mailbox.put(message(topic))

    assert [topic for topic, _ in taken(mailbox)] == ["b", "c"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 40), st.integers(1, 4)), max_size=60))
def test_it_is_never_larger_than_it_may_be_and_keeps_what_came_last(coming: list[tuple[str, int, int]]) -> None:
    mailbox = Mailbox(most_topics=4, most_bytes=50)
    for number, (topic, size, keep) in enumerate(coming):
        last = message(topic, b"%d:" % number + bytes(size))
        mailbox.put(last, keep=keep)
        waiting = _waiting(mailbox)
        assert last in waiting
        assert len({each.topic for each in waiting}) <= 4
        assert sum(len(each.payload) for each in waiting) <= 50 or waiting == [last]
        assert len([each for each in waiting if each.topic == topic]) <= keep


def _waiting(mailbox: Mailbox) -> list[Message]:
    """All of it, put back as it was."""
    found = []
    while (each := mailbox.take()) is not None:
        found.append(each)
    for each in found:
        mailbox.put(each, keep=100)
    assert len(mailbox) == len(found)
    return found
