"""The cookie that holds a session's id, and who may make calls with it."""

from typing import TYPE_CHECKING, Any

from totohio.base.clocking import Clock
from totohio.base.errors import ERROR_FORBIDDEN, TotoException
from totohio.wire import cookies
from totohio.wire.requesting import Request

if TYPE_CHECKING:
    from totohio.app.settings import Settings

NAME = "toto-session-id"


class CookieJar:
    """Reads and makes the cookie of a server.

    Attributes:
        name: The cookie's.
    """

    def __init__(self, settings: "Settings", clock: Clock) -> None:
        self.name = settings.cookie_prefix + NAME
        self._clock = clock
        self._secure = settings.secure_cookies
        self._domain = settings.cookie_domain
        self._signer = cookies.Signer(listed(settings.cookie_secret)) if settings.cookie_secret else None
        self._origins = frozenset(listed(settings.trusted_origins))

    def read(self, request: Request) -> str | None:
        """Give the session id that a request's cookie holds; None without one, or when it is not ours."""
        header = request.fields.get(b"cookie")
        if header is None:
            return None
        value = cookies.read(header, self.name)
        if value is None or self._signer is None:
            return value
        return self._signer.open(self.name, value)

    def guard(self, request: Request) -> None:
        """See whether a request that comes with the cookie was made by a page that may make it.

        Raises:
            TotoException: 1016, it was not, or cannot be told.
        """
        if not cookies.same_site(request.method, request.fields, self._origins):
            raise TotoException(ERROR_FORBIDDEN, "A call with a cookie must come from the server's own pages, as JSON.")

    def make(self, session: Any) -> str:
        """Give the value of Set-Cookie for a session: one that ends with it, or ends it now."""
        if session.ended or not session.session_id:
            return cookies.cleared(self.name, secure=self._secure, domain=self._domain)
        value = session.session_id
        if self._signer is not None:
            value = self._signer.seal(self.name, value)
        age = max(0, int(session.expires - self._clock.now()))
        return cookies.made(self.name, value, max_age=age, secure=self._secure, domain=self._domain)


def listed(text: str | None) -> list[str]:
    """Give the parts of an option that takes several, separated by commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]
