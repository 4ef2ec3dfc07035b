"""The five seams to the world, gathered in one Environment that is handed in and never imported.

Production makes one of the machine's own clock, randomness, network, threads and files; a simulation makes
another. Nothing else differs between the two.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from totohio.base.clocking import Clock, Minter
from totohio.base.errors import TotohioError
from totohio.base.filing import FILE_PERMISSIONS, FOLDER_PERMISSIONS, Data, KernelFiles, Names, StrPath
from totohio.base.futures import Future


class Attendant(Protocol):
    """Whoever is told when its socket is ready."""

    def attend(self, mask: int) -> None:
        """Do bounded work on a socket that is readable (bit 1), writable (bit 2), or whose peer has ended (bit 4)."""


class Poller(Protocol):
    """Tells which sockets are ready. The bits of a mask are 1 for readable, 2 for writable and 4 for ended.

    Ended is told, once, of a socket that is watched with mask 0: its peer sends no more, or is gone.
    """

    def register(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Begin to watch a socket."""

    def modify(self, sock: Any, mask: int, attendant: Attendant) -> None:
        """Watch a socket for something else."""

    def unregister(self, sock: Any) -> None:
        """Stop watching a socket; nothing happens when it is not watched."""

    def wait(self, seconds: float | None) -> None:
        """Wait until a socket is ready, `wake` is called or the time is over; None waits without end."""

    def ready(self) -> list[tuple[Attendant, int]]:
        """Give what the last wait found, or what is ready now when there was no wait since."""

    def wake(self) -> None:
        """End a wait that is going on, or the next one; for any thread."""

    def close(self) -> None:
        """Release the poller; twice does no harm."""


class Network(Protocol):
    """Where sockets come from."""

    def poller(self) -> Poller:
        """Make a poller for the sockets of this network."""

    def listen(self, address: "tuple[str, int] | str", *, backlog: int) -> Any:
        """Give a nonblocking listening socket on a host and port, or on a path for a Unix socket.

        Raises:
            OSError: The address is in use, unknown or forbidden.
        """

    def connect(self, address: "tuple[str, int] | str") -> Any:
        """Give a nonblocking socket that is connecting to a host and port, or to the path of a Unix socket.

        It is writable once it is connected, or has failed; ``SO_ERROR`` tells which.

        Raises:
            OSError: The address is unknown or forbidden, or it has failed already.
        """

    def lookup(self, host: str, port: int) -> "list[tuple[str, int]]":
        """Give where a host of that name is, as `connect` takes it, what is to be tried first first.

        It blocks: call it in a worker thread.

        Raises:
            OSError: Nobody knows the name, or it cannot be found out now.
        """

    def queued(self, sock: Any) -> int:
        """Tell how many bytes that were sent the peer has not taken yet; 0 when that is not known."""

    def descriptors(self) -> int:
        """Tell how many sockets there can be at once."""


class Pool(Protocol):
    """A few worker threads with one queue."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function run in one of the threads; the Future gets what it returns or raises."""

    def __len__(self) -> int:
        """How many calls run or wait."""

    def close(self) -> None:
        """Take no more; what waits is cancelled, what runs is left alone."""


class Threads(Protocol):
    """Where worker threads come from.

    Attributes:
        deliver: Called as ``deliver(future.set_result, value)``, or with ``future.set_exception``, with what a worker
            thread has finished; the server puts its own way into the cycle here.
        inline: They only seem to be threads: their calls run in the thread of the cycle, between cycles.
    """

    deliver: Callable[..., object]
    inline: bool

    def ident(self) -> int:
        """Tell which thread calls: a number that no other living thread of this world has."""

    def wait(self, future: Future[Any], seconds: float) -> bool:
        """Wait, in one of these threads, until a Future is complete, for so long at most; tell whether it is."""

    def pool(self, name: str, size: int, idle_timeout: float = 60.0) -> Pool:
        """Make a pool of at most ``size`` threads that end after ``idle_timeout`` seconds without work."""


class File(Protocol):
    """An open file, for one thread at a time. Asked for what its mode does not allow, it raises OSError.

    What is written is buffered. `flush` makes it survive the process, `sync` a power cut.
    """

    def __enter__(self) -> "File":
        """Give the file itself."""

    def __exit__(self, *error: object) -> None:
        """Close it."""

    @property
    def closed(self) -> bool:
        """It is no longer open: all but `close` raise ValueError."""

    def read(self, size: int = -1) -> bytes:
        """Give that many bytes, fewer when the file ends before; all that follow when the size is negative."""

    def write(self, data: Data) -> int:
        """Buffer all of the data and give its length."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the beginning (0), from here (1) or from the end (2), and give where that is."""

    def tell(self) -> int:
        """Where the next byte is read or written."""

    def truncate(self, size: int | None = None) -> int:
        """Make the file that long, by default until here, with zeros when it was shorter, and give the length."""

    def flush(self) -> None:
        """Hand what is buffered to the system, so that it survives this process."""

    def sync(self) -> None:
        """Flush, and return when all of the file is on the disk, so that it survives a power cut.

        A new name of the file survives it only when the folder is synced too.
        """

    def close(self) -> None:
        """Flush and release the file; twice does no harm."""


class Files(Protocol):
    """A disk. All methods raise an OSError where the system refuses."""

    def open(self, path: StrPath, mode: str = "rb", permissions: int = FILE_PERMISSIONS) -> File:
        """Open a file to read ("rb"), write anew ("wb"), append ("ab"), create ("xb") or change ("r+b").

        A new file gets the permissions. The umask takes away from the default, and from nothing else.
        """

    def rename(self, source: StrPath, target: StrPath) -> None:
        """Give a file or folder another name; a file of that name is replaced in the same instant."""

    def remove(self, path: StrPath) -> None:
        """Remove a file."""

    def exists(self, path: StrPath) -> bool:
        """Tell whether there is a file or folder."""

    def plain(self, path: StrPath) -> bool:
        """Tell whether there is a file: neither a folder, nor a device, pipe or link."""

    def size(self, path: StrPath) -> int:
        """How long a file is, as far as it was flushed."""

    def make_folder(self, path: StrPath, permissions: int = FOLDER_PERMISSIONS) -> None:
        """Make a folder, and those above it with default permissions; one that is there stays as it is."""

    def sync(self, folder: StrPath) -> None:
        """Return when the names in a folder are on the disk; its own name is synced with the folder above it."""

    def list(self, folder: StrPath) -> Names:
        """Give the names in a folder, sorted."""


@dataclass
class Environment:
    """What a server knows of the world; each server has one of its own.

    Attributes:
        clock: Wall time and a monotonic clock.
        minter: Randomness.
        network: Sockets and pollers.
        threads: Worker threads.
        files: The disk.
        databases: Where databases are opened that are not files of ours; see `store.opening.Databases`.
        shared: Objects that live as long as the Environment, by name (task queues, for instance).
    """

    clock: Clock
    minter: Minter
    network: Network
    threads: Threads
    files: Files = field(default_factory=KernelFiles)
    databases: Any = None
    shared: dict[Any, Any] = field(default_factory=dict)


class _Active(threading.local):
    environment: Environment | None = None


_active = _Active()


def activate(environment: Environment | None) -> Environment | None:
    """Make an Environment the one that methods see which run in this thread, and give the one before it."""
    before, _active.environment = _active.environment, environment
    return before


def active() -> Environment:
    """Give the Environment of the server that runs in this thread now.

    Raises:
        TotohioError: No server runs.
    """
    if _active.environment is None:
        raise TotohioError("this works only while a totohio server runs")
    return _active.environment
