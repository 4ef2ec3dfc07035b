"""Says hello, in a browser too: http://127.0.0.1:8888/hello?name=Ada."""

from typing import Any

from totohio import default_parameters


@default_parameters({"name": "world"})
def invoke(handler: Any, parameters: dict[str, Any]) -> str:
    """Greet somebody by name."""
    return f"Hello, {parameters['name']}!"
