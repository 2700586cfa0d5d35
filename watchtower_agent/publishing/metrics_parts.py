"""A batch of metrics that is larger than the broker takes, as several that are not."""

from __future__ import annotations

import json
from dataclasses import replace

from watchtower_agent.model.message import MetricsMessage
from watchtower_agent.publishing.encoding import to_json

_MOST_PARTS = 999


def parts(message: MetricsMessage, room: int) -> tuple[list[MetricsMessage], int]:
    """Each part is a batch of its own: the same head and host's numbers, and some of the containers.

    It is made of the finished batch, since only the connection knows what the broker takes.

    Args:
        message: A batch, or one container's sample, which has no parts.
        room: Bytes of a payload at most.

    Returns:
        The parts, none where even the host's numbers have no room; and how many containers were left out, since
        theirs alone have none.
    """
    content = json.loads(message.payload)
    lines = content.pop("containers", None)
    if not isinstance(lines, list):
        return [], 0
    empty = len(to_json({**content, "part": _MOST_PARTS, "parts": _MOST_PARTS, "containers": []}))
    if empty > room:
        return [], len(lines)
    groups: list[list[object]] = [[]]
    size, left_out = empty, 0
    for line in lines:
        needed = len(to_json(line)) + 1
        if empty + needed > room:
            left_out += 1
            continue
        if size + needed > room:
            groups.append([])
            size = empty
        groups[-1].append(line)
        size += needed
    payloads = (
        to_json({**content, "part": number, "parts": len(groups), "containers": group})
        for number, group in enumerate(groups[:_MOST_PARTS], start=1)
    )
    return [replace(message, payload=payload) for payload in payloads], left_out
