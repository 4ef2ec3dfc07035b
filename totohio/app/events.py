"""The options of events and streams: a part of the table in `settings`."""

from dataclasses import dataclass
from typing import Literal

from totohio.app.options import FUNCTION, LINE, MODULE, option

MIB = 1024 * 1024
LARGEST = 2**40  # bytes or things: nothing of ours can be larger
LONGEST = 1_000_000  # seconds

EVENTS = "Events"
STREAMS = "Streams"


@dataclass(frozen=True, kw_only=True)
class Events:
    """Options of events; `settings.Settings` has them all."""

    event_mode: Literal["off", "on", "only"] = option(
        "off",
        EVENTS,
        "Whether events come from other hosts and go to them: not at all (off), beside serving (on), or without "
        "serving anything else (only). Within a server and between its processes they travel in any case.",
    )
    event_bus: Literal["auto", "memory", "peers", "redis"] = option(
        "auto",
        EVENTS,
        "How events travel: within the process (memory), over connections between processes (peers), or through the "
        "Redis server of database_url (redis). Auto takes peers where there are other processes or event_mode is on, "
        "and memory otherwise.",
    )
    event_host: str = option(
        "127.0.0.1", EVENTS, "The address on which other hosts connect to this one's events.", shape=LINE
    )
    event_port: int = option(
        8889, EVENTS, "The TCP port for that; 0 lets the system choose a free one.", least=0, most=65535
    )
    event_key: str | None = option(
        None,
        EVENTS,
        "A secret text that all hosts share whose events travel over connections between them; make it with "
        "openssl rand -base64 32. They show each other that they have it. Events are not encrypted on the way.",
        shape=LINE,
        secret=True,
    )
    remote_event_receivers: str = option(
        "",
        EVENTS,
        "Where other hosts take events, as HOST:PORT or tcp://HOST:PORT, separated by commas; the hosts are numeric "
        "addresses. Each host names all others.",
        shape=LINE,
    )
    event_max_size: int = option(
        1 * MIB,
        EVENTS,
        "How large the arguments of an event may be that goes to other processes.",
        unit="bytes",
        least=1024,
        most=1024 * MIB,
    )
    event_init_module: str | None = option(
        None,
        EVENTS,
        "A module whose function invoke is called with the EventManager before the server listens, to register "
        "handlers.",
        shape=MODULE,
    )
    event_queue: int = option(
        10_000,
        EVENTS,
        "How many events may wait in a process to be told; beyond it sending one is error 1013.",
        unit="events",
        least=1,
        most=LARGEST,
    )
    event_history: int = option(
        100,
        EVENTS,
        "How many events of each name are kept for clients that come again and ask what they have missed; 0 for none.",
        unit="events",
        least=0,
        most=LARGEST,
    )
    event_history_seconds: float = option(
        300.0, EVENTS, "How long events are kept for that.", unit="seconds", least=0, most=LONGEST
    )
    event_history_size: int = option(
        16 * MIB,
        EVENTS,
        "How much memory all events may take that are kept for that.",
        unit="bytes",
        least=0,
        most=LARGEST,
    )
    event_access_function: str | None = option(
        None,
        STREAMS,
        "A function, as module.function, that is called with a handler and a name or pattern, and gives true when that "
        "client may be told of these events. Without it the methods events.stream and events.poll refuse everybody.",
        shape=FUNCTION,
    )
    event_heartbeat: float = option(
        15.0,
        STREAMS,
        "After how long without anything to send a stream sends something, so that nobody takes it for dead; 0 for "
        "never.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    event_buffer: int = option(
        1000,
        STREAMS,
        "How many events may wait for a client that reads too slowly.",
        unit="events",
        least=1,
        most=LARGEST,
    )
    event_buffer_size: int = option(
        1 * MIB,
        STREAMS,
        "How much memory the events may take that wait for one client.",
        unit="bytes",
        least=1,
        most=LARGEST,
    )
    event_overflow: Literal["drop", "close"] = option(
        "drop",
        STREAMS,
        "What becomes of a client for which more waits: the oldest events are dropped, and it is told so (drop), or "
        "its stream ends, so that it comes again and asks what it has missed (close).",
    )
