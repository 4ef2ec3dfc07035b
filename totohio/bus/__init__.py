"""How events travel between processes: adapters of the port `core.ports.Bus`."""
