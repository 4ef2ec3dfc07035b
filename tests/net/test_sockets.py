"""The machine's own sockets and poller keep what the suites say, by which the simulated ones are judged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benches import KernelBench, KernelUnixBench
from tests.poller_suite import PollerSuite
from tests.socket_suite import SocketSuite
from tests.socket_suite_kinds import TcpSuite, UnixSuite


class TestKernelTcp(SocketSuite, TcpSuite, PollerSuite):
    """The machine's loopback."""

    @pytest.fixture
    def bench(self) -> Iterator[KernelBench]:
        bench = KernelBench()
        yield bench
        bench.close()


class TestKernelUnix(SocketSuite, UnixSuite, PollerSuite):
    """The machine's Unix sockets."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[KernelUnixBench]:
        bench = KernelUnixBench(tmp_path)
        yield bench
        bench.close()
