"""RPyC's threaded server, as its documentation shows it."""

import sys

import rpyc
from rpyc.utils.server import ThreadedServer


class Lender(rpyc.Service):
    """What a client gets when it connects."""

    def exposed_add(self, a: int, b: int) -> int:
        """Add two numbers."""
        return a + b


if __name__ == "__main__":
    ThreadedServer(Lender, hostname="127.0.0.1", port=int(sys.argv[1])).start()
