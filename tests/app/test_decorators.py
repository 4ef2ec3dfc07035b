"""Decorators and typed parameters, as a client sees them."""

import json

import pytest

from tests.methods import Serve, body, call

# ---------------------------------------------------------------- decorators


def test_requires_names_what_is_missing(serve: Serve) -> None:
    client = serve({"m": body("return parameters", marks="@requires('a', 'b')")}).connect()
    assert client.call("m", {"a": 1, "b": None}) == {"result": {"a": 1, "b": None}}
    assert client.post("/m", {"x": 1}).json() == {"error": {"code": 1003, "value": "Missing parameters: a, b"}}
    assert client.post("/m", ["a", "b"]).json()["error"]["code"] == 1003
    assert client.get("/m?a=1&b=2").json() == {"result": {"a": "1", "b": "2"}}


def test_default_parameters_are_a_fresh_copy_each_call(serve: Serve) -> None:
    lines = ("parameters['l'].append(1)", "return parameters")
    client = serve({"m": body(*lines, marks="@default_parameters({'l': [], 'x': 5})")}).connect()
    for _ in range(2):
        assert client.post("/m", {"y": 2}).json() == {"result": {"l": [1], "x": 5, "y": 2}}
    assert client.post("/m", {"l": [0], "x": None}).json() == {"result": {"l": [0, 1], "x": None}}


@pytest.mark.parametrize(
    ("lines", "content_type", "sent"),
    [
        (("return b'\\x00\\xff'",), "application/octet-stream", b"\x00\xff"),
        (("handler.response_type = 'text/html'", "return '<b>\xe9</b>'"), "text/html", "<b>\xe9</b>".encode()),
        (("return None",), "application/octet-stream", b""),
        (("yield 0.1", "return b'late'"), "application/octet-stream", b"late"),
    ],
)
def test_a_raw_response_is_sent_as_it_is(serve: Serve, lines: tuple[str, ...], content_type: str, sent: bytes) -> None:
    client = serve({"m": body(*lines, marks="@raw_response")}).connect()
    for reply in (client.post("/m", {}), client.get("/m")):
        assert (reply.status, reply.body, reply.header("Content-Type")) == (200, sent, content_type)
    assert client.request("HEAD", "/m").header("Content-Length") == str(len(sent))


def test_the_error_of_a_raw_method_is_json(serve: Serve) -> None:
    lines = ("handler.response_type = 'text/html'", "raise TotoException(4242, '<b>')")
    reply = serve({"m": body(*lines, marks="@raw_response")}).connect().post("/m", {})
    assert (reply.header("Content-Type"), reply.json()["error"]["code"]) == ("application/json", 4242)


@pytest.mark.expects_errors
def test_a_raw_result_that_is_no_bytes_is_error_1000(serve: Serve) -> None:
    for expression in ("{'a': 1}", "7", "'\\ud800'"):
        source = body(f"return {expression}", marks="@raw_response")
        assert call(serve({"m": source}))["error"]["code"] == 1000  # type: ignore[index]


@pytest.mark.parametrize("decorator", ["@jsonp", "@jsonp('callback')", "@asynchronous\n@jsonp"])
def test_jsonp_calls_the_function_that_the_parameter_names(serve: Serve, decorator: str) -> None:
    name = "callback" if "callback" in decorator else "jsonp"
    source = body("return parameters.get('value', parameters)", marks=decorator)
    client = serve({"m": source}).connect()
    reply = client.get(f"/m?{name}=app.$cb.done_1&a=%3C/script%3E")
    assert reply.header("Content-Type") == "text/javascript"
    text = reply.body.decode()
    assert text.startswith("app.$cb.done_1(")
    assert text.endswith(")")
    assert "<" not in text
    assert json.loads(text.removeprefix("app.$cb.done_1(").removesuffix(")")) == {"a": "</script>"}
    assert client.post("/m", {name: "cb", "value": 5}).body == b"cb(5)"
    assert client.get("/m?a=1").json() == {"result": {"a": "1"}}
    assert client.get(f"/m?{name}=&a=1").json() == {"result": {name: "", "a": "1"}}


def test_jsonp_calls_its_function_also_with_none(serve: Serve) -> None:
    client = serve({"m": body("return None", marks="@jsonp")}).connect()
    assert client.get("/m?jsonp=cb").body == b"cb(null)"
    assert client.get("/m").body == b""


@pytest.mark.parametrize("callback", ["alert(1)//", "<script>", "a b", "a..b", "1a", ".a", "a-b", "a;b", "%0A"])
def test_a_jsonp_callback_that_is_no_name_is_error_1003(serve: Serve, callback: str) -> None:
    source = body("return 1", marks="@jsonp")
    reply = (
        serve({"m": source})
        .connect()
        .get(f"/m?jsonp={callback.replace(' ', '+').replace('<', '%3C').replace('>', '%3E')}")
    )
    assert (reply.header("Content-Type"), reply.json()["error"]["code"]) == ("application/json", 1003)


def test_the_error_of_a_jsonp_method_is_json(serve: Serve) -> None:
    source = body("raise TotoException(4242, 'x')", marks="@jsonp")
    reply = serve({"m": source}).connect().get("/m?jsonp=cb")
    assert (reply.header("Content-Type"), reply.json()) == ("application/json", {"error": {"code": 4242, "value": "x"}})


REDIRECT = "@error_redirect({'4242': '/custom', 404: '/missing'}, '/error')"


