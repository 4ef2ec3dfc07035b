"""Runs the commands: ``python -m totohio serve conf/settings.yaml``."""

import sys

from totohio.cli import main

if __name__ == "__main__":
    sys.exit(main())
