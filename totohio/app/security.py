"""The options of accounts, sessions, signatures and cookies: a part of the table in `settings`."""

from dataclasses import dataclass
from typing import Literal

from totohio.app.options import FILE, FUNCTION, LINE, option

KIB = 1024
GIB = 1024 * 1024 * KIB
LARGEST = 2**40  # bytes or seconds: nothing of ours can be larger

STORES = "Database"
SESSIONS = "Sessions"
PASSWORDS = "Accounts and passwords"
SIGNATURES = "Signatures"
COOKIES = "Cookies"


@dataclass(frozen=True, kw_only=True)
class Security:
    """Options of accounts and sessions; `settings.Settings` has them all."""

    database: Literal["none", "memory", "lmdb", "redis"] = option(
        "lmdb",
        STORES,
        "Where accounts and sessions live: in files on this machine, shared by its processes (lmdb), in a Redis server "
        "that many machines share (redis), in this process until it ends (memory), or nowhere (none). With lmdb the "
        "files are made when the first method needs them.",
    )
    database_path: str = option(
        "totohio-data", STORES, "The folder of the files of database lmdb; it is made when it is not there.", shape=FILE
    )
    database_max_size: int = option(
        16 * GIB,
        STORES,
        "How large the files of database lmdb may grow; beyond it calls that write get error 1012.",
        unit="bytes",
        least=1024 * KIB,
        most=2**46,
    )
    database_url: str = option(
        "redis://127.0.0.1:6379/0",
        STORES,
        "Where the server of database redis is; docs/howto/stores.md has the forms for TLS, Sentinel and Cluster.",
        shape=LINE,
        secret=True,
    )
    database_prefix: str = option(
        "totohio",
        STORES,
        "What the names of all keys in Redis begin with, so that applications can share one.",
        shape=LINE,
    )
    database_timeout: float = option(
        2.0,
        STORES,
        "How long Redis may take to answer before the calls that wait for it get error 1012.",
        unit="seconds",
        least=0.01,
        most=60,
    )
    redis_replicas: int = option(
        0,
        STORES,
        "How many replicas of Redis must have a write before it counts as done.",
        unit="replicas",
        least=0,
        most=16,
    )

    session_ttl: int = option(
        31_536_000,
        SESSIONS,
        "How long a session of a user lives after its last use.",
        unit="seconds",
        least=1,
        most=LARGEST,
    )
    anon_session_ttl: int = option(
        86_400,
        SESSIONS,
        "How long an anonymous session lives after its last use.",
        unit="seconds",
        least=1,
        most=LARGEST,
    )
    session_renew: int = option(
        0,
        SESSIONS,
        "How near to its end a session of a user must be for its use to move that; 0 moves it with every use.",
        unit="seconds",
        least=0,
        most=LARGEST,
    )
    anon_session_renew: int = option(
        0,
        SESSIONS,
        "How near to its end an anonymous session must be for its use to move that; 0 moves it with every use.",
        unit="seconds",
        least=0,
        most=LARGEST,
    )
    session_renew_granularity: float = option(
        60.0,
        SESSIONS,
        "How much later the end of a session must become for it to be written, so that reading is not writing.",
        unit="seconds",
        least=0,
        most=86_400,
    )
    session_lifetime: int = option(
        0,
        SESSIONS,
        "How long any session lives from its beginning, however much it is used; 0 for no such end.",
        unit="seconds",
        least=0,
        most=LARGEST,
    )
    session_keys: str | None = option(
        None,
        SESSIONS,
        "Has clients hold their sessions themselves, sealed: keys in base64 of 32 random bytes each, separated by "
        "commas. The first seals, all open, so that keys can be changed.",
        shape=LINE,
        secret=True,
    )
    session_max_size: int = option(
        4096,
        SESSIONS,
        "How long the id of a session may be that its client holds; a session that needs more cannot be saved.",
        unit="characters",
        least=256,
        most=65_536,
    )

    password_rules: Literal["auto", "always", "never"] = option(
        "auto",
        PASSWORDS,
        "Whether new passwords are looked at: always, never, or unless accounts end with the process (auto).",
    )
    password_min_length: int = option(
        8, PASSWORDS, "How long a new password must be.", unit="characters", least=1, most=64
    )
    password_common: bool = option(True, PASSWORDS, "Refuses new passwords that are among the 3,000 most common.")
    password_memory: int = option(
        19_456, PASSWORDS, "How much memory the hash of a password takes (argon2id).", unit="KiB", least=64, most=2**22
    )
    password_time: int = option(
        2, PASSWORDS, "How many passes the hash of a password takes (argon2id).", unit="passes", least=1, most=1000
    )
    password_threads: int = option(
        2, PASSWORDS, "How many passwords are hashed at a time.", unit="threads", least=1, most=256
    )
    max_account_size: int = option(
        65_536, PASSWORDS, "How much the properties of an account may take; 0 for any size.", unit="bytes", least=0
    )
    login_throttle: bool = option(
        True, PASSWORDS, "Delays attempts to log in after some have failed; those too early get error 1013."
    )
    trusted_proxies: str = option(
        "",
        PASSWORDS,
        "Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas: where the client is, "
        "for the throttle and the list of sessions.",
        shape=LINE,
    )
    totp_issuer: str = option(
        "totohio", PASSWORDS, "The name under which apps for second factors show accounts.", shape=LINE
    )
    reset_function: str | None = option(
        None,
        PASSWORDS,
        "A function, as module.function, that brings the code of account.reset to the user: it gets user_id and code "
        "as keyword arguments, in a worker thread. Without it account.reset is refused.",
        shape=FUNCTION,
    )

    hmac_enabled: bool = option(False, SIGNATURES, "Requires and sends signatures where there is a session.")
    hmac_algorithm: Literal["sha256", "sha1"] = option(
        "sha256", SIGNATURES, "The hash that signatures are made with; sha1 is what Toto's clients know."
    )
    hmac_replay_window: float = option(
        0.0,
        SIGNATURES,
        "Requires signed requests to have a date and a nonce, refuses those older than this, and any that comes twice; "
        "0 requires neither.",
        unit="seconds",
        least=0,
        most=86_400,
    )

    use_cookies: bool = option(False, COOKIES, "Takes session ids from a cookie too, and sets it.")
    secure_cookies: bool = option(True, COOKIES, "Has browsers send the cookie over TLS only.")
    cookie_domain: str | None = option(
        None, COOKIES, "The domain that the cookie is for; by default the host.", shape=LINE
    )
    cookie_prefix: Literal["", "__Host-", "__Secure-"] = option(
        "",
        COOKIES,
        "What the cookie's name begins with: browsers hold such cookies to TLS, and __Host- to the host that set them.",
    )
    cookie_secret: str | None = option(
        None,
        COOKIES,
        "Signs the cookie's value: secrets of 16 characters or more, separated by commas; the first signs, all verify.",
        shape=LINE,
        secret=True,
    )
    trusted_origins: str = option(
        "",
        COOKIES,
        "Origins such as https://example.org whose pages may make calls with the cookie, separated by commas, beside "
        "the server's own.",
        shape=LINE,
    )
