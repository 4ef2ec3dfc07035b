"""What a method cannot do whose reply is only a part of something else: of a batch, or one message of many."""

from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn

from totohio.base.errors import ERROR_SERVER, TotoException


class Refusing:
    """Refuses what would take over the whole connection; the call gets an error.

    Attributes:
        refusal: What such a reply cannot do, behind "cannot".
    """

    __slots__ = ()

    refusal: ClassVar[str] = "be sent here"

    def respond_raw(self, body: Any, content_type: str, finish: bool = True) -> NoReturn:
        """Not possible here.

        Raises:
            TotoException: Always.
        """
        self._refuse("A raw reply")

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> NoReturn:
        """Not possible here.

        Raises:
            TotoException: Always.
        """
        self._refuse("A redirect")

    def stream(self) -> NoReturn:
        """Not possible here.

        Raises:
            TotoException: Always.
        """
        self._refuse("A stream")

    def event_stream(self, names: str | Iterable[str], last_id: str | None = None, who: Any = None) -> NoReturn:
        """Not possible here.

        Raises:
            TotoException: Always.
        """
        self._refuse("A stream")

    def _refuse(self, what: str) -> NoReturn:
        raise TotoException(ERROR_SERVER, f"{what} cannot {self.refusal}.")
