"""Addresses as they may be shown: in logs, events, answers and messages about mistakes."""

from __future__ import annotations

import re

_USER = re.compile(r"\A((?!unix:)[A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_QUERY = re.compile(r"([?#]).*\Z", re.DOTALL)


def without_user(url: str) -> str:
    """The address, `…` in place of user and password.

    It need not be a well-formed one: whatever stands before the last `@` may be part of a password. The path of a unix
    socket has no user.
    """
    return url if url.startswith("unix:") else _USER.sub(r"\1…@", url)


def without_secrets(url: str) -> str:
    """The address, `…` in place of user and password, and of what follows a question mark: that may be a token."""
    return url if url.startswith("unix:") else _QUERY.sub(r"\1…", without_user(url))


def has_query(url: str) -> bool:
    """Whether something follows a question mark or a number sign. The path of a unix socket may have both."""
    return not url.startswith("unix:") and _QUERY.search(url) is not None
