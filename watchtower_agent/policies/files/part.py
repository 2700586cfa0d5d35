"""One policy while it is read: its keys, and where mistakes go."""

from __future__ import annotations

from collections.abc import Callable

from watchtower_agent.policies.files.document import PolicyKeys
from watchtower_agent.policies.files.findings import Findings


class PolicyPart:
    """Finds out what a part of one policy means. What it finds wrong it tells.

    Args:
        keys: The policy's keys, without those that are broken.
        given: Whether a key is written, broken or not.
        findings: Where mistakes go.
    """

    def __init__(self, keys: PolicyKeys, given: Callable[[str], bool], findings: Findings) -> None:
        self._keys = keys
        self._given = given
        self._findings = findings
