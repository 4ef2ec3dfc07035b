"""What somebody can ask who has not said who it is: to do so."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from totohio.base.errors import ERROR_NOT_AUTHORIZED, TotoException
from totohio.remote.ports import House
from totohio.wire.lending import LendingError

if TYPE_CHECKING:
    from totohio.remote.sessions import RemoteSession

VERSION = 1


def greet(session: "RemoteSession", house: House, operation: Any, args: list[Any]) -> Any:
    """Carry out a request of somebody who is not known; give its result, or a generator that waits for it.

    Raises:
        LendingError: It speaks another version.
        TotoException: 1004, it asks for something else; or what the gate says.
    """
    gate, call = house.gate, house.fibers.call
    match operation, args:
        case "hello", [int(version)]:
            if version != VERSION:
                raise LendingError(f"version {version} is not spoken here, but {VERSION}")
            policy = house.policy
            limits = {"max_frame": policy.max_frame, "max_references": policy.max_references}
            return {"version": VERSION, "nonce": session.nonce, **limits}
        case "challenge", [user_id, nonce]:
            return call(gate.challenge, session, user_id, nonce)
        case "prove", [proof]:
            result = call(gate.prove, session, proof)
        case "present", [session_id, mac]:
            result = call(gate.present, session, session_id, mac)
        case _:
            raise TotoException(ERROR_NOT_AUTHORIZED, "Not authorized")
    return _later(session, result) if house.fibers.paused(result) else session.enter(result)


def _later(session: "RemoteSession", result: Any) -> Generator[Any, Any, Any]:
    return session.enter((yield from result))
