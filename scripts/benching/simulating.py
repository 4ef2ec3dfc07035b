"""Measures the simulation beside another kit's: three clients that call ten times each, in fresh worlds, on one core.

simloop simulates asyncio at its stream API, so there a call is a line and its answer over a stream; ours is a
request and reply in HTTP through the whole server. Rounds alternate, and the ratio is taken round by round.
"""

import argparse
import asyncio
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from statistics import median

import simloop
from tabulate import tabulate

from totohio.sim import Client, World, explore

CLIENTS = 3
CALLS = 10
ROUNDS = 7
SEEDS = 150  # in a round, after a few for warming up
WARMING = 10
DAY = 86_400.0  # seconds


def add(handler: object, parameters: dict[str, int]) -> int:
    """The method that is called."""
    return parameters["a"] + 1


def ours(world: World) -> None:
    """One seed of ours."""
    server = world.server(methods={"add": add})

    def script(client: Client):
        for number in range(CALLS):
            assert (yield client.call("add", {"a": number})) == number + 1

    world.visit(server, script, clients=CLIENTS)


async def theirs() -> None:
    """One seed of simloop's."""
    loop = asyncio.get_running_loop()
    loop.net.set_defaults(latency=(0.0001, 0.001))
    ready = asyncio.Event()

    async def serve() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(b"%d\n" % (int(line) + 1))
            writer.close()

        server = await asyncio.start_server(handle, port=8080)
        ready.set()
        async with server:
            await server.serve_forever()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("server", 8080)
        for number in range(CALLS):
            writer.write(b"%d\n" % number)
            assert int(await reader.readline()) == number + 1
        writer.close()

    task = loop.net.host("server").create_task(serve())
    await ready.wait()
    await asyncio.gather(*(loop.net.host(f"client-{number}").create_task(client()) for number in range(CLIENTS)))
    task.cancel()


def explore_theirs(seeds: int) -> None:
    """Run simloop over so many seeds.

    Raises:
        RuntimeError: One failed.
    """
    report = simloop.explore(theirs, range(seeds))
    if report is not None:
        raise RuntimeError(f"simloop: {report}")


def explore_ours(seeds: int) -> None:
    """Run ours over so many seeds."""
    explore(ours, seeds, faults="sunny", check_determinism=False)


def rate(run: Callable[[int], object]) -> float:
    """Give seeds a second of CPU time."""
    run(WARMING)
    start = time.process_time()
    run(SEEDS)
    return SEEDS / (time.process_time() - start)


def idle_day() -> float:
    """Give the seconds that a day of an idle server costs, whose one client calls every minute."""
    start = time.process_time()
    with World(faults="still") as world:
        server = world.server(methods={"add": add})

        def script(client: Client):
            for number in range(int(DAY / 60.0)):
                yield client.call("add", {"a": number})
                yield 60.0

        client = world.client(server)
        world.spawn(script(client), on=client)
        world.run(DAY)
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench --simulation", description="Measure the simulation.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many rounds [{ROUNDS}]")
    rounds = parser.parse_args().rounds
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = [(rate(explore_ours), rate(explore_theirs), idle_day()) for _ in range(rounds)]
    mine, others, days = zip(*figures, strict=True)
    ratios = [one / other for one, other in zip(mine, others, strict=True)]
    rows = [
        ["totohio.sim, seeds/s", *spread(mine, ".0f")],
        [f"simloop {version('simloop')}, seeds/s", *spread(others, ".0f")],
        ["ratio", *spread(ratios, ".2f")],
        ["an idle day, seconds", *spread(days, ".2f")],
    ]
    print(f"CPython {platform.python_version()}, {rounds} rounds of {SEEDS} seeds, one core, CPU time")
    print(tabulate(rows, ["", "median", "least", "most"], disable_numparse=True, tablefmt="github"))


def spread(values: tuple[float, ...] | list[float], form: str) -> list[str]:
    """Write the median and the ends of some values."""
    return [format(value, form) for value in (median(values), min(values), max(values))]


if __name__ == "__main__":
    main()
