"""Bodies: values to bytes and back in the formats that calls are made in.

A request names its format in Content-Type; MessagePack and BSON requests are answered in kind,
everything else in JSON. JSON and MessagePack are msgspec's, BSON is pymongo's (extra ``bson``).

Besides the plain values, whatever msgspec writes by itself may be in a reply: dataclasses, Structs,
TypedDicts, named tuples, sets, Enums, Decimal, UUID, dates and times. JSON has no form for bytes, NaN and
Infinity; MessagePack and BSON have and carry them as they are.
"""

import datetime
import re
import uuid
from collections.abc import Mapping
from math import isfinite
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from totohio.base.errors import ERROR_MALFORMED_BODY, ERROR_SERVER, SettingsError, TotoException

# Made at run time, so that no text that a method sets is the same object: that tells the server's choice from it.
JSON = "/".join(("application", "json"))
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
MSGPACK = "/".join(("application", "msgpack"))
BSON = "/".join(("application", "bson"))

MAX_FIELDS = 10_000  # fields of a query or form: a security limit, far beyond what forms have

_BINARY = (bytes, bytearray, memoryview)
_NATIVE = (*_BINARY, datetime.datetime, uuid.UUID)  # what BSON has beyond JSON
_NAMES = frozenset((str, int, float, bool, type(None)))  # types of keys that JSON can write
_HARMLESS = frozenset((str, int, bool, type(None)))  # types of values that JSON has as they are
_KEY_ONLY = frozenset((bool, type(None), tuple, list, dict, frozenset))
_KEYS = {None: "null", True: "true", False: "false"}  # what JSON makes of them, as Python's json does

# Every MessagePack float that is NaN or infinite starts like this; ordinary text may too, seldom.
_find_odd_float = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]").search


def _malformed(text: str) -> TotoException:
    return TotoException(ERROR_MALFORMED_BODY, text)


class _Unsendable(TotoException):
    """Tells what cannot be sent; every other error while a value is written comes from the value's own code."""


def _unsendable(text: str) -> TotoException:
    return _Unsendable(ERROR_SERVER, text)


def _simplify(value: Any) -> Any:
    """Give an object that msgspec does not write in a form that it does: subclasses of plain types, odd keys."""
    kind = type(value)
    if kind in _KEY_ONLY:  # msgspec writes these itself, except as keys
        if kind is bool or value is None:
            return _KEYS[value]
        raise _unsendable(f"A key of type {kind.__qualname__} cannot be sent.")
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, _BINARY):
        return bytes(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, msgspec.Raw):
        return _decode(value)
    raise _unsendable(f"An object of type {kind.__qualname__} cannot be sent.")


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(enc_hook=_simplify).encode
_unpack = msgspec.msgpack.Decoder().decode
_pack = msgspec.msgpack.Encoder(enc_hook=_simplify).encode


def _where(body: bytes, error: Exception) -> str:
    """Tell what is wrong with a body, and where as far as that is known."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "text that is not UTF-8"
    text = str(error)
    if text == "Input data was truncated":
        return f"the input ends too early (byte {len(body)})"
    return text.partition(" is malformed: ")[2] or text


def decode_json(body: bytes) -> Any:
    """Read a JSON body.

    Raises:
        TotoException: 1011, with what is wrong and where; also for NaN, Infinity, numbers that do not fit a
            float, text that is not UTF-8, and more nesting than the interpreter bears.
    """
    try:
        return _decode(body)
    except UnicodeDecodeError:
        raise _malformed(f"Malformed JSON: text that is not UTF-8 (byte {_odd_byte(body)})") from None
    except (ValueError, RecursionError) as error:
        raise _malformed(f"Malformed JSON: {_where(body, error)}") from None


def _odd_byte(body: bytes) -> int:
    """Give the position of the first byte that is not UTF-8; msgspec's counts from the start of its string."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(body)


encode_sound = _encode
"""Writes as JSON what is known to have a JSON form, and to hold neither bytes nor odd floats; others raise anything."""


