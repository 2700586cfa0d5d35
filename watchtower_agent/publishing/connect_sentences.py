"""Why the broker could not be reached, for the person who has to put it right."""

from __future__ import annotations

import socket
import ssl

REFUSALS = {
    0x84: "it does not speak this version of MQTT: set mqtt.protocol to the other one",
    0x85: "it does not take this client id: set mqtt.client_id",
    0x86: "user name or password is wrong: check mqtt.username and mqtt.password_file",
    0x87: "this user may not connect: check mqtt.username, mqtt.password_file and the broker's access list",
    0x8A: "this client is banned there",
}
"""Reason codes of a CONNACK that only a person can change."""


def connect_sentence(where: str, cause: OSError | None, error: Exception) -> str:
    """One sentence: what failed and what to look at.

    Args:
        where: The broker's URL.
        cause: What the network said; None when the connection was made and then failed.
        error: What the library made of it.
    """
    match cause:
        case ConnectionRefusedError():
            sentence = f"Nothing listens at {where}. Is the broker running, and mqtt.url right?"
        case socket.gaierror():
            sentence = f"The name in {where} can't be resolved ({cause.strerror}). Check mqtt.url and the name server."
        case ssl.SSLCertVerificationError():
            sentence = (
                f"The certificate of {where} is not trusted ({cause.verify_message}). "
                "Name the authority that signed it in mqtt.tls.ca."
            )
        case ssl.SSLError():
            sentence = f"TLS with {where} failed ({cause.reason or cause}). Does the broker speak TLS on that port?"
        case TimeoutError():
            sentence = f"{where} does not answer. Check mqtt.url, the network and its firewalls."
        case None:
            sentence = f"The broker at {where} did not complete the connection: {error}."
        case _:
            sentence = f"The broker at {where} can't be reached: {cause.strerror or cause}."
    return sentence
