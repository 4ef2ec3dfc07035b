"""Servers whose accounts a test changes while sessions last, and clients that are looked at again."""

from typing import Any

from tests.remote.support import PASSWORD, Dialer, enrol, lending
from totohio.remote import DisconnectedError
from totohio.sim import World
from totohio.sim.hosting import Host
from totohio.sim.worlding import Script

MANAGE = """
from totohio.core.account import account_key
from totohio.core.ports import Transaction, Write


def second_factor(account):
    account.totp, account.totp_on = b"secret", True


def invoke(handler, parameters):
    db, keeper, unit, user_id = handler.db_connection, handler._keeper(), handler.unit(), parameters["user_id"]
    match parameters["what"]:
        case "remove":
            unit.write(Transaction((), (Write(account_key(user_id), None),)))
        case "renew":  # the same user id, of somebody else
            unit.write(Transaction((), (Write(account_key(user_id), None),)))
            db.create_account(user_id, "correct horse")
        case "password":
            db.change_password(user_id, "correct horse", "another horse")
        case "clear":
            db.clear_sessions(user_id)
        case "demote":
            db.set_roles(user_id, ["other"])
        case "factor":
            keeper.accounts.change(unit, user_id, second_factor)
        case "logout":
            db.remove_session(parameters["session_id"])
        case "others":
            kept = keeper.sessions.find(unit, parameters["session_id"])
            keeper.accounts.end_sessions(unit, user_id, lambda account: None, keep=kept)
        case "property":
            keeper.accounts.open(unit, user_id)["color"] = "red"
"""
PERIOD = 60.0  # seconds between two looks at a session, unless a test says something else
MOMENT = 1.0  # seconds in which the end of a session is known at both ends


def begin(world: World, **options: Any) -> Host:
    """Start a server whose accounts a test can change, and make two."""
    server = lending(world, methods={"manage": MANAGE}, **options)
    world.run(1.0)
    enrol(world, server, "ada", "grace")
    return server


def manage(world: World, server: Host, what: str, user_id: str = "ada", **more: Any) -> None:
    """Change something about an account."""
    world.call(server, "manage", {"what": what, "user_id": user_id, **more})


def use(dialer: Dialer) -> Any:
    """Use what is lent; give what comes of it."""

    def script() -> Script:
        yield dialer.doer.ready
        try:
            return (yield dialer.doer.remote.add(1, 2))
        except DisconnectedError as error:
            return str(error)

    return dialer.run(script())


def lasts(world: World, dialer: Dialer, most: float) -> float:
    """Wait until a client has no session any more; give how many seconds that took."""
    began = world.tyme
    world.run_until(lambda: dialer.doer.user_id is None, within=most)
    return world.tyme - began


def logged_in(world: World, server: Host) -> dict[str, str]:
    """Open a session over HTTP; give what opens one with it."""
    session = world.call(server, "account.login", {"user_id": "ada", "password": PASSWORD})
    return {"session_id": session["session_id"], "session_key": session["key"]}
