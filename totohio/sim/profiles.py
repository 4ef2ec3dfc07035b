"""How rough a simulated world is: four profiles, from one without any chance to one in which anything fails.

A profile says how the network delays and cuts what it carries, how long worker threads take, and which faults are
drawn how often. Faults come by the number of segments sent, not by the clock, so that a busy millisecond meets as
many as a quiet hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How rough a world is.

    Attributes:
        name: Its name.
        latency: Seconds between two hosts at best, least and most; each pair of hosts draws its own. None is none.
        jitter: Seconds on average that a segment takes longer than that.
        bandwidth: Bytes a second.
        fragment: The probability that what is sent is cut once more.
        partial: The probability that a send or receive handles only a part of what it could.
        least_buffer: Bytes of the smallest socket buffer; 0 leaves all at their largest.
        task: Seconds that a worker thread's task takes on average.
        gap: Segments between two faults on average.
        most: How many faults there are at most.
        seconds: How long a fault lasts, least and most.
        faults: The weight of each kind of fault.
        store_gap: Commits of databases between two faults of their disks on average.
        store_most: How many of these there are at most.
        store_faults: The weight of each kind of them.

    Raises:
        ValueError: There is no such kind.
    """

    name: str
    latency: tuple[float, float] | None = None
    jitter: float = 0.0
    bandwidth: float = 1e15
    fragment: float = 0.0
    partial: float = 0.0
    least_buffer: int = 0
    task: float = 0.0
    gap: float = 0.0
    most: int = 0
    seconds: tuple[float, float] = (0.001, 30.0)
    faults: Mapping[str, int] = field(default_factory=dict)
    store_gap: float = 0.0
    store_most: int = 0
    store_faults: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, faults, known in (
            ("faults", self.faults, ALL_FAULTS),
            ("store_faults", self.store_faults, STORE_FAULTS),
        ):
            for kind in faults:
                if kind not in known:
                    raise ValueError(f"{name}: expected some of {', '.join(known)}, got {kind!r}")


NETWORK_FAULTS = {"reset": 4, "partition": 3, "isolate": 2, "slow": 3, "hold": 2, "refuse": 1, "pause": 3}
ALL_FAULTS = NETWORK_FAULTS | {"crash": 3, "kill": 3, "step_clock": 2, "exhaust": 1, "disk_full": 1, "disk_error": 1}
STORE_FAULTS = {"store_slow": 4, "store_full": 1, "store_error": 2}

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(name="still"),
        Profile(
            name="sunny",
            latency=(0.0001, 0.001),
            jitter=0.0001,
            bandwidth=100 * MIB,
            fragment=0.1,
            partial=0.02,
            task=0.001,
        ),
        Profile(
            name="stormy",
            latency=(0.0001, 0.05),
            jitter=0.002,
            bandwidth=1 * MIB,
            fragment=0.3,
            partial=0.1,
            least_buffer=512,
            task=0.005,
            gap=40.0,
            most=12,
            faults=NETWORK_FAULTS,
            store_gap=20.0,
            store_most=4,
            store_faults=STORE_FAULTS,
        ),
        Profile(
            name="radioactive",
            latency=(0.0001, 0.2),
            jitter=0.01,
            bandwidth=MIB / 8,
            fragment=0.5,
            partial=0.2,
            least_buffer=128,
            task=0.02,
            gap=25.0,
            most=24,
            faults=ALL_FAULTS,
            store_gap=10.0,
            store_most=8,
            store_faults=STORE_FAULTS,
        ),
    )
}
"""The profiles of this kit, by name."""


def profile_name(faults: str | Profile) -> str:
    """Give the name of a profile, or of what is one already."""
    return faults.name if isinstance(faults, Profile) else faults


def profile(name: str) -> Profile:
    """Give the profile of that name.

    Raises:
        ValueError: There is none.
    """
    __tracebackhide__ = True
    if name not in PROFILES:
        raise ValueError(f"faults: expected one of {', '.join(PROFILES)}, got {name!r}")
    return PROFILES[name]
