"""Wall time and randomness: the only module that asks the machine for either."""

import base64
import secrets
import time

TOKEN_SIZE = 16  # bytes of randomness in an id: 128 bits cannot be guessed or met twice by chance


class Clock:
    """The machine's clocks."""

    def now(self) -> float:
        """The wall time in Unix seconds; it may step, so use it only for what leaves the process."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some unknown moment; it never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""
        time.sleep(seconds)


class Minter:
    """The machine's source of randomness that nobody can guess."""

    def draw(self, size: int) -> bytes:
        """Give that many random bytes."""
        return secrets.token_bytes(size)

    def token(self) -> str:
        """Give a new id of 22 characters: 16 random bytes in URL-safe base64 without padding."""
        return base64.urlsafe_b64encode(self.draw(TOKEN_SIZE)).rstrip(b"=").decode("ascii")
