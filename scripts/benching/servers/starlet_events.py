"""Events in Starlette and sse-starlette on uvicorn: an asyncio.Event for long-polls, a queue for each stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from asgi import run
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Bell:
    """What all who wait are waiting for: each event rings a bell that is not used again."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()
        self.args = b""


bell = Bell()
queues: set[asyncio.Queue[dict[str, Any]]] = set()


def answer(body: bytes) -> Response:
    """Give a reply."""
    return Response(b'{"result":%b}' % body, media_type="application/json")


async def wait(request: Request) -> Response:
    """Answer with the next event."""
    mine = bell
    await mine.rung.wait()
    return answer(mine.args)


async def watch(request: Request) -> EventSourceResponse:
    """Stream events until the client leaves."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def events() -> AsyncIterator[dict[str, Any]]:
        queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)

    return EventSourceResponse(events(), ping=0)


async def fire(request: Request) -> Response:
    """Send an event."""
    global bell
    args = orjson.loads(await request.body())
    old, bell = bell, Bell()
    old.args = orjson.dumps(args)
    old.rung.set()
    message = {"event": "bench", "id": str(args["n"]), "data": old.args.decode()}
    for queue in queues:
        queue.put_nowait(message)
    return answer(b"%d" % args["n"])


app = Starlette(
    routes=[
        Route("/wait", wait, methods=["POST"]),
        Route("/watch", watch, methods=["POST"]),
        Route("/fire", fire, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    run(app)
