"""A simulated hour of load on a server whose method waits for its only worker thread.

Calls come at random, 200 a second, whether others have been answered or not. Each needs the thread for 4 ms on
average, and is answered with error 1014 when it has not been done after 50 ms. ``python load.py`` says what became of
them and draws ``load.svg``; ``python load.py --seconds 60`` simulates one minute only.
"""

import argparse
import math
import time

from totohio import TaskQueue
from totohio.sim import World

RATE = 200.0  # calls a second, on average
MEAN = 0.004  # seconds that one needs the thread, on average
PATIENCE = 0.05  # seconds until error 1014


def query():
    """Stand for a query of a database. It does nothing here; the world says how long it takes."""


def invoke(handler, parameters):
    """Wait for the thread."""
    yield TaskQueue.instance("database").yield_task(query)


def simulate(seconds):
    """Give what became of the calls."""
    with World(seed=1, faults="still") as world:
        dice = world.dice.branch("query")
        world.takes("query", lambda: dice.exponential(MEAN))
        server = world.server(methods={"look": invoke}, async_timeout=PATIENCE)
        return world.load(server, "look", rate=RATE, seconds=seconds)


parser = argparse.ArgumentParser(description="Simulate load.")
parser.add_argument("--seconds", type=float, default=3600.0, help="how long calls come [3600]")
seconds = parser.parse_args().seconds

start = time.perf_counter()
load = simulate(seconds)
real = time.perf_counter() - start

count = len(load.samples)
print(f"{count} calls in {seconds:g} simulated seconds, {real:.1f} real ones")
for outcome, number in load.outcomes().items():
    print(f"{outcome:8} {number:8}  {number / count:6.2%}")
print(f"expected of 1014: {math.exp((RATE - 1 / MEAN) * PATIENCE):.2%}, as of any queue of this kind")
for share in (0.5, 0.9, 0.99):
    print(f"{share:.0%} of those answered took at most {load.percentile(share) * 1000:.1f} ms")
load.plot("load.svg", "200 calls a second, 4 ms each, one thread")
