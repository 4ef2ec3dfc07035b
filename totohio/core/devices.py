"""The record of a user's sessions: from where, with what, and what to end when all shall end."""

import hashlib

import msgspec

from totohio.core.ports import VERSION

MAX_DEVICES = 100  # sessions that a user may have; the oldest end when there are more
AGENT = 200  # characters that are kept of a User-Agent


class Device(msgspec.Struct, array_like=True, frozen=True):
    """A session of a user, as the record of devices names it.

    Attributes:
        session: The key of its record.
        created: When, in Unix seconds.
        address: From where.
        agent: With what: the User-Agent, cut.
    """

    session: bytes
    created: float
    address: str
    agent: str


_decode = msgspec.msgpack.Decoder(list[Device]).decode
_encode = msgspec.msgpack.Encoder().encode


def devices_key(user_id: str) -> bytes:
    """The key of the record of a user's devices."""
    return b"d" + hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()


def read(value: bytes | None) -> list[Device]:
    """Give the devices that a record holds."""
    return [] if value is None else _decode(memoryview(value)[VERSION:])


def record(devices: list[Device], version: bytes) -> bytes | None:
    """Give the record that holds devices; None for none at all."""
    return version + _encode(devices) if devices else None


def added(devices: list[Device], new: Device) -> list[Device]:
    """Give the devices with a new one among them, and without the oldest where they are too many."""
    return [*devices, new][-MAX_DEVICES:]
