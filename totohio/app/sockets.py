"""The options of WebSockets: a part of the table in `settings`."""

from dataclasses import dataclass
from typing import Literal

from totohio.app.options import LINE, MODULE, WORD, option

MIB = 1024 * 1024
LARGEST = 2**40  # bytes or things: nothing of ours can be larger
LONGEST = 1_000_000  # seconds

SOCKETS = "WebSockets"


@dataclass(frozen=True, kw_only=True)
class Sockets:
    """Options of WebSockets; `settings.Settings` has them all."""

    use_web_sockets: bool = option(False, SOCKETS, "Lets clients call methods over WebSockets, too.")
    web_socket_path: str = option("websocket", SOCKETS, "The path for that, below root.", shape=WORD)
    socket_method_module: str | None = option(
        None,
        SOCKETS,
        "The package of the methods that WebSockets may call; without it, that of method_module.",
        shape=MODULE,
    )
    web_socket_origins: str = option(
        "",
        SOCKETS,
        "Which pages of other origins may connect: origins such as https://example.org, separated by commas, or * for "
        "all. Pages of the server's own origin always may, and so may programs, which have none.",
        shape=LINE,
    )
    web_socket_ping: float = option(
        20.0,
        SOCKETS,
        "After how long without a word from a client it is asked whether it is there; 0 for never.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    web_socket_timeout: float = option(
        20.0,
        SOCKETS,
        "How long it may take to answer that, or a closing handshake; 0 for any time.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    web_socket_compression: bool = option(
        True, SOCKETS, "Compresses messages with clients that can (permessage-deflate)."
    )
    max_web_socket_message: int = option(
        1 * MIB,
        SOCKETS,
        "How large a message may be, before it was compressed; beyond it the connection is closed with code 1009.",
        unit="bytes",
        least=125,
        most=LARGEST,
    )
    max_web_socket_calls: int = option(
        100,
        SOCKETS,
        "How many calls of one client may be under way; beyond it nothing more is read from it until one is done.",
        unit="calls",
        least=1,
        most=LARGEST,
    )
    max_web_socket_buffer: int = option(
        1 * MIB,
        SOCKETS,
        "How much may wait for a client that reads too slowly.",
        unit="bytes",
        least=1,
        most=LARGEST,
    )
    web_socket_overflow: Literal["close", "drop"] = option(
        "close",
        SOCKETS,
        "What becomes of a client for which more waits: the connection is closed with code 1013 (close), or what would "
        "be too much is dropped (drop).",
    )
