"""Time in which nothing happens costs nothing."""

import time

from tests.sim.scenarios import METHODS
from totohio.sim.clients.asking import Client
from totohio.sim.worlding import Script, World

DAY = 86_400.0  # seconds
FAR = 60.0  # seconds of real time: only a simulation that waits, or polls its way through the day, takes as long


def test_a_day_of_an_idle_server_with_a_client_that_calls_every_minute_is_simulated_at_once() -> None:
    start = time.monotonic()
    with World(faults="still") as world:
        server = world.server(methods=METHODS)

        def script(client: Client) -> Script:
            for number in range(1440):
                assert (yield client.call("add", {"a": number})) == number + 1
                yield 60.0

        client = world.client(server)
        world.spawn(script(client), on=client)
        world.run(DAY)
        assert server.server is not None
        assert server.server.built.server.connections == 1, "the connection was not kept alive"
        assert world.tyme == DAY
    assert time.monotonic() - start < FAR
