"""What fails on a simulated disk."""

from dataclasses import dataclass


@dataclass(eq=False)
class Failure:
    """An operation that fails, some times or until the disk is healed.

    Attributes:
        operation: "read", "write" or "sync".
        path: Of the only file or folder for which it fails; None for all.
        after: How many go well before.
        times: How many fail; None for all.
    """

    operation: str
    path: str | None
    after: int
    times: int | None

    def strikes(self, operation: str, path: str) -> bool:
        """Tell whether this one fails, and count it."""
        if operation != self.operation or self.path not in (None, path) or self.times == 0:
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True
