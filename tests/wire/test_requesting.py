"""Requests out of bytes: every case of the corpus in every way of being cut, and what the corpus cannot show."""

from pathlib import Path
from typing import Any

import pytest

from tests.corpus.loading import HERE, Case, cases
from totohio.wire.requesting import Limits, Request, Requestant

#: The longest case that is tried with every single cut; longer ones cost the square.
SHORT = 700

GET = b"GET /echo?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n" + b'{"x":1}'
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def parse(*pieces: bytes, limits: Limits | None = None) -> Requestant:
    requestant = Requestant(limits or Limits())
    for piece in pieces:
        requestant.feed(piece)
    return requestant


def outcome(requestant: Requestant) -> tuple[Any, ...]:
    """Everything that must not depend on the pieces."""
    fault = requestant.fault
    return (
        [(r.method, r.uri, r.path, r.query, r.version, r.fields, r.keep_alive, r.body) for r in requestant.requests],
        fault and (fault.status, fault.text),
        requestant.begun,
    )


def status(*pieces: bytes, limits: Limits | None = None) -> int | None:
    fault = parse(*pieces, limits=limits).fault
    return fault.status if fault else None


def check_request(request: Request, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if name == "fields":
            for field, content in value.items():
                found = request.fields.get(field.encode("latin-1"))
                assert found == (None if content is None else content.encode("latin-1")), field
        elif value is not None:
            found = getattr(request, name)
            assert (found.decode("latin-1") if name == "body" else found) == value, name


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_case_of_the_corpus_gives_what_it_expects_however_it_is_cut(case: Case) -> None:
    whole = parse(case.raw)
    expected = outcome(whole)
    raw = case.raw
    assert outcome(parse(*(raw[at : at + 1] for at in range(len(raw))))) == expected, "byte by byte"
    if len(raw) <= SHORT:
        for at in range(1, len(raw)):
            assert outcome(parse(raw[:at], raw[at:])) == expected, f"cut at {at}"
    else:
        for size in (7, 1000, 4096, 16384):
            assert outcome(parse(*(raw[at : at + size] for at in range(0, len(raw), size)))) == expected, size

    if case.half_close:
        whole.finish()
    assert (whole.fault.status if whole.fault else None) == case.status
    assert len(whole.requests) == len(case.requests)
    for request, wanted in zip(whole.requests, case.requests, strict=True):
        check_request(request, wanted)


def test_the_corpus_is_complete_and_says_why() -> None:
    assert len(cases()) >= 160
    assert {case.name.split("/")[0] for case in cases()} == {
        "bytes", "chunked", "connection", "expect", "framing", "headers", "host", "limits", "pipelining",
        "request-line", "target",
    }  # fmt: skip
    for case in cases():
        assert case.section.startswith("RFC ")
        assert case.why.endswith((".", "?"))
        assert case.close or not case.status
        assert len(case.replies) == len(case.requests) + (case.status is not None)
    described = {path.with_suffix("") for path in HERE.rglob("*.json")}
    assert {path.with_suffix("") for path in HERE.rglob("*.http")} <= described


def test_the_folders_of_the_corpus_keep_their_bytes_in_git() -> None:
    assert "*.http binary" in (Path(HERE) / ".gitattributes").read_text()


# ---------------------------------------------------------------- begun, continues, finish


def test_begun_tells_that_a_request_has_come_in_part() -> None:
    requestant = parse()
    for at in range(len(POST)):
        requestant.feed(POST[at : at + 1])
        assert requestant.begun == (at < len(POST) - 1), at
    requestant.feed(b"\r\n\r")
    assert not requestant.begun, "an empty line begins nothing"
    requestant.feed(b"\nG")
    assert requestant.begun


def test_a_pipelined_half_request_has_begun() -> None:
    requestant = parse(GET + POST[:-1])
    assert requestant.begun
    assert len(requestant.requests) == 1


EXPECTING = POST.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length")


def test_a_client_that_waits_for_continue_is_told_apart_until_its_body_comes() -> None:
    head, _, body = EXPECTING.partition(b"\r\n\r\n")
    for pieces in ([head + b"\r\n\r\n"], [head, b"\r\n\r\n"], [head + b"\r\n\r", b"\n"]):
        requestant = parse(*pieces)
        assert requestant.continues
        requestant.feed(body[:1])
        assert not requestant.continues
        requestant.feed(body[1:])
        assert not requestant.continues
        assert requestant.requests[0].body == body


def test_a_chunked_body_is_waited_for_too() -> None:
    requestant = parse(CHUNKED.replace(b"Transfer", b"Expect: 100-continue\r\nTransfer"))
    assert requestant.continues
    requestant.feed(b"0")
    assert not requestant.continues


@pytest.mark.parametrize(
    "raw",
    [EXPECTING, EXPECTING[:-3], EXPECTING.replace(b"1.1", b"1.0")[:-7], EXPECTING.replace(b"7", b"0")[:-7]],
    ids=["body there", "body there in part", "HTTP/1.0", "no body"],
)
def test_nobody_is_told_to_continue_without_need(raw: bytes) -> None:
    assert not parse(raw).continues


def test_a_known_head_waits_for_continue_again() -> None:
    requestant = parse(EXPECTING)
    requestant.feed(EXPECTING[:-7])
    assert requestant.continues


def test_an_end_between_requests_is_no_fault() -> None:
    for pieces in ((), (GET,), (GET + b"\r\n",), (b"\r",)):
        requestant = parse(*pieces)
        requestant.finish()
        assert requestant.fault is None


@pytest.mark.parametrize("raw", [b"G", GET[:-1], POST[:-1], CHUNKED, CHUNKED + b"0\r\n\r"])
def test_an_end_within_a_request_is_a_fault_and_nothing_is_read_after_it(raw: bytes) -> None:
    requestant = parse(raw)
    requestant.finish()
    assert requestant.fault is not None
    assert requestant.fault.status == 400
    requestant.feed(GET)
    requestant.finish()
    assert not requestant.requests


def test_nothing_is_read_after_a_fault() -> None:
    requestant = parse(GET + b"\x00")
    fault = requestant.fault
    assert fault is not None
    requestant.feed(GET)
    requestant.feed(b"\x00")
    requestant.finish()
    assert requestant.fault is fault
    assert len(requestant.requests) == 1


# ---------------------------------------------------------------- limits


def head_of(size: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: "
    return start + b"b" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("cut", [None, 1, 50, 99, 100, 101])
def test_the_header_limit_counts_every_byte(cut: int | None) -> None:
    limits = Limits(max_header_size=100)
    for lead in (b"", b"\r\n", GET):
        for size, expected in ((99, None), (100, None), (101, 431), (300, 431)):
            raw = lead + head_of(size)
            pieces = [raw] if cut is None else [raw[:cut], raw[cut:]]
            assert status(*pieces, limits=limits) == expected, (lead, size)


def test_white_space_counts_as_well() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-A:" + b" " * 60 + b"b\r\n\r\n"
    assert status(raw, limits=Limits(max_header_size=len(raw))) is None
    assert status(raw, limits=Limits(max_header_size=len(raw) - 1)) == 431


def test_a_request_line_beyond_the_header_limit_is_414() -> None:
    limits = Limits(max_header_size=100, max_uri_size=1000)
    assert status(b"GET /" + b"a" * 200, limits=limits) == 414
    assert status(b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n", limits=limits) == 414


def test_the_uri_limit_counts_the_whole_target() -> None:
    limits = Limits(max_uri_size=10)
    assert status(b"GET /23456789?x HTTP/1.1\r\nHost: a\r\n\r\n", limits=limits) == 414
    assert status(b"GET /23456789? HTTP/1.1\r\nHost: a\r\n\r\n", limits=limits) is None
    assert status(b"GET http://a/bc HTTP/1.1\r\nHost: a\r\n\r\n", limits=limits) == 414


@pytest.mark.parametrize(("size", "expected"), [(0, None), (4, None), (5, 413), (10**30, 400)])
def test_a_length_beyond_the_body_limit_is_refused_with_the_head(size: int, expected: int | None) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    assert status(raw, limits=Limits(max_body_size=4)) == expected


def test_chunks_beyond_the_body_limit_are_refused_as_soon_as_they_are_there() -> None:
    limits = Limits(max_body_size=4)
    assert status(CHUNKED + b"4\r\nabcd\r\n0\r\n\r\n", limits=limits) is None
    assert status(CHUNKED + b"4\r\nabcd\r\n1\r\n", limits=limits) is None
    assert status(CHUNKED + b"4\r\nabcd\r\n1\r\ne", limits=limits) == 413
    assert status(CHUNKED + b"ff\r\nabcde", limits=limits) == 413
    assert status(CHUNKED, b"2\r\nab\r\n2\r\nc", b"d\r\n9\r\ne", limits=limits) == 413


def test_a_body_limit_of_zero_allows_none_and_none_allows_any() -> None:
    assert status(POST, limits=Limits(max_body_size=0)) == 413
    assert status(CHUNKED + b"1\r\n", limits=Limits(max_body_size=0)) is None
    assert status(CHUNKED + b"1\r\na", limits=Limits(max_body_size=0)) == 413
    assert status(CHUNKED + b"0\r\n\r\n", limits=Limits(max_body_size=0)) is None
    big = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 123456789012\r\n\r\n"
    assert status(big, limits=Limits(max_body_size=None)) is None
    assert status(CHUNKED + b"ffffffff\r\nabc", limits=Limits(max_body_size=None)) is None


def test_limits_of_one_server_are_not_those_of_another() -> None:
    assert status(POST) is None
    assert status(POST, limits=Limits(max_headers=1)) == 431
    assert status(POST) is None


def test_a_trailer_is_bounded_like_a_header_section() -> None:
    limits = Limits(max_header_size=100)
    assert status(CHUNKED + b"0\r\nX-A: " + b"b" * 80 + b"\r\n\r\n", limits=limits) is None
    for size in (101, 150, 1000):
        raw = CHUNKED + b"0\r\nX-A: " + b"b" * size + b"\r\n\r\n"
        expected = status(raw, limits=limits)
        assert expected in (431, 400), size
        assert status(*(raw[at : at + 1] for at in range(len(raw))), limits=limits) == expected


# ---------------------------------------------------------------- bodies and pieces


@pytest.mark.parametrize("size", [1, 9, 1000, 65536])
def test_a_large_body_comes_whole_out_of_its_pieces(size: int) -> None:
    body = bytes(range(256)) * 1024
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body + GET
    if size == 1:
        raw = raw.replace(body, body[:2048]).replace(b"%d" % len(body), b"2048")
    requestant = parse(*(raw[at : at + size] for at in range(0, len(raw), size)))
    assert [request.method for request in requestant.requests] == ["POST", "GET"]
    assert requestant.requests[0].body == (body[:2048] if size == 1 else body)
    assert type(requestant.requests[0].body) is bytes


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 1000])
def test_empty_lines_within_chunks_end_nothing(size: int) -> None:
    data = b"\r\n\r\n0\r\n\r\n\r\n\r\r\n\n" * 40
    body = b"%x\r\n" % len(data) + data + b"\r\n" + b"3\r\n\r\n\r\r\n0\r\n\r\n"
    raw = CHUNKED + body + GET + CHUNKED + body
    requestant = parse(*(raw[at : at + size] for at in range(0, len(raw), size)))
    assert [request.body for request in requestant.requests] == [data + b"\r\n\r", b"", data + b"\r\n\r"]
    assert type(requestant.requests[0].body) is bytes


def test_any_bytes_like_object_may_be_fed_and_used_again() -> None:
    buffer = bytearray(POST)
    requestant = Requestant(Limits())
    requestant.feed(buffer)
    requestant.feed(memoryview(buffer)[:-2])
    requestant.feed(memoryview(buffer)[-2:])
    buffer[:] = b"x" * len(buffer)
    assert [request.body for request in requestant.requests] == [b'{"x":1}'] * 2


def test_empty_data_changes_nothing() -> None:
    requestant = parse(b"", POST[:20], b"", POST[20:-2], b"", POST[-2:], b"")
    assert [request.body for request in requestant.requests] == [b'{"x":1}']


def test_requests_with_equal_heads_do_not_share_what_is_set_on_them() -> None:
    requestant = parse(POST, POST)
    first, second = requestant.requests
    first.remote = ("192.0.2.1", 1)
    first.secure = True
    assert first.headers["host"] == "localhost"
    assert second.remote is None
    assert not second.secure
    assert parse(POST).requests[0].remote is None


def test_more_heads_than_are_remembered_are_still_read() -> None:
    requestant = Requestant(Limits())
    for number in range(2000):
        requestant.feed(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    assert [request.path for request in requestant.requests] == [f"/{number}" for number in range(2000)]


# ---------------------------------------------------------------- what a request tells


def test_headers_are_read_in_any_case_of_letters() -> None:
    request = parse(b"GET / HTTP/1.1\r\nHOST: a\r\nX-Caf: \xe9\r\n\r\n").requests[0]
    headers = request.headers
    assert headers["Host"] == headers["host"] == headers["HOST"] == "a"
    assert headers.get("x-caf") == "\xe9"
    assert headers.get("x-none") is None
    assert headers.get("x-\u20ac", "none") == "none"
    assert "hOST" in headers
    assert 7 not in headers
    assert dict(headers) == {"host": "a", "x-caf": "\xe9"}
    assert len(headers) == 2
    assert "'host': 'a'" in repr(headers)
    assert request.headers is headers
    with pytest.raises(KeyError):
        headers["x-none"]


def test_a_request_knows_its_peer() -> None:
    request = parse(GET).requests[0]
    assert request.remote_ip == ""
    assert request.protocol == "http"
    for remote, text in ((("192.0.2.1", 80), "192.0.2.1"), (("::1", 80, 0, 0), "::1"), ("/run/x", "/run/x"), ((), "")):
        request.remote = remote
        assert request.remote_ip == text
    request.secure = True
    assert request.protocol == "https"


def test_a_fault_names_no_bytes_of_the_peer() -> None:
    for case in cases():
        fault = parse(case.raw).fault
        if fault:
            assert "smuggled" not in fault.text
            assert fault.text.isascii()
            assert fault.text.endswith(".")
            assert 10 < len(fault.text) < 100


def test_an_interrupt_while_parsing_is_not_taken_for_the_peers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from totohio.wire.heading import Reader

    def interrupt(reader: Reader, name: bytes, value: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reader, "on_header", interrupt)
    with pytest.raises(KeyboardInterrupt):
        parse(b"GET /interrupted HTTP/1.1\r\nHost: a\r\n\r\n")


def test_the_fields_that_equal_heads_share_cannot_be_written_to() -> None:
    requestant = Requestant(Limits())
    requestant.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(TypeError):
        requestant.requests[0].fields[b"host"] = b"y"  # type: ignore[index]
