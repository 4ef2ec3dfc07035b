"""Multipart forms, read by falcon's parser.

It stands in `app` rather than `wire` because falcon reads from streams and brings its own input and output.
"""

import io
from typing import Any

from falcon import HTTPError
from falcon.media.multipart import MultipartFormHandler, MultipartParseOptions

from totohio.base.errors import ERROR_MALFORMED_BODY, TotoException
from totohio.wire.packing import parse_query

MAX_PARTS = 1000  # parts of one form: a security limit, as each costs far more than its bytes
MAX_PART_HEADERS = 8192  # bytes of one part's headers: a security limit
UNKNOWN_TYPE = "application/unknown"  # of a file that does not say; Toto's word


def multipart(content_type: str | bytes, body: bytes, query: str) -> dict[str, Any]:
    """Read a multipart form.

    A part with a file name is a file, any other an argument; the values of the query come before those of
    the form.

    Args:
        content_type: The Content-Type with its boundary.
        body: The form.
        query: The query string of the request.

    Returns:
        ``{"parameters": {"arguments": {name: [text]}, "files": {name: [file]}}}``, where a file is a
        dictionary of ``filename``, ``body`` (bytes) and ``content_type``.

    Raises:
        TotoException: 1011, when the form is malformed, text in it is not UTF-8, or it has too many parts.
    """
    arguments: dict[str, list[str]] = parse_query(query)
    files: dict[str, list[dict[str, Any]]] = {}
    if isinstance(content_type, bytes):
        content_type = content_type.decode("latin-1")
    options = MultipartParseOptions()
    options.max_body_part_count = MAX_PARTS
    options.max_body_part_headers_size = MAX_PART_HEADERS
    options.max_body_part_buffer_size = len(body)
    try:
        for part in MultipartFormHandler(options).deserialize(io.BytesIO(body), content_type, len(body)):
            name = part.name
            if name is None:
                raise _malformed("a part has no name")
            data = part.get_data()
            if part.filename:
                known = b"content-type" in part._headers  # falcon itself would call it text
                kind = part.content_type if known else UNKNOWN_TYPE
                files.setdefault(name, []).append({"filename": part.filename, "body": data, "content_type": kind})
            else:
                arguments.setdefault(name, []).append(data.decode())
    except HTTPError as error:
        raise _malformed(str(error.description or error.title or "")) from None
    except UnicodeError:
        raise _malformed("text in it is not UTF-8") from None
    return {"parameters": {"arguments": arguments, "files": files}}


def _malformed(text: str) -> TotoException:
    return TotoException(ERROR_MALFORMED_BODY, f"Malformed multipart form: {text}")
