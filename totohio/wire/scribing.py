"""From what happens in a server to the lines of a transcript."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from totohio.base.errors import SettingsError, TotoException
from totohio.wire.masking import Masker, MaskingError
from totohio.wire.packing import BSON, FORM, JSON, MSGPACK, Packer
from totohio.wire.request import Request
from totohio.wire.transcript import (
    AT_ONCE,
    FORMAT,
    HTTP,
    Cut,
    Headers,
    Replied,
    Requested,
    Started,
    plain_kind,
    stamp,
    write,
)

PIECES = 1000  # pieces of a reply whose times are kept
PASSES = 4  # through one message: the last secret of a text within a text may be met in the third
WINDOW = 16_384  # bytes of a body that are hashed in one step, about a millisecond of work


class Digest:
    """The hash of a body of which all secrets are blanked; the pieces in which it comes make no difference."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._hash = hashlib.sha256()
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes, in steps that each give nothing."""
        data = self._rest + data
        at = 0
        while len(data) - at >= WINDOW:
            end = at + WINDOW
            end = max(data.rfind(edge, at, end) + 1 for edge in b'",\n&') or end  # where secrets seldom go on
            self._hash.update(self._masker.blank(data[at:end]))
            at = end
            yield b""
        self._rest = data[at:]

    def close(self) -> str:
        """Give the hash."""
        self._hash.update(self._masker.blank(self._rest))
        return self._hash.hexdigest()


class _Reply:
    """A reply that comes in pieces, as far as it has come."""

    def __init__(self, head: bytes, bare: bool) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        self.bare = bare
        self.chunked = ("Transfer-Encoding", "chunked") in self.headers
        self.kept: list[bytes] = []
        self.size = 0
        self.pieces: list[tuple[float, int]] = []
        self.digest: Digest | None = None

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def body(self, data: bytes) -> bytes:
        """Take the framing of chunks off what was sent; every piece is made of whole ones."""
        if self.bare:
            return b""
        if not self.chunked:
            return data
        parts = []
        at = 0
        while at < len(data):
            end = data.index(b"\r\n", at)
            size = int(data[at:end], 16)
            parts.append(data[end + 2 : end + 2 + size])
            at = end + size + 4
        return b"".join(parts)


class Scribe:
    """Makes the lines of one recording.

    Every method gives lines, and may give nothing several times before, each time after a step of bounded work.

    Attributes:
        masker: Takes the secrets out.
        max_body: Bytes of a body that are kept.
        max_streams: Bytes that are kept of all replies together that are not whole yet.
    """

    def __init__(self, masker: Masker, *, max_body: int, max_streams: int = 1 << 24) -> None:
        self.masker = masker
        self.max_body = max_body
        self.max_streams = max_streams
        self._kept = 0
        self._replies: dict[tuple[int, int], _Reply] = {}
        self._packer: Packer | None = None

    def start(self, *, version: str, epoch: float, settings: Mapping[str, Any]) -> bytes:
        """The first line."""
        masker = self.masker
        return write(
            Started(
                tyme=0.0,
                format=FORMAT,
                totohio=version,
                epoch=epoch,
                at=stamp(epoch),
                mark=masker.mark,
                masked=masker.names.all,
                max_body=self.max_body,
                settings=dict(settings),
            )
        )

    def request(
        self, tyme: float, connection: int, number: int, waited: float, now: float, request: Request
    ) -> Iterator[bytes]:
        """A request has reached the application."""
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.fields.items()]
        given = dict(fields)
        body, headers, uri = yield from self._mask(
            request.body, fields, request.uri, given.get("content-type", JSON), given.get("content-encoding", "")
        )
        yield write(
            Requested(
                tyme=tyme,
                connection=connection,
                number=number,
                at=stamp(now),
                verb=request.method,
                uri=uri,
                headers=dict(headers),
                version=HTTP if request.version == HTTP else request.version,
                waited=waited or AT_ONCE,
                **body,
            )
        )

    def reply(
        self, tyme: float, connection: int, number: int, took: float, data: bytes, last: bool, bare: bool
    ) -> Iterator[bytes]:
        """A reply, or a piece of it, was made.

        Args:
            tyme: Now.
            connection: Its connection.
            number: Its request.
            took: Seconds since that reached the application.
            data: The bytes that are sent.
            last: Nothing follows.
            bare: It has no body, as it answers a HEAD.
        """
        reply = self._replies.pop((connection, number), None)
        whole = reply is None and last
        if reply is None:
            head, _, data = data.partition(b"\r\n\r\n")
            reply = _Reply(head, bare)
        data = reply.body(data)
        if data:
            if not whole and len(reply.pieces) < PIECES:
                reply.pieces.append((tyme, len(data)))
            reply.size += len(data)
            yield from self._keep(reply, data)
        if last:
            yield from self._finish(reply, tyme, connection, number, took, lost=False)
        else:
            self._replies[connection, number] = reply

    def lose(self, tyme: float, connection: int, number: int, took: float) -> Iterator[bytes]:
        """The connection has ended before the reply was whole."""
        reply = self._replies.pop((connection, number), None)
        if reply is None:
            yield write(Replied(tyme=tyme, connection=connection, number=number, took=took, lost=True))
        else:
            yield from self._finish(reply, tyme, connection, number, took, lost=True)

    def skip(self, connection: int, number: int) -> Iterator[bytes]:
        """A reply is not to be kept any further."""
        reply = self._replies.pop((connection, number), None)
        if reply is not None:
            self._release(reply)
        yield b""

    def _keep(self, reply: _Reply, data: bytes) -> Iterator[bytes]:
        """Keep a piece of a body, or hash it when there is too much."""
        if reply.digest is None:
            reply.kept.append(data)
            self._kept += len(data)
            if reply.size <= self.max_body and self._kept <= self.max_streams:
                return
            data = self._release(reply)
            self.masker.begin(reply=True)
            reply.digest = Digest(self.masker)
        yield from reply.digest.feed(data)

    def _release(self, reply: _Reply) -> bytes:
        data = b"".join(reply.kept)
        reply.kept.clear()
        self._kept -= len(data)
        return data

    def _finish(
        self, reply: _Reply, tyme: float, connection: int, number: int, took: float, lost: bool
    ) -> Iterator[bytes]:
        kind = reply.header("content-type")
        encoding = reply.header("content-encoding")
        unknown = reply.digest is not None or reply.bare or reply.status == 304
        data = self._release(reply)
        body, fields, _ = yield from self._mask(data, reply.headers, "", kind, encoding, reply=True, unknown=unknown)
        if reply.digest is not None:
            body = {"cut": _cut(reply.size, kind, encoding, reply.digest.close())}
        headers: Headers = {}
        for name, value in fields:
            before = headers.get(name)
            headers[name] = value if before is None else [*([before] if isinstance(before, str) else before), value]
        yield write(
            Replied(
                tyme=tyme,
                connection=connection,
                number=number,
                took=took,
                status=reply.status,
                headers=headers,
                pieces=reply.pieces,
                lost=lost,
                **body,
            )
        )

    # ------------------------------------------------------------ bodies

    def _mask(
        self,
        data: bytes,
        fields: list[tuple[str, str]],
        uri: str,
        kind: str,
        encoding: str,
        *,
        reply: bool = False,
        unknown: bool = False,
    ) -> Any:
        """Give the body, the headers and the target without secrets; once more when one was first met on the way.

        Args:
            data: The body.
            fields: The headers.
            uri: The target.
            kind: The Content-Type.
            encoding: The Content-Encoding.
            reply: It is a reply.
            unknown: There may be secrets in a body that is not at hand.
        """
        masker = self.masker
        large = len(data) > self.max_body
        for _ in range(PASSES):
            met = masker.met
            masker.begin(uri, *(value for _, value in fields), b"" if large else data, reply=reply)
            used = masker.used
            body = {} if large else self._body(data, kind, encoding)
            hidden = unknown or large or "cut" in body or masker.used != used
            headers = [
                (name, masker.header(name, value, hidden))
                for name, value in fields
                if not hidden or name.lower() != "content-length"  # which would tell how long secrets are
            ]
            masked = masker.uri(uri)
            if masker.met == met:
                break
            yield b""
        if large:
            digest = Digest(masker)
            yield from digest.feed(data)
            body = {"cut": _cut(len(data), kind, encoding, digest.close())}
        return body, headers, masked

    def _body(self, data: bytes, kind: str, encoding: str) -> dict[str, Any]:
        """Give the fields of an entry for a body."""
        if not data:
            return {}
        if encoding.lower() not in ("", "identity"):
            return {"cut": Cut(len(data), "encoded")}
        try:
            return self._readable(data, kind)
        except (TotoException, MaskingError, SettingsError, ValueError, RecursionError):
            return {"cut": Cut(len(data), "unreadable")}

    def _readable(self, data: bytes, kind: str) -> dict[str, Any]:
        masker = self.masker
        name = plain_kind(kind)
        if name == JSON:
            try:
                return {"json": masker.tree(msgspec.json.decode(data))}
            except (ValueError, RecursionError):
                return {"text": masker.loose(data.decode())}
        if name == FORM:
            return _kept(_encoded(masker.pairs(_decoded(data))))
        if name.startswith("multipart/"):
            found = re.search(r'boundary="?([^";,]+)', kind, re.IGNORECASE)
            return _kept(masker.multipart(found[1].strip(), data) if found is not None else masker.binary(data))
        if name in (MSGPACK, BSON):
            if self._packer is None or name == BSON:
                self._packer = Packer(msgpack=True, bson=name == BSON)
            return {"base64": self._packer.pack(name, masker.tree(self._packer.unpack(name, data)))}
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return {"base64": masker.binary(data)}
        return {"text": masker.text(text)}


def _cut(size: int, kind: str, encoding: str, digest: str) -> Cut:
    """Describe a body that is too large; without its hash where secrets could not be blanked in it."""
    hidden = encoding.lower() not in ("", "identity") or plain_kind(kind).startswith((MSGPACK, BSON, "multipart/"))
    return Cut(size, "large", "" if hidden else digest)


def _kept(data: bytes) -> dict[str, Any]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": data}


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
