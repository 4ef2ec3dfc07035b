"""The simulated world: servers, clients, network, disks and faults on virtual time, replayed from one seed.

It is a kit for tests: of totohio, of methods written for it, and of Doers that run beside it.
"""

from typing import TYPE_CHECKING

from totohio.base.deferring import deferred

if TYPE_CHECKING:
    from totohio.sim.checks.checking import CheckFailed
    from totohio.sim.checks.histories import ANY, History, Operation
    from totohio.sim.checks.linearizing import NotLinearizable, Undecided, check_linearizable
    from totohio.sim.checks.models import AnyOf, Counter, Map, Model, Register
    from totohio.sim.clients.asking import Client
    from totohio.sim.clients.calling import CallerDoer
    from totohio.sim.clients.loading import Load, Sample
    from totohio.sim.clients.visiting import visit
    from totohio.sim.escapes.escaping import EscapeError
    from totohio.sim.faulting import Fault
    from totohio.sim.hosting import Host
    from totohio.sim.net.ruling import Rule, delay, drop, hold, one_way, partition, refuse, reset_nth
    from totohio.sim.pictures.drawing import timeline
    from totohio.sim.pictures.plotting import latency_plot
    from totohio.sim.pictures.tracing import Trace
    from totohio.sim.processing import Process, ProcessDied
    from totohio.sim.profiles import PROFILES, Profile
    from totohio.sim.recordings.replaying import Report, replay
    from totohio.sim.scheduling import Stuck
    from totohio.sim.seeding import Dice
    from totohio.sim.stores.redis import SimRedis
    from totohio.sim.sweeps.running import explore, sim
    from totohio.sim.sweeps.sweeping import DeterminismError, Sweep
    from totohio.sim.worlding import World
else:
    __getattr__, __dir__ = deferred(
        globals(),
        {
            "totohio.sim.checks.checking": "CheckFailed",
            "totohio.sim.checks.histories": "ANY History Operation",
            "totohio.sim.checks.linearizing": "NotLinearizable Undecided check_linearizable",
            "totohio.sim.checks.models": "AnyOf Counter Map Model Register",
            "totohio.sim.clients.asking": "Client",
            "totohio.sim.clients.calling": "CallerDoer",
            "totohio.sim.clients.loading": "Load Sample",
            "totohio.sim.clients.visiting": "visit",
            "totohio.sim.escapes.escaping": "EscapeError",
            "totohio.sim.faulting": "Fault",
            "totohio.sim.hosting": "Host",
            "totohio.sim.net.ruling": "Rule delay drop hold one_way partition refuse reset_nth",
            "totohio.sim.pictures.drawing": "timeline",
            "totohio.sim.pictures.plotting": "latency_plot",
            "totohio.sim.pictures.tracing": "Trace",
            "totohio.sim.processing": "Process ProcessDied",
            "totohio.sim.profiles": "PROFILES Profile",
            "totohio.sim.recordings.replaying": "Report replay",
            "totohio.sim.scheduling": "Stuck",
            "totohio.sim.seeding": "Dice",
            "totohio.sim.stores.redis": "SimRedis",
            "totohio.sim.sweeps.running": "explore sim",
            "totohio.sim.sweeps.sweeping": "DeterminismError Sweep",
            "totohio.sim.worlding": "World",
        },
    )

__all__ = [
    # worlds
    "sim",
    "explore",
    "Sweep",
    "World",
    "Host",
    "Process",
    "Client",
    "CallerDoer",
    "visit",
    "Load",
    "Sample",
    "Dice",
    "SimRedis",
    # roughness
    "Profile",
    "PROFILES",
    "Fault",
    "Rule",
    "partition",
    "one_way",
    "hold",
    "drop",
    "delay",
    "reset_nth",
    "refuse",
    # what must hold
    "check_linearizable",
    "History",
    "Operation",
    "ANY",
    "AnyOf",
    "Model",
    "Register",
    "Counter",
    "Map",
    # what goes wrong
    "CheckFailed",
    "NotLinearizable",
    "Undecided",
    "EscapeError",
    "ProcessDied",
    "Stuck",
    "DeterminismError",
    # recordings
    "replay",
    "Report",
    # pictures
    "Trace",
    "timeline",
    "latency_plot",
]
