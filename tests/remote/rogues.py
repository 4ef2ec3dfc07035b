"""A server that means no good to its clients."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import msgpack

from tests.processes import LONG
from tests.remote.peers import packed
from totohio.core.hashing import MOST_ROUNDS
from totohio.wire.framing import Framer

Say = Callable[[dict[str, Any]], "bytes | None"]


class Rogue:
    """A server that answers each request with whatever bytes a test wants, on one connection after another.

    Attributes:
        url: Where it is.
        heard: What it was sent.
    """

    def __init__(self, say: Say) -> None:
        self.heard: list[dict[str, Any]] = []
        self._say = say
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"totohio://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with sock, contextlib.suppress(ConnectionError):
                    self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        framer = Framer(1 << 24)
        sock.settimeout(LONG)
        while data := sock.recv(65536):
            framer.feed(data)
            while (body := framer.next()) is not None:
                message = msgpack.unpackb(body, strict_map_key=False)
                self.heard.append(message)
                said = self._say(message)
                if said is None:
                    return
                sock.sendall(said)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(LONG)
        assert not self._thread.is_alive()


def welcoming(say: Say) -> Say:
    """A server that lets in by session id whoever comes, and then says what a test wants."""

    def answer(message: dict[str, Any]) -> "bytes | None":
        match message:
            case {"i": number, "o": "hello"}:
                return packed({"r": number, "v": {"version": 1, "nonce": b"n" * 16, "max_frame": 1 << 20}})
            case {"i": number, "o": "present"}:
                return packed({"r": number, "v": ["ada", None, ["add"], 60.0]})
        return say(message)

    return answer


CHALLENGES: list[Any] = [
    None,
    1,
    "x",
    [],
    {},
    {"algorithm": "plain"},
    {"algorithm": "pbkdf2-sha1", "rounds": MOST_ROUNDS + 1, "salt": b"s", "size": 24},
    {"algorithm": "pbkdf2-sha1", "rounds": 0, "salt": b"s", "size": 24},
    {"algorithm": "pbkdf2-sha1", "rounds": 1, "salt": b"s", "size": 1},
    {"algorithm": "argon2id", "version": 19, "memory": 2**40, "time": 1, "lanes": 1, "salt": b"s" * 16, "size": 32},
    {"algorithm": "argon2id", "version": 19, "memory": 64, "time": 2**40, "lanes": 1, "salt": b"s" * 16, "size": 32},
    {"algorithm": "argon2id", "version": 19, "memory": 64, "time": 1, "lanes": 0, "salt": b"s" * 16, "size": 32},
    {"algorithm": "argon2id", "version": 19, "memory": 64, "time": 1, "lanes": 1, "salt": b"s" * 16, "size": 2**40},
    {"algorithm": "argon2id", "version": -1, "memory": 64, "time": 1, "lanes": 1, "salt": b"", "size": 32},
]
