"""The file of a recording, and the thread that writes it."""

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from threading import Lock

from totohio.base.environing import File, Files, Pool
from totohio.base.errors import SettingsError
from totohio.base.futures import Future

PERMISSIONS = 0o600  # others have no business with it
PATIENCE = 5.0  # seconds that the end waits for a disk that does not answer

logger = logging.getLogger("totohio")


class Tape:
    """Lines on their way into a file, which a worker thread writes.

    Whoever writes takes the oldest lines and holds the lock until they are written, so that they stay in order
    whichever thread that is.

    Attributes:
        path: Of the file.
    """

    def __init__(self, file: File, path: str, pool: Pool, failed: Callable[[BaseException], None]) -> None:
        self.path = path
        self._file = file
        self._pool = pool
        self._failed = failed
        self._lines: deque[bytes] = deque()
        self._lock = Lock()
        self._moving = False
        self._last = False
        self._put = self._written = 0  # bytes; each is changed by one side only

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return self._put - self._written

    def put(self, line: bytes) -> None:
        """Take a line."""
        self._put += len(line)
        self._lines.append(line)

    def move(self) -> None:
        """Have the thread write what there is, unless it is at it."""
        if self._lines and not self._moving:
            self._moving = True
            self._pool.submit(self._write).add_done_callback(self._moved)

    def finish(self) -> None:
        """Have the thread write what there is and close the file."""
        self._last = True
        self.move()

    def close(self) -> None:
        """Write what there is and close the file, here and now; twice does no harm."""
        self._pool.close()
        if not self._lock.acquire(timeout=PATIENCE):
            logger.error("%s cannot be written to its end: the disk does not answer", self.path)
            return
        try:
            self._last = True
            self._write_all()
        except OSError as error:
            logger.error("%s cannot be written to its end: %s", self.path, error)
            self._give_up()
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """Close the file as it is, after it could not be written."""
        self._pool.close()
        with self._lock:
            self._give_up()

    def _give_up(self) -> None:
        self._lines.clear()
        with contextlib.suppress(OSError):  # it tries once more what it could not do before
            self._file.close()

    def _write(self) -> None:
        with self._lock:
            self._write_all()

    def _write_all(self) -> None:
        if self._file.closed:
            return
        last = self._last  # asked first: what was put before that was said is among the lines
        while self._lines:
            data = b"".join([self._lines.popleft() for _ in range(len(self._lines))])
            self._file.write(data)
            self._file.flush()
            self._written += len(data)
        if last:
            self._file.close()

    def _moved(self, future: Future[None]) -> None:
        self._moving = False
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._failed(error)
        else:
            self.move()  # what has come meanwhile


def create(files: Files, path: str, source: str) -> File:
    """Make the file of a recording, for nobody else to read.

    Raises:
        SettingsError: There is one with something in it, or there cannot be one.
    """
    try:
        if files.plain(path) and not files.size(path):
            files.remove(path)  # others may have it open already, or may read it
        return files.open(path, "xb", PERMISSIONS)
    except FileExistsError:
        raise SettingsError(
            f"record: {path} is there already; name a new file, or put {{time}} into its name (from {source})"
        ) from None
    except OSError as error:
        raise SettingsError(f"record: {path}: {error.strerror or error} (from {source})") from None
