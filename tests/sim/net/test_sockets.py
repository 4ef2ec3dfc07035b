"""The simulated sockets keep what the suites say of the machine's, however rough the network is."""

from collections.abc import Iterator

import pytest

from tests.sim.benches import SimBench, SimLoopBench, SimUnixBench, calm
from tests.socket_suite import SocketSuite
from tests.socket_suite_kinds import TcpSuite, UnixSuite

ROUGH = [("still", 0), *((name, seed) for name in ("sunny", "stormy", "radioactive") for seed in range(3))]


class TestSimTcp(SocketSuite, TcpSuite):
    """Between two hosts."""

    @pytest.fixture(params=ROUGH, ids=lambda param: "-".join(map(str, param)))
    def bench(self, request: pytest.FixtureRequest) -> Iterator[SimBench]:
        name, seed = request.param
        bench = SimBench(calm(name), seed)
        yield bench
        bench.close()


class TestSimLoopback(SocketSuite, TcpSuite):
    """Within one host."""

    @pytest.fixture(params=["still", "radioactive"])
    def bench(self, request: pytest.FixtureRequest) -> Iterator[SimLoopBench]:
        bench = SimLoopBench(calm(request.param))
        yield bench
        bench.close()


class TestSimUnix(SocketSuite, UnixSuite):
    """Within one host, at paths."""

    @pytest.fixture(params=["still", "radioactive"])
    def bench(self, request: pytest.FixtureRequest) -> Iterator[SimUnixBench]:
        bench = SimUnixBench(calm(request.param))
        yield bench
        bench.close()
