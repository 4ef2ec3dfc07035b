"""Multipart forms become arguments and files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from totohio.app.forms import MAX_PARTS, multipart
from totohio.base.errors import TotoException

TYPE = "multipart/form-data; boundary=XX"


def part(headers: str, body: bytes) -> bytes:
    return b"--XX\r\n" + headers.encode() + b"\r\n\r\n" + body + b"\r\n"


def field(name: str, body: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', body)


def refused(content_type: str | bytes, body: bytes, query: str = "") -> None:
    with pytest.raises(TotoException) as caught:
        multipart(content_type, body, query)
    assert caught.value.code == 1011


def test_parts_with_a_file_name_are_files_and_the_others_arguments() -> None:
    upload = 'Content-Disposition: form-data; name="up"; filename="{}"'
    body = (
        field("a", b"1")
        + part(upload.format("a.txt") + "\r\nContent-Type: text/plain", b"file data")
        + part(upload.format("b.bin") + "\r\nContent-Type: image/png", b"\x00\xff\r\n--X\r\n")
        + field("a", "é ".encode())
        + b"--XX--\r\n"
    )
    assert multipart(TYPE, body, "") == {
        "parameters": {
            "arguments": {"a": ["1", "é "]},
            "files": {
                "up": [
                    {"filename": "a.txt", "body": b"file data", "content_type": "text/plain"},
                    {"filename": "b.bin", "body": b"\x00\xff\r\n--X\r\n", "content_type": "image/png"},
                ]
            },
        }
    }


def test_values_of_the_query_come_first() -> None:
    found = multipart(TYPE.encode(), field("a", b"form") + b"--XX--", "a=query&q=1")
    assert found == {"parameters": {"arguments": {"a": ["query", "form"], "q": ["1"]}, "files": {}}}


def test_a_file_without_a_type_is_of_unknown_type() -> None:
    body = part('Content-Disposition: form-data; name="up"; filename="x"', b"") + b"--XX--"
    assert multipart(TYPE, body, "")["parameters"]["files"]["up"] == [
        {"filename": "x", "body": b"", "content_type": "application/unknown"}
    ]


def test_an_input_for_files_that_was_left_empty_is_no_file() -> None:
    body = part('Content-Disposition: form-data; name="up"; filename=""', b"") + b"--XX--"
    assert multipart(TYPE, body, "")["parameters"] == {"arguments": {"up": [""]}, "files": {}}


def test_a_form_without_parts_is_empty() -> None:
    assert multipart(TYPE, b"--XX--\r\n", "") == {"parameters": {"arguments": {}, "files": {}}}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (TYPE, b""),
        (TYPE, b"garbage"),
        (TYPE, field("a", b"1")),  # never ends
        (TYPE, b"--XX\r\nContent-Disposition: form-data"),
        (TYPE, part("Content-Disposition: form-data", b"no name") + b"--XX--"),
        (TYPE, field("a", b"\xff") + b"--XX--"),
        (TYPE, field("a", b"1").replace(b"name=", b"name\xff=") + b"--XX--"),
        (
            TYPE,
            part('Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64', b"MQ==") + b"--XX--",
        ),
        ("multipart/form-data", b"--XX--"),
        ("multipart/form-data; boundary=", b"----"),
        (f"multipart/form-data; boundary={'X' * 71}", b"--"),
        (b"multipart/form-data; boundary=\xff", b"--XX--"),
    ],
)
def test_malformed_forms_are_1011(content_type: str | bytes, body: bytes) -> None:
    refused(content_type, body)


def test_a_query_that_is_malformed_is_1011_here_too() -> None:
    refused(TYPE, b"--XX--", "a=%FF")


def test_the_number_of_parts_and_the_size_of_their_headers_are_bounded() -> None:
    assert (
        len(multipart(TYPE, field("a", b"1") * MAX_PARTS + b"--XX--", "")["parameters"]["arguments"]["a"]) == MAX_PARTS
    )
    refused(TYPE, field("a", b"1") * (MAX_PARTS + 1) + b"--XX--")
    refused(TYPE, part('Content-Disposition: form-data; name="a"\r\nX: ' + "x" * 10_000, b"1") + b"--XX--")


@given(
    st.lists(st.sampled_from([b"--XX", b"\r\n", b"--", field("a", b"1"), b'filename="', b"Content-Type: x", b"\xff"]))
)
def test_any_bytes_are_read_as_a_form_or_refused(pieces: list[bytes]) -> None:
    try:
        found = multipart(TYPE, b"".join(pieces), "")
    except TotoException as error:
        found = {"refused": error.code}
    assert found.keys() == {"parameters"} or found == {"refused": 1011}
