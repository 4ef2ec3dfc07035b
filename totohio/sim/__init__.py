"""The simulated world: servers, clients, network, disks and faults on virtual time, replayed from one seed."""
