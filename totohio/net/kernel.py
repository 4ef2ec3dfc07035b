"""The Environment of production."""

import socket
from collections.abc import Mapping

from totohio.base.clocking import Clock, Minter
from totohio.base.environing import Environment
from totohio.net.linking import Address
from totohio.net.networking import KernelNetwork
from totohio.net.offloading import KernelThreads


def kernel_environment(handed: Mapping[Address, socket.socket] | None = None) -> Environment:
    """The Environment of production: the machine's own clock, randomness, network and threads.

    Args:
        handed: Listening sockets that somebody else has made, by the addresses for which they stand.
    """
    threads, network = KernelThreads(), KernelNetwork()
    if handed is not None:
        network.handed.update(handed)
    environment = Environment(clock=Clock(), minter=Minter(), network=network, threads=threads)
    threads.environment = environment
    return environment
