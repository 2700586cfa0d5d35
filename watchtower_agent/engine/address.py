"""Where the engine is: resolved by ourselves, because the SDK falls back silently when a context is unknown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from watchtower_agent.engine.ssh import SCHEME as SSH, SshAddress, ssh_address
from watchtower_agent.errors import SettingsError
from watchtower_agent.model.shown_address import has_query, without_secrets, without_user
from watchtower_agent.model.values import dataclass

DEFAULT_URL = "unix:///var/run/docker.sock"
SCHEMES = ("unix://", "tcp://", "http://", "https://", SSH)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files for an engine behind TLS.

    Attributes:
        ca: Who may have signed the engine's certificate; None for the system's authorities.
        cert: Our certificate, with `key`; None for none.
        key: Its key.
        verify: Whether the engine's certificate is checked.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where the engine is, and who said so.

    Attributes:
        url: `unix://…`, `tcp://…`, `http://…` or `https://…` without a user, or `ssh://…` without a password.
        source: `settings`, `DOCKER_HOST`, `context NAME` or `default`.
        tls: None without TLS.
        ssh_config: The ssh client's configuration for this engine; None for the user's and the system's.
    """

    url: str
    source: str
    tls: TlsFiles | None = None
    ssh_config: Path | None = None

    @property
    def ssh(self) -> SshAddress | None:
        """What an `ssh://…` names, None for anything else."""
        return ssh_address(self.url)

    @property
    def socket_path(self) -> str:
        """The path of a unix socket, empty for anything else."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else ""


def resolve_address(
    url: str, tls: TlsFiles | None, *, environment: Mapping[str, str], config_folder: Path | None = None
) -> EngineAddress:
    """Find the engine as the docker CLI would: settings, DOCKER_HOST, the CLI's context, the default socket.

    Args:
        url: From the settings; empty when they name none.
        tls: From the settings; used with whichever address is found, before what that address brings itself.
        environment: DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are read.
        config_folder: The docker CLI's own configuration, by default DOCKER_CONFIG or `~/.docker`.

    Raises:
        SettingsError: The address can't be used, or the context is unknown.
    """
    folder = config_folder or Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if url:
        return _checked(EngineAddress(url=url, source="settings", tls=tls))
    if host := environment.get("DOCKER_HOST"):
        return _checked(EngineAddress(url=host, source="DOCKER_HOST", tls=tls or _environment_tls(environment, folder)))
    name = environment.get("DOCKER_CONTEXT") or _current_context(folder)
    if name and name != "default":
        return _checked(_context(name, folder, tls))
    return EngineAddress(url=DEFAULT_URL, source="default", tls=tls)


def _checked(address: EngineAddress) -> EngineAddress:
    named = without_secrets(address.url)
    if not address.url.startswith(SCHEMES):
        raise SettingsError(
            f"engine address {named!r} (from {address.source}): not supported; use {', '.join(SCHEMES)}"
        )
    if address.url.startswith(SSH):
        if address.ssh is None:
            raise SettingsError(
                f"engine address (from {address.source}): it has to be ssh://[user@]host[:port][/path/of/the.sock], "
                "without a password: the agent logs in with a key"
            )
    elif without_user(address.url) != address.url or has_query(address.url):
        what = "a query" if without_user(address.url) == address.url else "a user"
        raise SettingsError(
            f"engine address {named!r} (from {address.source}): it holds {what}, which the engine's client does not "
            "take; name the engine, or a proxy before it, without one."
        )
    for file in (address.tls.ca, address.tls.cert, address.tls.key) if address.tls else ():
        if file is not None and not file.is_file():
            raise SettingsError(f"engine address {named!r} (from {address.source}): no TLS file {str(file)!r}")
    return address


def _environment_tls(environment: Mapping[str, str], folder: Path) -> TlsFiles | None:
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verify and not environment.get("DOCKER_TLS"):
        return None
    certificates = Path(environment.get("DOCKER_CERT_PATH") or folder)
    return TlsFiles(
        ca=certificates / "ca.pem", cert=certificates / "cert.pem", key=certificates / "key.pem", verify=verify
    )


def _current_context(folder: Path) -> str:
    file = folder / "config.json"
    content = _json_object(file) if file.is_file() else {}
    return str(content.get("currentContext") or "")


def _context(name: str, folder: Path, tls: TlsFiles | None) -> EngineAddress:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest / "meta.json"
    if not meta.is_file():
        raise SettingsError(
            f"docker context {name!r} is unknown: there is no {meta}. See `docker context ls`, "
            "or name the engine in `engine.url`."
        )
    endpoints = _json_object(meta).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, Mapping) else None
    host = endpoint.get("Host") if isinstance(endpoint, Mapping) else None
    if not isinstance(endpoint, Mapping) or not isinstance(host, str):
        raise SettingsError(f"docker context {name!r} names no engine: {meta} has no Endpoints.docker.Host")
    own = folder / "contexts" / "tls" / digest / "docker"
    if tls is None and own.is_dir():
        files = {part: own / f"{part}.pem" for part in ("ca", "cert", "key") if (own / f"{part}.pem").is_file()}
        tls = TlsFiles(
            ca=files.get("ca"),
            cert=files.get("cert"),
            key=files.get("key"),
            verify=endpoint.get("SkipTLSVerify") is not True,
        )
    return EngineAddress(url=host, source=f"context {name}", tls=tls)


def _json_object(file: Path) -> Mapping[str, object]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} can't be read: {error}. It says which engine the docker CLI uses.") from error
    return content if isinstance(content, dict) else {}
