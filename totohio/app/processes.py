"""The options of processes and of what watches them: a part of the table in `settings`."""

import os
from dataclasses import dataclass
from typing import Any

from totohio.app.options import FILE, ROUTE, option
from totohio.base.errors import SettingsError

PROCESSES = "Processes"
LONGEST = 1_000_000  # seconds


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Options of processes; `settings.Settings` has them all."""

    processes: int = option(
        1,
        PROCESSES,
        "How many processes serve, all on one port; -1 for one on each processor that this one may use. With more than "
        "one, another process watches them: it starts each again that ends, and on SIGHUP all, one after the other.",
        unit="processes",
        least=-1,
        most=4096,
    )
    hang_timeout: float = option(
        60.0,
        PROCESSES,
        "How long one of several processes may stand still, in a method that does not return, say, until it is killed "
        "and another is started; where it stood is logged. 0 for any time.",
        unit="seconds",
        least=0,
        most=LONGEST,
    )
    pidfile: str | None = option(
        None,
        PROCESSES,
        "A file in which the number of the process stands, and which it locks, as long as it runs; with --daemon "
        "totohio.pid unless this says otherwise.",
        shape=FILE,
    )
    log_file: str | None = option(
        None,
        PROCESSES,
        "The file to which the log of a server is added that runs with --daemon; totohio.log unless this says "
        "otherwise.",
        shape=FILE,
    )
    health_path: str = option(
        "/-/health",
        PROCESSES,
        "The path at which a GET tells whether the process lives: status 200 as long as it answers at all. An empty "
        "text for none.",
        shape=ROUTE,
    )
    ready_path: str = option(
        "/-/ready",
        PROCESSES,
        "The path at which a GET tells whether calls would be answered: status 200, or 503 while the server goes down "
        "or its store cannot be reached. An empty text for none.",
        shape=ROUTE,
    )


def processes(settings: Any) -> int:
    """Give how many processes the settings ask for.

    Raises:
        SettingsError: What they ask for besides goes with one process only.
    """
    count = settings.processes
    if count < 0:
        count = len(os.sched_getaffinity(0))
    if count <= 1:
        return 1
    for name, reason in (("record", "each process would write to the same file"), ("autoreload", "send SIGHUP")):
        if getattr(settings, name):
            raise SettingsError(f"{name}: goes with processes: 1 only; {reason}")
    if settings.database == "memory":
        raise SettingsError("database: memory goes with processes: 1 only; others would not see what is in it")
    if settings.event_bus == "memory":
        raise SettingsError("event_bus: memory goes with processes: 1 only; events would not reach the others")
    return int(count)