def encode_json(value: Any) -> bytes:
    """Write a value as JSON.

    msgspec writes bytes as base64, and NaN and Infinity as null, silently; both would be wrong data at the
    client. Looking for them costs a walk over the value, unless the value's MessagePack form, made as
    fast as its JSON, rules them out: bytes always have one of three type codes there, and odd floats one
    beginning. Measured: 0.2 microseconds for a small reply, where the walk alone takes 0.5.

    Raises:
        TotoException: 1000, naming the type that has no JSON form, or the error that the value raised.
    """
    try:
        body = _encode(value)
    except _Unsendable:
        raise
    except Exception as error:
        raise _refusal("JSON", error) from error
    try:
        packed = _pack(value)
    except Exception:  # ints beyond 64 bits, which JSON has
        _verify_all(value)
        return body
    if 0xC4 in packed or 0xC5 in packed or 0xC6 in packed or (body.find(b"null") >= 0 and _find_odd_float(packed)):
        _verify_all(value)
    return body


def _verify_all(value: Any) -> None:
    """Raise for what JSON does not have in a value that msgspec writes as JSON nevertheless."""
    try:
        _verify(msgspec.to_builtins(value, builtin_types=_BINARY, enc_hook=_simplify))
    except _Unsendable:
        raise
    except Exception as error:
        raise _refusal("JSON", error) from error


def _verify(value: Any) -> None:
    kind = type(value)
    if kind is dict:
        items = value.values()
        if not _NAMES.issuperset(map(type, value)):
            odd = next(type(key).__qualname__ for key in value if type(key) not in _NAMES)
            raise _unsendable(f"A key of type {odd} cannot be sent as JSON.")
    elif kind is list or kind is tuple:
        items = value
    elif kind is float and not isfinite(value):
        raise _unsendable(f"The float {value} cannot be sent as JSON.")
    elif kind in _BINARY:
        raise _unsendable(f"An object of type {kind.__qualname__} cannot be sent as JSON.")
    else:
        return
    if not _HARMLESS.issuperset(map(type, items)):
        for item in items:
            _verify(item)


def _refusal(form: str, error: Exception) -> TotoException:
    """Make the error for a value that cannot be written, as precise as can be found out."""
    if isinstance(error, RecursionError):
        return _unsendable("The result is nested too deeply, or contains itself.")
    if isinstance(error, UnicodeError):
        return _unsendable(f"A str that is not Unicode text cannot be sent as {form}.")
    if isinstance(error, OverflowError):
        return _unsendable(f"An int of more than 64 bits cannot be sent as {form}.")
    return _unsendable(f"The result cannot be sent as {form}: {_told(error)}")


def _told(error: Exception) -> str:
    """Give an error's text, and its type unless msgspec may have raised it; this never fails and can be sent."""
    name = type(error).__qualname__
    try:
        text = str(error).encode(errors="backslashreplace").decode()
    except Exception:  # its __str__ is the method's code and may fail like any other
        return name
    if type(error) in (TypeError, ValueError) and text:
        return text
    return f"{name}: {text}" if text else name


def decode_msgpack(body: bytes) -> Any:
    """Read a MessagePack body, of the old or the new specification.

    Raises:
        TotoException: 1011, with what is wrong and where.
    """
    try:
        return _unpack(body)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise _malformed(f"Malformed MessagePack: {_where(body, error)}") from None


def encode_msgpack(value: Any) -> bytes:
    """Write a value as MessagePack.

    Raises:
        TotoException: 1000, naming what has no MessagePack form, or the error that the value raised.
    """
    try:
        return _pack(value)
    except _Unsendable:
        raise
    except Exception as error:
        raise _refusal("MessagePack", error) from error


class _Bson:
    """BSON over pymongo, which is there only where the extra is installed."""

    def __init__(self) -> None:
        try:
            import bson
        except ImportError:
            raise SettingsError("bson_enabled needs pymongo: install totohio[bson]") from None
        self._bson: ModuleType = bson
        self._options = bson.CodecOptions[dict[str, Any]](uuid_representation=bson.binary.UuidRepresentation.STANDARD)

    def decode(self, body: bytes) -> Any:
        try:
            return self._bson.decode(body, self._options)
        except Exception as error:  # pymongo promises InvalidBSON but lets others through
            raise _malformed(f"Malformed BSON: {_where(body, error)}") from None

    def encode(self, value: Any) -> bytes:
        try:
            return self._encode(value)
        except Exception:  # what BSON does not know may have a plain form
            return self._encode_simplified(value)

    def _encode(self, value: Any) -> bytes:
        body: bytes = self._bson.encode(value, codec_options=self._options)
        return body

    def _encode_simplified(self, value: Any) -> bytes:
        try:
            return self._encode(msgspec.to_builtins(value, builtin_types=_NATIVE, str_keys=True, enc_hook=_simplify))
        except _Unsendable:
            raise
        except Exception as error:
            raise _refusal("BSON", error) from error


