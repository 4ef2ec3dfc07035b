"""Standard output that somebody may have closed."""

import contextlib
import os
import sys


def silence() -> None:
    """Send what is still to be printed nowhere: whoever read our output is gone."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
