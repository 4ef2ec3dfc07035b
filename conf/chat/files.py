"""The files of the page, as methods give them."""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "page"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'"


def give(handler: Any, name: str, kind: str) -> bytes:
    """Give a file; nothing from elsewhere may run in it."""
    handler.response_type = f"{kind}; charset=utf-8"
    handler.set_header("Content-Security-Policy", POLICY)
    handler.set_header("X-Content-Type-Options", "nosniff")
    return (FOLDER / name).read_bytes()
