"""Tornado with orjson."""

import asyncio
import sys

import orjson
from tornado.web import Application, RequestHandler


class Handler(RequestHandler):
    """Answers calls."""

    def post(self) -> None:
        """Answer a call."""
        call = orjson.loads(self.request.body)
        self.set_header("Content-Type", "application/json")
        self.finish(orjson.dumps({"result": {"parameters": call["parameters"]}}))


async def main() -> None:
    """Serve on the given port until killed."""
    # Its log of requests goes to the level info, which nobody listens to.
    Application([("/", Handler)]).listen(int(sys.argv[1]), "127.0.0.1", backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
