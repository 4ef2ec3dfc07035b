"""Events in Tornado: long-polls as in the chat of its documentation, and streams that are written to in turn."""

import asyncio
import sys

import orjson
from tornado.locks import Condition
from tornado.web import Application, RequestHandler

condition = Condition()
latest = b""
watching: "set[Watch]" = set()


class Wait(RequestHandler):
    """Answers with the next event."""

    async def post(self) -> None:
        """Wait for it."""
        await condition.wait()
        self.set_header("Content-Type", "application/json")
        self.finish(b'{"result":%b}' % latest)


class Watch(RequestHandler):
    """Streams events until the client leaves."""

    async def post(self) -> None:
        """Begin, and stay."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.left = asyncio.Event()
        await self.flush()
        watching.add(self)
        await self.left.wait()

    def on_connection_close(self) -> None:
        """The client has left."""
        watching.discard(self)
        self.left.set()


class Fire(RequestHandler):
    """Tells all who wait."""

    async def post(self) -> None:
        """Send an event."""
        global latest
        args = orjson.loads(self.request.body)
        latest = orjson.dumps(args)
        condition.notify_all()
        message = b"event: bench\nid: %d\ndata: %b\n\n" % (args["n"], latest)
        for handler in list(watching):
            handler.write(message)
            handler.flush()
        self.set_header("Content-Type", "application/json")
        self.finish(b'{"result":%d}' % args["n"])


async def main() -> None:
    """Serve on the given port until killed."""
    routes = [("/wait", Wait), ("/watch", Watch), ("/fire", Fire)]
    Application(routes).listen(int(sys.argv[1]), "127.0.0.1", backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
