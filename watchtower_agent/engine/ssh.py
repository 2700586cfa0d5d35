"""Where an engine behind ssh is, and the command that reaches it. Pure."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

from watchtower_agent.model.values import dataclass

SCHEME: Final = "ssh://"

_URL: Final = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_.][A-Za-z0-9_.@\\-]*)@)?"
    r"(?:\[(?P<literal>[0-9A-Fa-f:.%A-Za-z]+)\]|(?P<host>[A-Za-z0-9_.][A-Za-z0-9_.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^\x00-\x1f\x7f?#]*)?"
)
"""No part can begin with a dash, which ssh would take for an option, and there is no place for a password."""

_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAddress:
    """An engine behind ssh.

    Attributes:
        host: A name or an address, or an alias of the ssh client's configuration.
        user: Empty for whom that configuration names.
        port: None for the one that it names.
        socket: Path of the engine's socket there; empty for the one that the docker CLI there uses.
    """

    host: str
    user: str = ""
    port: int | None = None
    socket: str = ""


def ssh_address(url: str) -> SshAddress | None:
    """Take `ssh://[user@]host[:port][/path/of/the.sock]` apart; None when it is not like that."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port <= _LAST_PORT:
        return None
    path = match["path"] or ""
    return SshAddress(
        host=match["literal"] or match["host"], user=match["user"] or "", port=port, socket="" if path == "/" else path
    )


def ssh_command(address: SshAddress, *, config: Path | None, timeout: float) -> list[str]:
    """What is run for one connection: it carries bytes between its standard input and output and the engine.

    What stands here comes before all that a configuration says. So nothing can make it accept a host whose key is not
    known, or wait for somebody who types.

    Args:
        address: Of the engine.
        config: The ssh client's configuration; None for the user's and the system's.
        timeout: Seconds that an answer may take. ssh gives up a moment before, and says why.
    """
    options = (
        "BatchMode=yes",
        "LogLevel=ERROR",  # nobody reads what it says before it ends: more of it than a pipe holds would stop it
        "StrictHostKeyChecking=yes",
        f"ConnectTimeout={max(1, int(timeout) - 1)}",
        # A path that fails without a word: ssh ends by itself, also where nobody waits for an answer.
        "ServerAliveInterval=15",
        "ServerAliveCountMax=2",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
        "ControlMaster=no",  # one that is there is used; one that ends with this connection would take others along
    )
    engine = ("--host", f"unix://{address.socket}") if address.socket else ()
    return [
        "ssh",
        *(("-F", str(config)) if config else ()),
        *(part for option in options for part in ("-o", option)),
        *(("-l", address.user) if address.user else ()),
        *(("-p", str(address.port)) if address.port else ()),
        "-T",
        "--",
        address.host,
        shlex.join(("docker", *engine, "system", "dial-stdio")),
    ]
