"""What a simulated Redis and those who ask it say to each other: lists, each in a frame with its length.

That is not Redis's own protocol, which is a matter of its drivers. It is alike in what counts: each question is carried
out as soon as it has come as a whole, and answers come in the order of the questions.

    get keys                          the values
    run conditions writes             whether the transaction holds
    await key version milliseconds    the value, as soon as it has another version, or when the time is over
    wait replicas milliseconds        how many replicas have all that was run on this connection
    sync                              a replica asks for everything:
    state offset rows                 what there is,
    put offset changes                and what has changed since; the replica answers
    ack offset                        how far it has come
    replicaof host                    a new primary tells an old one

The answer to a question that is refused is ``error text``; all others are ``ok value``.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from totohio.core.ports import Transaction, Write

HEAD = struct.Struct(">I")

Message = list[Any]


def frame(message: Sequence[Any]) -> bytes:
    """Give a message as it is sent."""
    body = msgspec.msgpack.encode(message)
    return HEAD.pack(len(body)) + body


def frames(received: bytearray) -> Iterator[Message]:
    """Take all messages out of what has come that are there as a whole."""
    while len(received) >= HEAD.size:
        end = HEAD.size + HEAD.unpack_from(received)[0]
        if len(received) < end:
            return
        message = msgspec.msgpack.decode(bytes(received[HEAD.size : end]))
        del received[:end]
        yield message


def question(transaction: Transaction) -> Message:
    """Ask for a transaction."""
    return [
        "run",
        [list(condition) for condition in transaction.conditions],
        [[write.key, write.value, write.expires] for write in transaction.writes],
    ]


def transaction(conditions: list[Any], writes: list[Any]) -> Transaction:
    """Give the transaction that is asked for."""
    return Transaction(
        tuple((key, version) for key, version in conditions),
        tuple(Write(key, value, expires) for key, value, expires in writes),
    )
