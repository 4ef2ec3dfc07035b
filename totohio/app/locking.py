"""A file with the number of a process, which is locked as long as that process runs.

The lock tells what the number alone cannot: whether that process is still the one that wrote it. The kernel lets go of
it when the process ends, however it ends.
"""

import contextlib
import fcntl
import os

from totohio.base.errors import TotohioError


class PidFile:
    """Such a file.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Write the number of this process, and hold the lock until it ends or `release`.

        Raises:
            TotohioError: Another process holds it.
            OSError: The file cannot be written.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise TotohioError(f"{self.path}: process {self._number()} runs already") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._descriptor = descriptor

    def release(self) -> None:
        """Remove the file and let go of the lock; twice does no harm."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            os.close(descriptor)

    def holder(self) -> int | None:
        """Give the number of the process that runs; None when none does.

        Raises:
            TotohioError: Somebody holds the lock and has written no number.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            number = self._number()
            if number <= 1:  # a signal to 0 would go to our own group
                raise TotohioError(f"{self.path}: it is locked, and has no number of a process") from None
            return number
        finally:
            os.close(descriptor)
        return None

    def exists(self) -> bool:
        """Tell whether there is a file, of a process that runs or of one that did not end well."""
        return os.path.exists(self.path)

    def _number(self) -> int:
        with open(self.path, "rb") as file:
            text = file.read(32).strip()
        return int(text) if text.isdigit() else 0
