"""A totohio server beside an unrelated Doer, in a PollingDoist.

The same as `embed_stock.py`, but a call never waits for the next cycle: this Doist wakes when its socket is ready, and
sleeps until then, or until the next Doer is due. ``python embed_polling.py`` serves on a free port, calls itself a few times, says what happened, and ends.
"""

import json
import threading
import urllib.request

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
    """Lets the customer in: Doers are entered in order, so when this one is, the server listens."""

    def enter(self, *, temp=None):
        threading.Thread(target=customer, daemon=True).start()

    def recur(self, tyme):
        return True


def customer():
    """Calls the server from another thread, as a client elsewhere would, and lets it end after the last reply."""
    for number in range(CALLS):
        with urllib.request.urlopen(f"{server.url}/hello?name={number}", timeout=10) as reply:
            print(json.load(reply)["result"], flush=True)
    server.drain()


server = TotoServer(method_module="desk", port=0)
metronome = Metronome(tock=0.125)
doist = PollingDoist(doers=[metronome, *server.doers, Opened()])
doist.do()  # until all Doers are done
print(f"{CALLS} calls, {metronome.beats} beats, done: {doist.done}")
