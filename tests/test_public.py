"""The public face: taking a name away, or adding one, is a decision and not an accident."""

import totohio

CODES = 18
NAMES = """
    TotoServer Settings PollingDoist Environment TotoHandler BatchHandlerProxy EventManager
    Stream EventStream requires default_parameters raw_response
    jsonp error_redirect asynchronous authenticated authenticated_with_parameter optionally_authenticated
    anonymous_session requires_role pausable lend TotoSession TotoAccount DBConnection TotoSessionCache
    RedisSessionCache
    ClientCache AESCipher sleep Future TaskQueue InstancePool AwaitableInstance TotoException TotohioError
    SettingsError LoadError StoreError InvalidStateError CancelledError __version__
"""


def test_the_public_names_are_these() -> None:
    codes = [name for name in totohio.__all__ if name.startswith("ERROR_")]
    assert [name for name in totohio.__all__ if name not in codes] == NAMES.split()
    assert [getattr(totohio, name) for name in codes] == [*range(1000, 1000 + CODES), -1]


def test_every_public_name_is_there() -> None:
    assert all(hasattr(totohio, name) for name in totohio.__all__)
