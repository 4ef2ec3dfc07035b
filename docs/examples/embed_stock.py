"""A totohio server beside an unrelated Doer, in hio's stock Doist.

``python embed_stock.py`` serves on a free port, calls itself a few times, says what happened, and ends.
"""

import json
import threading
import urllib.request

from hio.base import doing

from totohio import TotoServer

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
doist = doing.Doist(real=True, tock=0.03125, doers=[metronome, *server.doers, Opened()])
doist.do()  # until all Doers are done
print(f"{CALLS} calls, {metronome.beats} beats, done: {doist.done}")