@pytest.mark.parametrize("before", ["", "yield 0.1"])
@pytest.mark.parametrize(
    ("raised", "location"),
    [
        ("TotoException(4242, 'x')", "/custom"),
        ("type('Gone', (Exception,), {'status_code': 404})()", "/missing"),
        ("type('Both', (TotoException,), {'status_code': 404})(4242, 'x')", "/custom"),
        pytest.param("ValueError('x')", "/error", marks=pytest.mark.expects_errors),
    ],
)
def test_error_redirect_sends_the_client_elsewhere(serve: Serve, before: str, raised: str, location: str) -> None:
    source = body(before or "pass", f"raise {raised}", marks=REDIRECT)
    reply = serve({"m": source}).connect().post("/m", {})
    assert (reply.status, reply.header("Location"), reply.body) == (302, location, b"")


@pytest.mark.expects_errors
@pytest.mark.parametrize(("raised", "count"), [("KeyError('x')", 1), ("TotoException(1, 'x')", 0)])
def test_an_unexpected_error_is_logged_also_when_it_redirects(
    serve: Serve, caplog: pytest.LogCaptureFixture, raised: str, count: int
) -> None:
    serve({"m": body(f"raise {raised}", marks=REDIRECT)}).connect().post("/m", {})
    assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True] * count


def test_error_redirect_without_a_match_or_an_error_changes_nothing(serve: Serve) -> None:
    lines = ("if parameters.get('fail'):", "    raise TotoException(1, 'x')", "return 5")
    client = serve({"m": body(*lines, marks="@error_redirect({4242: '/custom'})")}).connect()
    assert client.call("m") == {"result": 5}
    assert client.call("m", {"fail": 1}) == {"error": {"code": 1, "value": "x"}}


def test_error_redirect_covers_what_other_decorators_refuse(serve: Serve) -> None:
    for decorators in (
        "@requires('a')\n@error_redirect({1003: '/x'})",
        "@error_redirect({1003: '/x'})\n@requires('a')",
    ):
        client = serve({"m": body("return 1", marks=decorators)}).connect()
        assert client.post("/m", {"b": 1}).header("Location") == "/x"


@pytest.mark.parametrize("mark", ["authenticated", "authenticated_with_parameter", "anonymous_session"])
def test_without_a_database_nobody_is_authorized(serve: Serve, mark: str) -> None:
    source = body("return 1", marks=f"@{mark}")
    client = serve({"m": source}, database="none").connect()
    for headers in ({}, {"x-toto-session-id": "A" * 22}):
        reply = client.post("/m", {"session_id": "A" * 22}, headers=headers)
        assert reply.json() == {"error": {"code": 1004, "value": "Not authorized"}}


def test_an_optionally_authenticated_method_runs_without_a_session(serve: Serve) -> None:
    source = body("return [handler.session, parameters]", marks="@optionally_authenticated")
    assert call(serve({"m": source}), parameters={"x": 1}) == {"result": [None, {"x": 1}]}


# ---------------------------------------------------------------- typed parameters

TYPED = {
    "struct": "import msgspec\nclass P(msgspec.Struct):\n    amount: int\n    tags: list[str] = []\n",
    "dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass P:\n    amount: int\n"
        "    tags: list[str] = dataclasses.field(default_factory=list)\n"
    ),
    "typeddict": (
        "from typing import NotRequired, TypedDict\n"
        "class P(TypedDict):\n    amount: int\n    tags: NotRequired[list[str]]\n"
    ),
}


@pytest.mark.parametrize("kind", sorted(TYPED))
def test_typed_parameters_are_checked_and_converted(serve: Serve, kind: str) -> None:
    get = (
        "parameters['amount'], parameters.get('tags', [])"
        if kind == "typeddict"
        else "parameters.amount, parameters.tags"
    )
    source = TYPED[kind] + f"def invoke(handler, parameters: P):\n    return [{get}]\n"
    client = serve({"m": source}).connect()
    assert client.post("/m", {"amount": 5, "tags": ["a"]}).json() == {"result": [5, ["a"]]}
    assert client.call("m", {"amount": 5}) == {"result": [5, []]}
    for sent, where in (
        ({"amount": "5"}, "Expected `int`, got `str` - at `$.amount`"),
        ({"amount": 5, "tags": ["a", 1]}, "Expected `str`, got `int` - at `$.tags[1]`"),
        ({"x": 1}, "Object missing required field `amount`"),
    ):
        assert client.post("/m", sent).json() == {"error": {"code": 1003, "value": where}}
    assert client.post("/m", [1]).json()["error"]["code"] == 1003
    assert client.get("/m?amount=5&tags=a").json() == {"result": [5, ["a"]]}
    assert client.get("/m?amount=five").json()["error"]["code"] == 1003
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/m", b"amount=7&tags=a&tags=b", headers=form).json() == {"result": [7, ["a", "b"]]}


def test_typed_parameters_inside_a_batch_are_the_entrys_own(serve: Serve) -> None:
    source = TYPED["struct"] + "def invoke(handler, parameters: P):\n    return parameters.amount\n"
    reply = (
        serve({"m": source})
        .connect()
        .post(
            "/", {"batch": {"a": {"method": "m", "parameters": {"amount": 1}}, "b": {"method": "m", "parameters": {}}}}
        )
    )
    assert reply.json()["batch"]["a"] == {"result": 1}
    assert reply.json()["batch"]["b"]["error"]["code"] == 1003


def test_a_raw_reply_has_the_type_that_its_method_sets_and_no_other(serve: Serve) -> None:
    own = body("handler.response_type = ''.join(['application/', 'json'])", "return '[1]'", marks="@raw_response")
    world = serve({"own": own, "plain": body("return b'x'", marks="@raw_response")}, msgpack_enabled=True)
    client = world.connect()
    assert client.post("/own", {}).header("content-type") == "application/json"
    reply = client.post("/plain", b"\x80", headers={"Content-Type": "application/msgpack"})
    assert (reply.header("content-type"), reply.body) == ("application/octet-stream", b"x")
