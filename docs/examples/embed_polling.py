"""A totohio server beside an unrelated Doer, in a PollingDoist.

The same as `embed_stock.py`, but a call never waits for the next cycle: this Doist wakes when its socket is
ready, and sleeps until then, or until the next Doer is due. ``python embed_polling.py`` serves on a free port, calls
itself a few times, says what happened, and ends.
"""

import http.client
import json
import threading

from hio.base import doing

from totohio import PollingDoist, TotoServer

CALLS = 5
BEATS = 8


class Metronome(doing.Doer):
    """An ordinary Doer that knows nothing of servers: it beats eight times a second."""

    beats = 0

    def recur(self, tyme):
        self.beats += 1
        return self.beats == BEATS  # done


class Opened(doing.Doer):
    """Lets the customer in: Doers are entered in order, so when this one is entered, the server listens."""

    def enter(self, *, temp=None):
        threading.Thread(target=customer, daemon=True).start()

    def recur(self, tyme):
        return True


def customer():
    """Call the server from another thread, as a client elsewhere would, and let it end after the last reply."""
    try:
        connection = http.client.HTTPConnection(*server.address, timeout=10)
        for number in range(CALLS):
            connection.request("GET", f"/hello?name={number}")
            print(json.load(connection.getresponse())["result"], flush=True)
        connection.close()
    finally:
        server.drain()


server = TotoServer(method_module="desk", port=0)
metronome = Metronome(tock=0.125)
doist = PollingDoist(doers=[metronome, *server.doers, Opened()])
doist.do()  # until all Doers are done
print(f"{CALLS} calls, {metronome.beats} beats, done: {doist.done}")
