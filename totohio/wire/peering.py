"""What two processes say to each other that share events: the words, and who they are.

One of them, the *dialer*, has connected and sends events; the *acceptor* takes them. Each message is a frame with a
list in MessagePack. First both show that they have the same key, without telling it, and that they have it now:

    dialer    hello version origin nonce
    acceptor  hello version origin nonce proof(acceptor, both nonces and origins)
    dialer    proof(dialer, the same)

From then on each frame ends with a code that only who has the key can make, over a number that counts the frames of
its direction: nobody between them can change, add, repeat or leave out anything. All can be read on the way.

    dialer    log origin floor last live      events of this log follow; none up to floor do
              event origin offset name data   the next one of a log
              miss origin last                what has not come of a log up to there is lost
              turn number name data           for this process alone; the answer is
    acceptor  done number
    dialer    who number name                 who is subscribed to a name there; the answer is
    acceptor  here number [who, ...]
    dialer    beat {origin: last}             how far each log has come there; the answer is
    acceptor  beat last                       how far the dialer's own log has come here
              holds {origin: last}            first of all: how far each log has come here
              want origin last                what comes behind it of a log

A dialer is in the states hello, open, closed; an acceptor in hello, proof, open, closed. What does not fit the state
is a `PeerError`, as is a wrong proof or code: then the connection ends without another word.
"""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from totohio.base.errors import TotohioError
from totohio.wire.framing import Framer, FramingError, frame

VERSION = 1
MAX_HELLO = 1024  # bytes of a frame of somebody who has not shown yet who they are
MAC = 16  # bytes of the code at the end of a frame
NONCE = 16  # bytes
OVERHEAD = 512  # bytes of a message beside an event's name and data

Message = list[Any]
Role = Literal["dialer", "acceptor"]


class PeerError(TotohioError):
    """The peer is not who it has to be, or says what it must not."""


class Peering:
    """One end of such a connection; bytes in, messages out, and the other way round.

    Attributes:
        state: ``hello``, ``proof``, ``open`` or ``closed``.
        peer: The origin of the other end, "" until it is known.
    """

    def __init__(self, role: Role, *, key: bytes, origin: str, nonce: bytes, limit: int) -> None:
        """Begin.

        Args:
            role: Which end.
            key: What both have.
            origin: Our own.
            nonce: ``NONCE`` random bytes, never used before.
            limit: Bytes that a message may have once the peer is known.
        """
        self.state = "hello"
        self.peer = ""
        self._role = role
        self._key = key
        self._origin = origin
        self._nonce = nonce
        self._limit = limit
        self._framer = Framer(MAX_HELLO)
        self._nonces = b""
        self._sent = self._taken = 0
        self._send_key = self._take_key = b""

    def start(self) -> bytes:
        """Give what the dialer sends first."""
        return frame(_pack(["hello", VERSION, self._origin, self._nonce]))

    def receive(self, data: bytes) -> Iterator[Message | bytes]:
        """Take bytes that have come.

        Yields:
            Messages, the first of which is ``["open"]`` once the peer is known; and bytes, which are to be sent.

        Raises:
            PeerError: See above; the state is ``closed`` then.
        """
        self._framer.feed(data)
        try:
            while self.state != "closed" and (body := self._framer.next()) is not None:
                if self.state == "open":
                    yield _unpack(self._opened(body))
                    continue
                answer = self._greet(_unpack(body))
                if answer:
                    yield answer
                if self.state == "open":
                    yield ["open"]
        except (FramingError, PeerError) as error:
            self.state = "closed"
            raise PeerError(str(error)) from None

    def seal(self, body: bytes) -> bytes:
        """Give the frame of a packed message."""
        code = hmac.digest(self._send_key, self._sent.to_bytes(8, "big") + body, "sha256")[:MAC]
        self._sent += 1
        return frame(body + code)

    def _opened(self, frame: bytes) -> bytes:
        body, code = frame[:-MAC], frame[-MAC:]
        wanted = hmac.digest(self._take_key, self._taken.to_bytes(8, "big") + body, "sha256")[:MAC]
        if not hmac.compare_digest(code, wanted):
            raise PeerError("a frame is not the peer's")
        self._taken += 1
        return body

    def _greet(self, message: Message) -> bytes:
        """Take a message of somebody who has not shown yet who they are; give the answer."""
        match self._role, self.state, message:
            case "acceptor", "hello", ["hello", int(version), str(peer), bytes(nonce)] if len(nonce) == NONCE:
                self._meet(version, peer, nonce + self._nonce)
                self.state = "proof"
                return frame(_pack(["hello", VERSION, self._origin, self._nonce, self._proof("acceptor")]))
            case "acceptor", "proof", ["proof", bytes(proof)]:
                self._verify(proof, "dialer")
                self._open()
                return b""
            case "dialer", "hello", ["hello", int(version), str(peer), bytes(nonce), bytes(proof)] if (
                len(nonce) == NONCE
            ):
                self._meet(version, peer, self._nonce + nonce)
                self._verify(proof, "acceptor")
                answer = frame(_pack(["proof", self._proof("dialer")]))
                self._open()
                return answer
        raise PeerError(f"a message that is not expected in the state {self.state}")

    def _meet(self, version: int, peer: str, nonces: bytes) -> None:
        if version != VERSION:
            raise PeerError(f"the peer speaks version {version}, not {VERSION}")
        if not 0 < len(peer) <= 32 or not peer.isascii():
            raise PeerError("the peer has no proper name")
        self.peer = peer
        self._nonces = nonces

    def _proof(self, role: Role) -> bytes:
        dialer, acceptor = (self._origin, self.peer) if self._role == "dialer" else (self.peer, self._origin)
        text = f"totohio events {VERSION} {role}\0{dialer}\0{acceptor}\0".encode()
        return hmac.digest(self._key, text + self._nonces, "sha256")

    def _verify(self, proof: bytes, role: Role) -> None:
        if not hmac.compare_digest(proof, self._proof(role)):
            raise PeerError("the peer has another key")

    def _open(self) -> None:
        mine, theirs = (b"dialer", b"acceptor") if self._role == "dialer" else (b"acceptor", b"dialer")
        secret = hmac.digest(self._key, b"totohio events frames\0" + self._nonces, "sha256")
        self._send_key = hmac.digest(secret, mine, "sha256")
        self._take_key = hmac.digest(secret, theirs, "sha256")
        self._framer.limit = self._limit + OVERHEAD + MAC
        self.state = "open"


def key_of(secret: str) -> bytes:
    """Give the key that a secret text stands for."""
    return hashlib.sha256(b"totohio events\0" + secret.encode()).digest()


def pack(*message: Any) -> bytes:
    """Give a message as it is sealed."""
    return _pack(list(message))


def _pack(message: Message) -> bytes:
    return msgspec.msgpack.encode(message)


def _unpack(body: bytes) -> Message:
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise PeerError("a message is no list in MessagePack") from None
    return found


_decoder = msgspec.msgpack.Decoder(list[Any])
