"""Load: calls that come at their own times, whatever becomes of those before them.

Clients on the internet do not wait for each other, so what a server does under load is seen only when calls keep
coming while it is slow (an open loop). Each call has a connection to itself while it lasts; connections are kept
and used again. In virtual time an hour of it takes as long as its calls cost to simulate.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, NamedTuple

from totohio.base.errors import TotoException
from totohio.base.futures import Future
from totohio.sim.clients.calling import CallerDoer, Client
from totohio.sim.seeding import Dice

OK = "ok"


class Sample(NamedTuple):
    """One call.

    Attributes:
        tyme: When it came, seconds.
        seconds: How long it took.
        outcome: "ok", the code of an error as text, or the name of what went wrong with the connection.
    """

    tyme: float
    seconds: float
    outcome: str


@dataclass
class Load:
    """What has become of the calls.

    Attributes:
        samples: Each call, in the order in which they came; complete once all have been answered.
        connections: How many connections were open at once at most.
    """

    samples: list[Sample] = field(default_factory=list)
    connections: int = 0

    def outcomes(self) -> dict[str, int]:
        """Count the calls by what became of them, the most frequent first."""
        return dict(Counter(sample.outcome for sample in self.samples).most_common())

    def percentile(self, share: float, outcome: str | None = OK) -> float:
        """Give how many seconds a share of the calls took at most: 0.99 for all but the slowest hundredth.

        Args:
            share: From 0 to 1.
            outcome: Of the calls that count; None counts all.

        Raises:
            ValueError: There is no such call.
        """
        found = sorted(sample.seconds for sample in self.samples if outcome in (None, sample.outcome))
        if not found:
            raise ValueError(f"there is no call with the outcome {outcome}")
        return found[min(len(found) - 1, int(share * len(found)))]

    def plot(self, path: str | PathLike[str], title: str = "Latency") -> None:
        """Draw latency over time, with percentiles, failures and throughput, into an SVG file.

        Raises:
            ImportError: What draws it is not installed; the extra ``totohio[sim]`` brings it.
        """
        from totohio.sim.pictures.plotting import latency_plot

        latency_plot(self.samples, title=title, path=path)


class Loader:
    """Makes the calls."""

    def __init__(self, *, caller: CallerDoer, clock: Callable[[], float], client: Callable[[], Client], load: Load):
        self._caller = caller
        self._clock = clock
        self._client = client
        self._load = load
        self._free: deque[Client] = deque()
        self._made = 0
        self._open = 0
        self._done: Future[None] = Future()
        self._over = False

    def script(
        self, method: str, parameters: Any, gaps: Callable[[], float], seconds: float
    ) -> Generator[Any, Any, Load]:
        """Call a method until so many seconds have passed, then wait for the last answers.

        Args:
            method: Its dotted name.
            parameters: The same each time; or a function that gives the next call's.
            gaps: Gives the seconds until the next call.
            seconds: How long calls come.
        """
        end = self._clock() + seconds
        while True:
            yield gaps()
            if self._clock() >= end:
                break
            self._call(method, parameters() if callable(parameters) else parameters)
        self._over = True
        if self._open:
            yield self._done
        for client in self._free:
            client.close()
        return self._load

    def _call(self, method: str, parameters: Any) -> None:
        if self._free:
            client = self._free.popleft()
        else:
            client = self._client()
            self._made += 1
            self._load.connections = self._made
        start = self._clock()
        number = len(self._load.samples)
        self._load.samples.append(Sample(start, -1.0, "unanswered"))
        self._open += 1

        def done(future: Future[Any]) -> None:
            self._load.samples[number] = Sample(start, self._clock() - start, outcome(future))
            self._free.append(client)
            self._open -= 1
            if self._over and not self._open:
                self._done.set_result(None)

        client.call(method, parameters).add_done_callback(done)


def outcome(future: Future[Any]) -> str:
    """Tell in a word what became of a call."""
    error = future.exception()
    if error is None:
        return OK
    return str(error.code) if isinstance(error, TotoException) else type(error).__name__


def poisson(dice: Dice, rate: float) -> Callable[[], float]:
    """Give gaps between calls that come independently of each other, ``rate`` a second on average.

    Raises:
        ValueError: There is no such rate.
    """
    if not rate > 0.0:
        raise ValueError(f"rate: expected calls a second, more than none, got {rate!r}")
    mean = 1.0 / rate
    return lambda: dice.exponential(mean)
