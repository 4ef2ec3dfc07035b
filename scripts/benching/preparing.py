"""Gets the machine ready for the bench."""

import os
import resource
import sys

from peers import CLIENT_CORE, CROWD, SERVER_CORE

SPARE_FILES = 500  # descriptors beside the connections


def prepare() -> None:
    """Take the core of the clients, and the descriptors that the idle connections need.

    Raises:
        SystemExit: The machine has not got them.
    """
    if not {SERVER_CORE, CLIENT_CORE} <= os.sched_getaffinity(0):
        sys.exit(f"the bench needs the cores {SERVER_CORE} and {CLIENT_CORE}")
    os.sched_setaffinity(0, {CLIENT_CORE})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CROWD + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"the bench needs {needed} open files, and only {hard} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(needed, 2 * CROWD) if hard > 2 * CROWD else hard, hard))
