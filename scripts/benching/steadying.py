"""Steadies figures: what was measured while the hypervisor gave the cores to others is measured again."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

STAT = Path("/proc/stat")
STOLEN = 8  # field of the line of all processors, as proc_stat(5) counts them
LIMIT = 0.02  # of a core, that may be taken away during a measurement
TRIES = 4

Found = TypeVar("Found")


def stolen() -> float:
    """Give the seconds, of all cores, that the hypervisor has given to others since the machine started."""
    with STAT.open() as file:
        return int(file.readline().split()[STOLEN]) / os.sysconf("SC_CLK_TCK")


class Steadier:
    """Makes measurements, and those that were disturbed again; what they found has no say in that.

    Attributes:
        count: Measurements that were kept.
        repeated: Times that something was measured again.
        worst: The largest share of a core that was taken away during one that was kept.
    """

    def __init__(self) -> None:
        self.count = 0
        self.repeated = 0
        self.worst = 0.0

    def measure(self, job: Callable[[], Found]) -> Found:
        """Give what a job has found while it was disturbed at most by so much, or the least in all tries."""
        kept, least = self._attempt(job)
        for _ in range(TRIES - 1):
            if least <= LIMIT:
                break
            print(f"disturbed: {least:.1%} of a core was taken away, measured again", file=sys.stderr)
            self.repeated += 1
            found, share = self._attempt(job)
            if share < least:
                kept, least = found, share
        self.count += 1
        self.worst = max(self.worst, least)
        return kept

    @staticmethod
    def _attempt(job: Callable[[], Found]) -> tuple[Found, float]:
        """Give what a job has found, and the share of a core that was taken away meanwhile."""
        before, start = stolen(), time.monotonic()
        found = job()
        return found, (stolen() - before) / (time.monotonic() - start)

    def said(self) -> str:
        """Give the sentences for a page."""
        return (
            f"A measurement during which the hypervisor took more than {LIMIT:.0%} of a core away is made again, "
            f"up to {TRIES - 1} times, and the least disturbed is kept: here {self.count} were kept, {self.repeated} "
            f"were not, and of those kept none lost more than {self.worst:.1%}."
        )
