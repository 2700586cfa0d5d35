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

_ENDS = {
    0x04: "it was told to send the last will",
    0x80: "it closed the connection without giving a reason: it was stopped or restarted, or does not take a message",
    0x81: "it could not read a packet of ours",
    0x82: "it found a packet of ours against the protocol",
    0x87: "this user may not do that: check the broker's access list",
    0x89: "it is busy",
    0x8B: "it is shutting down",
    0x8D: "agent and broker heard nothing of each other for longer than mqtt's keepalive",
    0x8E: "another client connected with this agent's client id",
    0x93: "it takes fewer messages at once than were sent",
    0x95: "a packet was larger than it takes: look at the broker's limits",
    0x96: "messages came faster than it takes them: look at the broker's limits",
    0x97: "this user is over its quota there",
    0x98: "somebody ended it there (an administrative action)",
    0x9C: "it says to use another server: check mqtt.url",
    0x9D: "it was moved to another server: check mqtt.url",
}
"""Reason codes with which a connection ends. paho gives 0x80 where the broker closed it without a word."""


def ended_sentence(code: int | None, error: BaseException) -> str:
    """Why a connection ended that had been good.

    Args:
        code: The reason code; None where the network failed.
        error: What the library made of it.
    """
    if code in _ENDS:
        return _ENDS[code]
    return str(error) if code is None else f"it gave the reason 0x{code:02X} ({error})"


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
