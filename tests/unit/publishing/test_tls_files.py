"""Files for TLS that can't be used are said to be so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from watchtower_agent.publishing.broker_options import MqttOptions
from watchtower_agent.publishing.tls import tls_context


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    cert, key = tmp_path / "agent.crt", tmp_path / "agent.key"
    made = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-passout",
        "pass:s3cr3t",
        "-subj",
        "/CN=agent",
    )
    subprocess.run(
        ["openssl", "req", "-x509", *made, "-keyout", key, "-out", cert, "-days", "2"], check=True, capture_output=True
    )
    options = MqttOptions(url="mqtts://broker", host="h1", client_id="c1", tls_cert=cert, tls_key=key)
    with pytest.raises(OSError, match="the key has a passphrase"):
        tls_context(options)
