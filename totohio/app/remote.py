"""The options of lent objects: a part of the table in `settings`."""

from dataclasses import dataclass

from totohio.app.options import LINE, MODULE, ROUTE, Shape, option

MIB = 1024 * 1024
LARGEST = 2**31 - 1  # bytes: what a length of 4 bytes can say, and a socket of ours takes
MOST = 1_000_000  # things
LONGEST = 1_000_000  # seconds

REMOTE = "Remote objects"
MODULES = Shape("dotted names of modules, separated by commas", r"[\w., ]*")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Options of lent objects; `settings.Settings` has them all."""

    remote_enabled: bool = option(
        False, REMOTE, "Lends objects to users over TCP; needs a database, whose accounts say who they are."
    )
    remote_host: str = option(
        "127.0.0.1", REMOTE, "The address on which it listens for that; with an empty text all.", shape=LINE
    )
    remote_port: int = option(8890, REMOTE, "The port; 0 for any that is free.", least=0, most=65535)
    remote_path: str = option(
        "", REMOTE, "The path at which the same is spoken over WebSockets; an empty text for none.", shape=ROUTE
    )
    remote_module: str | None = option(
        None,
        REMOTE,
        "The module whose names everybody is lent: what in it is marked with @lend, and instances of such classes.",
        shape=MODULE,
    )
    remote_modules: str = option(
        "",
        REMOTE,
        "Modules of which everybody is lent all public names, separated by commas, such as math, statistics.",
        shape=MODULES,
    )
    remote_role: str = option(
        "", REMOTE, "The role that a user needs for that; an empty text lets every user in.", shape=LINE
    )
    remote_review: float = option(
        60.0,
        REMOTE,
        "How often it is looked whether a user may still have a session, and which roles it has now; 0 for never.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    remote_exec: bool = option(
        False,
        REMOTE,
        "Carries out statements that users with remote_exec_role send: whatever they like, as the server's own user.",
    )
    remote_exec_role: str = option("admin", REMOTE, "The role that a user needs for that.", shape=LINE)
    remote_exec_timeout: float = option(
        10.0,
        REMOTE,
        "How long such statements may take; then the session is ended.",
        unit="seconds",
        least=0.001,
        most=LONGEST,
    )
    remote_timeout: float = option(
        60.0, REMOTE, "How long a call may take; 0 for any time.", unit="seconds", least=0, most=LONGEST
    )
    remote_lease: float = option(
        180.0,
        REMOTE,
        "How long objects stay lent to a client that says nothing; clients of ours say something thrice in that time.",
        unit="seconds",
        least=0.1,
        most=LONGEST,
    )
    remote_max_frame: int = option(
        1 * MIB, REMOTE, "How large a message may be.", unit="bytes", least=4096, most=LARGEST
    )
    remote_max_references: int = option(
        10_000, REMOTE, "How many objects may be lent to a session.", unit="objects", least=1, most=MOST
    )
    remote_max_calls: int = option(
        1000,
        REMOTE,
        "How many calls of a session may be under way, with those that were given up and still have a thread.",
        unit="calls",
        least=1,
        most=MOST,
    )
    remote_max_sessions: int = option(
        10_000,
        REMOTE,
        "How many sessions there may be, or connections that are to be one.",
        unit="sessions",
        least=1,
        most=MOST,
    )
    remote_rate: float = option(
        0.0,
        REMOTE,
        "How many requests of a session are carried out in a second; 0 for any number.",
        unit="1/s",
        least=0,
        most=MOST,
    )
    remote_threads: int = option(
        8,
        REMOTE,
        "How many worker threads call what is lent with thread=True; a session has at most half of them, rounded up, "
        "and all sessions of a user have all but one.",
        unit="threads",
        least=1,
        most=1000,
    )
