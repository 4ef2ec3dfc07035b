"""Takes its time and keeps nobody waiting."""

from collections.abc import Generator
from typing import Any

from totohio import default_parameters

LONGEST = 60.0  # seconds


@default_parameters({"seconds": 1.0})
def invoke(handler: Any, parameters: dict[str, Any]) -> Generator[float, None, dict[str, float]]:
    """Wait for some seconds, during which the server answers others."""
    seconds = min(float(parameters["seconds"]), LONGEST)
    yield seconds
    return {"waited": seconds}
