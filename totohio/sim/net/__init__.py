"""The simulated network: sockets, pollers, what carries segments between hosts, and rules for it."""
