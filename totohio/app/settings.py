"""Every option of totohio, in one table.

The table is the class `Settings` itself: a field's annotation is the option's type, its metadata the
rest. Validation, ``--help``, the names in the environment and the reference page all come from here,
so an option is added by adding one field.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from totohio.app.events import EVENTS, STREAMS, Events
from totohio.app.options import FIELDS, FILE, FUNCTION, LINE, MODULE, ORIGIN, ROOT, Option, option
from totohio.app.processes import PROCESSES, Processes
from totohio.app.remote import REMOTE, Remote
from totohio.app.security import COOKIES, PASSWORDS, SESSIONS, SIGNATURES, STORES, Security
from totohio.app.sockets import SOCKETS, Sockets

KIB = 1024
MIB = 1024 * KIB
LONGEST = 1_000_000  # seconds, eleven days: the kernel's pollers cannot wait longer than twenty-four
LARGEST = 2**40  # bytes or things: no buffer or table of ours can be larger

LISTENING = "Listening"
METHODS = "Methods"
FORMATS = "Formats"
LIMITS = "Limits"
TIMEOUTS = "Timeouts"
RUNNING = "Running"
RECORDING = "Recording"
ORDER = (
    LISTENING,
    METHODS,
    FORMATS,
    STORES,
    SESSIONS,
    PASSWORDS,
    SIGNATURES,
    COOKIES,
    EVENTS,
    STREAMS,
    SOCKETS,
    REMOTE,
    LIMITS,
    TIMEOUTS,
    PROCESSES,
    RUNNING,
    RECORDING,
)


@dataclass(frozen=True, kw_only=True)
class Settings(Security, Events, Sockets, Remote, Processes):
    """The options of one server; make it with `totohio.app.configuring.load`, which validates.

    Attributes:
        folder: The absolute path of the configuration file's folder, or None without a file.
        sources: Where each value came from: "default", "argument", the name of the configuration file,
            a variable such as "TOTOHIO_PORT", or an option of the command line such as "--port".
    """

    host: str = option(
        "127.0.0.1",
        LISTENING,
        "The address or name to listen on; an empty text means all interfaces, IPv4 and IPv6.",
        shape=LINE,
    )
    port: int = option(
        8888, LISTENING, "The TCP port to listen on; 0 lets the system choose a free one.", least=0, most=65535
    )
    uds: str | None = option(
        None, LISTENING, "The path of a Unix socket to listen on instead of a host and port.", shape=FILE
    )
    certfile: str | None = option(
        None,
        LISTENING,
        "A PEM file with the certificate chain, and the private key unless keyfile names it. It switches TLS on.",
        shape=FILE,
    )
    keyfile: str | None = option(None, LISTENING, "A PEM file with the private key of certfile.", shape=FILE)
    cafile: str | None = option(
        None,
        LISTENING,
        "A PEM file with authorities; with it, clients must show a certificate that one of them signed.",
        shape=FILE,
    )
    backlog: int = option(
        1024,
        LISTENING,
        "How many connections the kernel keeps waiting until they are accepted.",
        unit="connections",
        least=1,
        most=65535,
    )

    root: str = option("/", METHODS, "The path under which methods are found.", shape=ROOT)
    method_module: str = option("methods", METHODS, "The package that holds the methods.", shape=MODULE)
    method_select: Literal["both", "url", "parameter"] = option(
        "both",
        METHODS,
        'Where the name of the method stands: in the path (url), in the body as "method" (parameter), '
        "or in either (both), where the path wins.",
    )
    startup_function: str | None = option(
        None,
        METHODS,
        "A function, as module.function, that is called before the server listens, with the keyword arguments "
        "settings, server and db_connection.",
        shape=FUNCTION,
    )
    allow_origin: str = option(
        "*",
        METHODS,
        "The value of the header Access-Control-Allow-Origin: which web pages may read replies.",
        shape=ORIGIN,
    )
    debug: bool = option(
        False,
        METHODS,
        "Logs expected errors (TotoException) too, in one line each. Unexpected ones are logged with their traceback, "
        "and clients are sent the texts of both, in any case. For development.",
    )
    msgpack_enabled: bool = option(
        False, FORMATS, "Takes bodies of type application/msgpack and answers them in the same format."
    )
    bson_enabled: bool = option(
        False,
        FORMATS,
        "Takes bodies of type application/bson and answers them in the same format. It needs the extra totohio[bson].",
    )

    max_connections: int = option(
        10_000,
        LIMITS,
        "How many clients may be connected at once; beyond it, one that waits for its next request is closed for a new "
        "one, or the new one gets status 503.",
        unit="connections",
        least=1,
        most=LARGEST,
    )
    max_header_size: int = option(
        16 * KIB,
        LIMITS,
        "How large the request line and the headers of a request may be together; beyond it status 431.",
        unit="bytes",
        least=256,
        most=LARGEST,
    )
    max_headers: int = option(
        100,
        LIMITS,
        "How many headers a request may have; beyond it status 431.",
        unit="headers",
        least=1,
        most=LARGEST,
    )
    max_uri_size: int = option(
        8 * KIB,
        LIMITS,
        "How long a path with its query may be; beyond it status 414.",
        unit="bytes",
        least=1,
        most=LARGEST,
    )
    max_body_size: int = option(
        10 * MIB,
        LIMITS,
        "How large the body of a request may be; beyond it status 413.",
        unit="bytes",
        least=0,
        most=LARGEST,
    )
    max_write_buffer: int = option(
        1 * MIB,
        LIMITS,
        "How much of its replies a client may leave unread before nothing more is read from it.",
        unit="bytes",
        least=1,
        most=LARGEST,
    )
    max_stream_buffer: int = option(
        16 * MIB,
        LIMITS,
        "How much of a reply that a method sends in pieces may wait for its client before the next piece is an error.",
        unit="bytes",
        least=1,
        most=LARGEST,
    )
    max_batch: int = option(
        10_000,
        LIMITS,
        "How many entries a batch may have; beyond it error 1011.",
        unit="entries",
        least=1,
        most=LARGEST,
    )
    batch_slice: int = option(
        200,
        LIMITS,
        "How many entries of batches run in one cycle, before other clients have their turn.",
        unit="entries",
        least=1,
        most=LARGEST,
    )

    request_timeout: float = option(
        30.0,
        TIMEOUTS,
        "How long a request may take to arrive from its first byte to its last; 0 for any time.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    idle_timeout: float = option(
        75.0,
        TIMEOUTS,
        "How long a connection may wait for its next request; 0 for any time.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    write_timeout: float = option(
        30.0,
        TIMEOUTS,
        "How long a client may take to accept any more of its reply; 0 for any time.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    handshake_timeout: float = option(
        10.0, TIMEOUTS, "How long a TLS handshake may take; 0 for any time.", unit="seconds", least=0, most=LONGEST
    )
    async_timeout: float = option(
        3600.0,
        TIMEOUTS,
        "How long an asynchronous method may leave its client waiting before error 1014; 0 for any time.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    drain_timeout: float = option(
        10.0,
        TIMEOUTS,
        "How long calls that run may take to end after SIGTERM, before the server ends without them.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )

    autoreload: bool = option(
        False,
        RUNNING,
        "Starts the server again when a method module or the configuration file changes; when they cannot be loaded, "
        "it waits for their next change. For development.",
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = option(
        "info", RUNNING, "The least important kind of log line that is written; calls are logged at info."
    )
    log_format: Literal["text", "json"] = option(
        "text", RUNNING, "How log lines are written: for people (text), or as one JSON object a line (json)."
    )

    record: str | None = option(
        None,
        RECORDING,
        "A new file in which requests and replies are kept, with secrets masked, for totohio replay; {time} in its "
        "name stands for the time of the start.",
        shape=FILE,
    )
    record_max_size: int = option(
        256 * MIB,
        RECORDING,
        "How large the file of record may become; then nothing more is kept.",
        unit="bytes",
        least=4 * KIB,
        most=LARGEST,
    )
    record_max_body: int = option(
        64 * KIB,
        RECORDING,
        "How large a body may be that is kept; of a larger one only its size and hash are.",
        unit="bytes",
        least=0,
        most=LARGEST,
    )
    record_mask: str = option(
        "",
        RECORDING,
        "More names of fields whose values are masked, separated by commas; one with a minus before it is not masked.",
        shape=FIELDS,
    )

    folder: str | None = None
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)


def _rows() -> Mapping[str, Option]:
    """Read the table off the class."""
    hints = typing.get_type_hints(Settings)
    rows = {}
    for field in dataclasses.fields(Settings):
        if not field.metadata:
            continue
        kinds = typing.get_args(hints[field.name]) or (hints[field.name],)
        literal = typing.get_origin(hints[field.name]) is Literal
        rows[field.name] = Option(
            name=field.name,
            kind=str if literal else kinds[0],
            optional=types.NoneType in kinds,
            choices=kinds if literal else (),
            default=field.default,
            **field.metadata,
        )
    return types.MappingProxyType(rows)


OPTIONS: Mapping[str, Option] = _rows()


def groups() -> dict[str, list[Option]]:
    """Give the options under their headings, in the order in which people look for them."""
    found: dict[str, list[Option]] = {group: [] for group in ORDER}
    for row in OPTIONS.values():
        found.setdefault(row.group, []).append(row)
    return found


def reference() -> str:
    """Write the reference page of the options, in Markdown."""
    lines = [
        "# Settings",
        "",
        "Options come from five places; a later one wins over those before it: the defaults below, keyword",
        "arguments of `TotoServer`, the configuration file (flat YAML, `name: value`), the environment, the command",
        "line. `totohio settings settings.yaml` shows the values that hold and where each came from. An unknown",
        "option is an error. Paths are taken from the working directory.",
    ]
    for group, rows in groups().items():
        lines += ["", f"## {group}", ""]
        for row in rows:
            lines += [f"### `{row.name}`", "", row.doc, ""]
            takes = row.expected + (", or nothing" if row.optional else "")
            lines += [
                f"- Takes {takes}.",
                f"- Default: `{row.shown(row.default)}`.",
                f"- Environment: `{row.variable}`. Command line: `{_usage(row)}`.",
                "",
            ]
        lines.pop()
    return "\n".join(lines) + "\n"


def _usage(row: Option) -> str:
    return f"{row.flag}`, `{row.flag.replace('--', '--no-', 1)}" if row.kind is bool else f"{row.flag} VALUE"
