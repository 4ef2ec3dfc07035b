"""TLS without a socket: what a client that does not wait puts between its messages and its connection."""

import ssl

READ_SIZE = 1 << 18  # bytes


class Veil:
    """One end of a TLS connection, whose bytes somebody else carries.

    Attributes:
        open: The handshake is done.
    """

    def __init__(self, context: ssl.SSLContext, hostname: str) -> None:
        """Set it up.

        Args:
            context: How TLS is spoken, and whom it trusts.
            hostname: What the server's certificate has to say that it is.
        """
        self.open = False
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_hostname=hostname)

    def received(self, data: bytes) -> bytes:
        """Take bytes that have come; give what they say. That the peer says no more is told by the connection's end.

        Raises:
            ssl.SSLError: They are no TLS, or the certificate is wrong.
        """
        self._came.write(data)
        said = b""
        try:
            if not self.open:
                self._tls.do_handshake()
                self.open = True
            while piece := self._tls.read(READ_SIZE):
                said += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return said

    def send(self, data: bytes) -> None:
        """Send bytes, which have to be taken and carried then."""
        self._tls.write(data)

    def take(self) -> bytes:
        """Give what is to be carried to the peer; "" when there is nothing."""
        return self._goes.read()
