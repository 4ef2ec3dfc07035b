"""hio's own BareServer in hio's own Doist, at the tock given as second argument."""

import sys
from typing import Any

from hio.base import doing
from hio.core.http import serving


class Steward(serving.Steward):
    """Answers calls on one connection."""

    def respond(self) -> None:
        """Answer a call."""
        data = {"result": {"parameters": self.requestant.data["parameters"]}}
        self.remoter.tx(self.responder.build(status=200, data=data))
        self.waited = not self.responder.ended


class Server(serving.BareServer):
    """The stock server with the one method that it lacks to run in a ServerDoer."""

    def wind(self, tymth: Any) -> None:
        """Take the cycle time from the Doist."""
        self.servant.wind(tymth)


def main() -> None:
    """Serve on the given port until killed."""
    serving.Steward = Steward  # BareServer makes no other
    server = Server(host="127.0.0.1", port=int(sys.argv[1]), dictable=True)
    doist = doing.Doist(tock=float(sys.argv[2]), real=True, limit=0.0)
    doist.do(doers=[serving.ServerDoer(server=server)])


if __name__ == "__main__":
    main()
