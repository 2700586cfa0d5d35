"""TLS to the broker, as the settings want it."""

from __future__ import annotations

import ssl
from typing import Any

from watchtower_agent.publishing.broker_options import MqttOptions


class TlsContext(ssl.SSLContext):
    """Remembers the connection it made last: paho leaves it open when the handshake fails."""

    _last: ssl.SSLSocket | None = None

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401 - as in ssl
        """Make a TLS connection over that socket."""
        self._last = super().wrap_socket(*arguments, **options)
        return self._last

    def close_last(self) -> None:
        """Close it, in case it is open."""
        if self._last is not None:
            self._last.close()


def tls_context(options: MqttOptions) -> TlsContext:
    """What the settings say about TLS. Reads files.

    Raises:
        OSError: A file is missing or is not what it should be (ssl.SSLError).
    """
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and host names
    if options.tls_ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(options.tls_ca)
    if options.tls_cert is not None:
        context.load_cert_chain(options.tls_cert, options.tls_key, password=_nobody_types)
    return context


def _nobody_types() -> str:
    """Without this OpenSSL asks whoever sits at the terminal, and the connection waits for that."""
    raise OSError(
        "the key has a passphrase, and nobody is there to type it: use one without, which only the agent may read"
    )