class Packer:
    """The formats that a server speaks.

    Args:
        msgpack: Whether MessagePack is one of them.
        bson: Whether BSON is one of them.

    Raises:
        SettingsError: BSON is wanted and pymongo is not installed.
    """

    def __init__(self, *, msgpack: bool = False, bson: bool = False) -> None:
        self._bson = _Bson() if bson else None
        self._kinds = {JSON: JSON, FORM: FORM, MULTIPART: MULTIPART}
        if msgpack:
            self._kinds[MSGPACK] = MSGPACK
        if bson:
            self._kinds[BSON] = BSON

    def kind(self, content_type: str | bytes | None) -> str | None:
        """Tell which format a Content-Type stands for; None when bodies of it are not parsed.

        No Content-Type, and any that starts with ``application/json``, is JSON, as clients rely on it.
        """
        if content_type == b"application/json" or not content_type:
            return JSON
        if isinstance(content_type, bytes):
            content_type = content_type.decode("latin-1")
        name = content_type.partition(";")[0].strip().lower()
        return JSON if name.startswith(JSON) else self._kinds.get(name)

    def unpack(self, kind: str | None, body: bytes) -> Any:
        """Read a body of JSON, MessagePack or BSON; a body of anything else is not parsed and gives None.

        Raises:
            TotoException: 1011, with what is wrong and where.
        """
        if kind == JSON:
            return decode_json(body)
        if kind == MSGPACK:
            return decode_msgpack(body)
        if kind == BSON and self._bson is not None:
            return self._bson.decode(body)
        return None

    def pack(self, kind: str | None, value: Any) -> bytes:
        """Write a reply in the format of its request: MessagePack, BSON, or JSON for all others.

        Raises:
            TotoException: 1000, naming what has no form there.
        """
        if kind == MSGPACK:
            return encode_msgpack(value)
        if kind == BSON and self._bson is not None:
            return self._bson.encode(value)
        return encode_json(value)

    def reply_type(self, kind: str | None) -> str:
        """Give the Content-Type of the reply to a request of a kind."""
        return kind if kind in (MSGPACK, BSON) and kind else JSON


def parse_query(query: str) -> dict[str, list[str]]:
    """Read a query string or an urlencoded form: the values of each name, in order, blank ones too.

    Args:
        query: As sent, without the question mark; bytes beyond ASCII as Latin-1 characters.

    Raises:
        TotoException: 1011 for text that is not UTF-8 and for more than `MAX_FIELDS` fields.
    """
    if not query:
        return {}
    fields: dict[str, list[str]] = {}
    try:
        if not query.isascii():
            query = query.encode("latin-1").decode()
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeError:
        raise _malformed("Malformed form or query: it is not UTF-8.") from None
    except ValueError:
        raise _malformed(f"Malformed form or query: it has more than {MAX_FIELDS} fields.") from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def query_parameters(query: str) -> dict[str, Any]:
    """Give the parameters of a GET: one value is a string, repeated ones are a list.

    Raises:
        TotoException: 1011, as for `parse_query`.
    """
    if not query:
        return {}
    return {name: values[0] if len(values) == 1 else values for name, values in parse_query(query).items()}


def form(body: bytes, query: str) -> dict[str, Any]:
    """Read an urlencoded form: a body with ``parameters``, each a list of the query's values, then the form's.

    Raises:
        TotoException: 1011, as for `parse_query`.
    """
    fields = parse_query(query)
    for name, values in parse_query(body.decode("latin-1")).items():
        fields.setdefault(name, []).extend(values)
    return {"parameters": fields} if fields else {}


def script_safe(text: bytes) -> bytes:
    """Make JSON safe inside a script: no ``<`` that could end it, no line ends that only JavaScript knows."""
    return text.replace(b"<", b"\\u003c").replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")


def is_callback(name: Any) -> bool:
    """Tell whether it is the name of a JavaScript function, with dots between objects: ``app.replies.one``."""
    return isinstance(name, str) and all(part.replace("$", "_").isidentifier() for part in name.split("."))
