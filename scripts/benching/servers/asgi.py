"""Raw uvicorn: an ASGI application without any framework, on uvloop, httptools and orjson."""

import sys
from typing import Any

import orjson
import uvicorn

PIECE = bytes(16384)
PIECES = 64


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer a call."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    call = orjson.loads(body)
    if call["method"] == "stream":
        await stream(send)
        return
    reply = orjson.dumps({"result": {"parameters": call["parameters"]}})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(reply))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply})


async def stream(send: Any) -> None:
    """Answer in pieces."""
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def run(application: Any) -> None:
    """Serve an application on the given port as fast as uvicorn can, keeping idle connections as long as ours does."""
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
        backlog=4096,
    )


if __name__ == "__main__":
    run(app)
