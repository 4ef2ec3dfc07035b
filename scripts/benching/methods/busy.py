"""A call that computes for about a third of a millisecond, so that clients have little to do beside it."""

from typing import Any


def invoke(handler: Any, parameters: Any) -> int:
    """Compute something."""
    return sum(number * number for number in range(6000))
