"""A totohio server whose cycles you run yourself, in tyme that goes as fast as you like: for tests and simulations.

``python drive_by_recur.py`` calls a method that waits for half a minute, twice, and is done in a moment.
"""

import contextlib
import socket

from hio.base import doing

from totohio import TotoServer

CYCLES = 2000  # at most: half a minute is 960 cycles of 1/32 second


def call(server, cycle):
    """Send a request, run cycles until the reply is there, and give its last line."""
    with socket.create_connection(server.address, timeout=10) as client:
        client.sendall(b"GET /patient HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")
        client.setblocking(False)
        reply = b""
        for _ in range(CYCLES):
            cycle()
            with contextlib.suppress(BlockingIOError):
                data = client.recv(65536)
                if not data:
                    break
                reply += data
    return reply.splitlines()[-1].decode()


def by_its_own_doers():
    """The Doist owns its Doers: `enter`, `recur`, `exit`."""
    server = TotoServer(method_module="desk", port=0)
    doist = doing.Doist(real=False, tock=0.03125, doers=server.doers)
    doist.enter()
    try:
        print(call(server, doist.recur), f"after {doist.tyme:.0f} seconds of tyme")
    finally:
        doist.exit()


def by_deeds():
    """The Doist is given Doers and gives back deeds, as the tests of KERI applications do."""
    server = TotoServer(method_module="desk", port=0)
    doist = doing.Doist(real=False, tock=0.03125)
    deeds = doist.enter(doers=server.doers)
    try:
        print(call(server, lambda: doist.recur(deeds=deeds)), f"after {doist.tyme:.0f} seconds of tyme")
    finally:
        doist.exit(deeds=deeds)


by_its_own_doers()
by_deeds()
