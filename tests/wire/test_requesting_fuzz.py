"""However they are cut, any bytes give the same requests and at most one fault, and never an exception."""

from typing import Any

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.loading import cases
from tests.wire.test_requesting import outcome, parse
from totohio.wire.requesting import Limits

CORPUS = [case.raw for case in cases() if len(case.raw) <= 2000]
LIMITS = st.sampled_from(
    [
        Limits(),
        Limits(max_header_size=64, max_headers=4, max_uri_size=16, max_body_size=8),
        Limits(max_header_size=200, max_headers=2, max_uri_size=300, max_body_size=0),
        Limits(max_header_size=1000, max_body_size=None),
    ]
)

#: What a mutation puts in: the bytes that divide, and words that decide something.
SALT = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from(
        [
            b"\r\n", b"\r\n\r\n", b"\r", b"\n", b" ", b"\t", b":", b";", b",", b"\x00", b"0\r\n\r\n", b"#", b"?", b"/",
            b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"PRI ", b"CONNECT ", b"OPTIONS ", b"*", b"[", b"]", b"@",
            b"Host: a\r\n", b"Content-Length: 3\r\n", b"Content-Length:\r\n", b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: x\r\n", b"Expect: 100-continue\r\n",
            b"5\r\nhello\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]
    ),
)  # fmt: skip

CHUNK_SALT = st.one_of(SALT, st.sampled_from([b"0", b"3", b"a", b";x", b'="', b'"', b"abc"]))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A case of the corpus, or two, with bytes put in, taken out, doubled or changed."""
    raw = bytearray(b"".join(draw(st.lists(st.sampled_from(CORPUS), min_size=1, max_size=2))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        end = at + draw(st.integers(0, 12))
        match draw(st.sampled_from("iord")):
            case "i":
                raw[at:at] = draw(SALT)
            case "o":
                raw[at:end] = draw(SALT)
            case "r":
                del raw[at:end]
            case "d":
                raw[at:at] = raw[at:end]
    return bytes(raw)


@st.composite
def pieces(draw: st.DrawFn, raw: bytes) -> list[bytes]:
    """The bytes cut anywhere."""
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    return [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


def check(raw: bytes, parts: list[bytes], limits: Limits) -> Any:
    whole = parse(raw, limits=limits)
    cut = parse(*parts, limits=limits)
    single = parse(*(raw[at : at + 1] for at in range(len(raw))), limits=limits)
    assert outcome(whole) == outcome(cut) == outcome(single)
    for requestant in (whole, cut, single):
        requestant.finish()
    assert outcome(whole) == outcome(cut) == outcome(single)
    fault = whole.fault
    assert fault is None or fault.status in (400, 405, 413, 414, 417, 431, 505)
    return whole


@settings(max_examples=1200)
@given(st.data(), mutated(), LIMITS)
def test_mutated_requests(data: st.DataObject, raw: bytes, limits: Limits) -> None:
    check(raw, data.draw(pieces(raw)), limits)


@settings(max_examples=300)
@given(st.data(), st.lists(SALT, max_size=40).map(b"".join), LIMITS)
def test_salt_alone(data: st.DataObject, raw: bytes, limits: Limits) -> None:
    check(raw, data.draw(pieces(raw)), limits)


@settings(max_examples=300)
@given(st.data(), st.lists(CHUNK_SALT, max_size=40))
def test_salt_for_chunks(data: st.DataObject, parts: list[bytes]) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(parts)
    check(raw, data.draw(pieces(raw)), Limits(max_header_size=100))


class Lenient:
    """llhttp alone, which our strict layer may only ever say less than."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, bytes]] = []
        self.url = self.body = b""
        self.parser = httptools.HttpRequestParser(self)
        # Proxy-Connection and Connection in a trailer end the connection for llhttp, not for us.
        self.parser.set_dangerous_leniencies(lenient_keep_alive=True)

    def on_url(self, piece: bytes) -> None:
        self.url += piece

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.messages.append((self.parser.get_method().decode(), self.url.decode("latin-1"), self.body))
        self.url = self.body = b""


@settings(max_examples=500)
@given(mutated())
def test_what_is_understood_is_understood_as_llhttp_does(raw: bytes) -> None:
    lenient = Lenient()
    try:
        lenient.parser.feed_data(raw)
        upgraded = False
    except httptools.HttpParserUpgrade:
        upgraded = True
    except httptools.HttpParserError:
        upgraded = False
    ours = [(request.method, request.uri, request.body) for request in parse(raw).requests]
    if not upgraded:
        assert lenient.messages[: len(ours)] == ours
