"""What totohio lends while it is measured."""

from totohio import lend


@lend
def add(a: int, b: int) -> int:
    """Add two numbers: the call that is measured."""
    return a + b
