"""The simulated network between hosts: its rules, how connections begin, and what a process sees of it.

A connection to another host, or to a port, begins with TCP's handshake of three segments. The first is sent again
after 1 s, 2 s and so on, and after 127 s without an answer the connect fails with ETIMEDOUT, as tcp_syn_retries has it
on Linux. A connection waits to be accepted when the third has arrived; as long as the listener's queue is full, first
segments are lost, and third ones are sent again.

What is simpler than on Linux: a name is a host's, its address, or one of the loopback's, has one address, and need not
be looked up to connect; one that does not exist is known at once; and a half-open connection never times out at the
side that is connected to.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from totohio.base.environing import Poller
from totohio.sim.net.carrying import ACK, Carrier
from totohio.sim.net.listening import SimListener
from totohio.sim.net.polling import SimPoller
from totohio.sim.net.ruling import RESET, Rule
from totohio.sim.net.sockets import CONNECTING, OPEN, Address, SimSocket, failure
from totohio.sim.net.stacking import Stack
from totohio.sim.net.unix import SimUnixSocket
from totohio.sim.profiles import Profile
from totohio.sim.seeding import Dice

if TYPE_CHECKING:
    from collections.abc import Callable

    from totohio.sim.hosting import Host
    from totohio.sim.processing import Process
    from totohio.sim.staging import Stage

SYN_RTO = 1.0  # seconds until a connect is first tried again
SYN_TRIES = 7  # tcp_syn_retries = 6 and the first: 127 s in all
LOOPBACK = "127.0.0.1"
LOOPBACKS = frozenset(("localhost", LOOPBACK, "::1", ""))

SYN, SYN_ACK = "syn", "syn-ack"


class Net(Carrier):
    """The network of a World."""

    def __init__(self, world: "Stage", profile: Profile, dice: Dice) -> None:
        super().__init__(world, profile, dice)
        self._number = 0
        self._asking: dict[SimSocket, tuple[Host, int]] = {}  # those whose handshake is not let through

    # ------------------------------------------------------------ rules

    @contextmanager
    def rule(self, *rules: Rule) -> Iterator[None]:
        """Have rules hold for the length of a ``with`` block."""
        for rule in rules:
            self.add(rule)
        try:
            yield
        finally:
            for rule in rules:
                self.remove(rule)

    def add(self, rule: Rule) -> None:
        """Have a rule hold from now on."""
        self.world.note("", "rule", str(rule))
        if rule not in self.world.plan.authored:
            self.world.plan.author(rule)
            rule.added(self)
        self.rules.append(rule)

    def remove(self, rule: Rule) -> None:
        """End a rule; what it held is sent on at once, what it merely lost when the sender tries again."""
        if rule in self.rules:
            self.rules.remove(rule)
            self.world.note("", "heal", str(rule))
            if rule.holds:
                self.flush()

    def flush(self) -> None:
        """Have everything that waits for being sent again be sent again now."""
        asking, self._asking = self._asking, {}
        for sock, (host, port) in asking.items():
            if sock.state == CONNECTING:
                self._ask(sock, host, port)
        super().flush()

    # ------------------------------------------------------------ connections between hosts

    def connect(self, owner: "Process", address: Address) -> SimSocket:
        """Begin a connection.

        Raises:
            OSError: There is no such host or port, or nobody listens on the path; or there is no descriptor or port.
        """
        if isinstance(address, str):
            return self._join(owner, address)
        here = owner.host
        stack = here.stack
        name, port = address
        host = self._find(name, port, here)
        if not stack.room():
            raise failure(errno.EMFILE)
        loop = name in LOOPBACKS
        local = stack.port()
        self._number += 1
        sock = SimSocket(
            net=self,
            stack=stack,
            local=(LOOPBACK if loop else here.address, local),
            remote=(LOOPBACK if loop else host.address, port),
            label=f"{here.name}:{local}>{host.name}:{port}#{self._number}",
        )
        stack.occupy(local)
        stack.adopt(sock)
        stack.own(sock, owner)
        if host is not here:
            self.connections[sock] = None
        stack.note("connect", sock.label)
        self._try(sock, host, port, 0)
        return sock

    def forget(self, sock: SimSocket) -> None:
        """An end is no more."""
        super().forget(sock)
        self._asking.pop(sock, None)

    def _find(self, name: str, port: int, here: "Host") -> "Host":
        if not 0 < port < 1 << 16:
            raise OSError(errno.EADDRNOTAVAIL, f"{port} is no port to connect to")
        try:
            return self.world.find(name, here)
        except OSError as error:
            raise OSError(errno.EADDRNOTAVAIL, str(error)) from None

    def _try(self, sock: SimSocket, host: "Host", port: int, tries: int) -> None:
        """Send the first segment of a connection, again and again until it is answered."""
        if sock.state != CONNECTING:
            return
        if tries == SYN_TRIES:
            sock.stack.note("refuse", sock.label, "timeout")
            sock.fail(errno.ETIMEDOUT)
            return
        self.world.after(SYN_RTO * 2.0**tries, self._try, sock, host, port, tries + 1)
        self._ask(sock, host, port)

    def _ask(self, sock: SimSocket, host: "Host", port: int) -> None:
        """Send the first segment of a connection."""
        here = sock.stack.host
        self._post(sock, (host, port), (here, host), SYN, partial(self._asked, sock, host, port))

    def _asked(self, sock: SimSocket, host: "Host", port: int) -> None:
        """The first segment has arrived: answer it."""
        if sock.state != CONNECTING or not host.stack.up:
            return
        listener = host.stack.listeners.get(port)
        if listener is None:
            answer = partial(self._refuse, sock)
        elif listener.full:
            return
        else:
            answer = partial(self._welcome, sock, listener)
        self._post(sock, (host, port), (host, sock.stack.host), SYN_ACK, answer)

    def _post(
        self,
        sock: SimSocket,
        asked: "tuple[Host, int]",
        way: "tuple[Host, Host]",
        kind: str,
        function: "Callable[[], None]",
    ) -> None:
        """Send one of the first two segments; what happens when it arrives is ``function``."""
        delay = self._judge(sock, *way, kind) if self.rules else 0.0
        if delay == RESET:
            function = partial(self._refuse, sock)
        elif delay < 0.0:
            self._asking[sock] = asked
            return
        self.world.after(self._latency(*way) + max(delay, 0.0), function)

    def _welcome(self, sock: SimSocket, listener: SimListener) -> None:
        """The answer has arrived: they are connected, which the third segment tells the other side."""
        if sock.state != CONNECTING:
            return
        there = SimSocket(net=self, stack=listener.stack, local=sock.remote, remote=sock.local, label=sock.label)
        there.listener = listener
        there.state = sock.state = OPEN
        self._connect(sock, there)
        self._transmit(sock, ACK)
        sock.changed()

    def _refuse(self, sock: SimSocket) -> None:
        if sock.state == CONNECTING:
            sock.stack.note("refuse", sock.label)
            sock.fail(errno.ECONNREFUSED)

    # ------------------------------------------------------------ connections within a host

    def _join(self, owner: "Process", path: str) -> SimSocket:
        """Connect to a Unix socket, which takes no time (connect(2))."""
        stack = owner.host.stack
        if not stack.room():
            raise failure(errno.EMFILE)
        listener = stack.listeners.get(path)
        if listener is None:
            raise failure(errno.ECONNREFUSED if path in stack.files else errno.ENOENT)
        if listener.full:
            raise failure(errno.ECONNREFUSED)
        self._number += 1
        label = f"{owner.host.name}>{path}#{self._number}"
        sock = SimUnixSocket(net=self, stack=stack, local="", remote=path, label=label)
        there = SimUnixSocket(net=self, stack=stack, local=path, remote="", label=label)
        self._connect(sock, there)
        stack.adopt(sock)
        stack.own(sock, owner)
        stack.adopt(there)
        stack.note("connect", label)
        listener.put(there)
        return sock


class SimNetwork:
    """The simulated network as one process knows it: the simulated side of the port `environing.Network`.

    Attributes:
        pollers: Those that the process has made.
    """

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._stack: Stack = process.host.stack
        self.pollers: list[SimPoller] = []

    def poller(self) -> Poller:
        """Make a poller."""
        poller = SimPoller(self._process)
        self.pollers.append(poller)
        return poller

    def listen(self, address: Address, *, backlog: int) -> SimListener:
        """Listen on a port of the host, at whatever address; or on a path.

        Raises:
            OSError: The port or path is in use, or there is no descriptor; or the process is dead.
        """
        self._live()
        return self._stack.listen(self._process, address, backlog)

    def connect(self, address: Address) -> SimSocket:
        """Begin a connection to a port of a host, by its name or address; or to a path.

        Raises:
            OSError: There is no such host or port, or nobody listens on the path; or there is no descriptor, or the
                process is dead.
        """
        self._live()
        return self._stack.net.connect(self._process, address)

    def lookup(self, host: str, port: int) -> list[tuple[str, int]]:
        """Give where a host of that name is.

        Raises:
            OSError: There is no such host; or the process is dead.
        """
        self._live()
        here = self._process.host
        try:
            found = self._stack.net.world.find(host, here)
        except OSError as error:
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
        return [(LOOPBACK if host in LOOPBACKS else found.address, port)]

    def queued(self, sock: Any) -> int:
        """Tell how many bytes that were sent have not reached the peer's host."""
        return max(0, int(sock.outstanding))

    def descriptors(self) -> int:
        """Tell how many sockets the process may have open."""
        return self._stack.limit

    def _live(self) -> None:
        if self._process.dead:  # and is in the cycle in which it was killed
            raise failure(errno.ENETDOWN)
