"""``totohio settings``: show the settings that hold and where each came from."""

from totohio.app.configuring import load
from totohio.app.settings import groups
from totohio.cli.parsing import Command, Order


def _run(order: Order) -> int:
    settings = load(*order.words, options=order.settings)
    lines = {
        group: [(f"{row.name}: {row.shown(getattr(settings, row.name))}", settings.sources[row.name]) for row in rows]
        for group, rows in groups().items()
    }
    width = max(len(text) for rows in lines.values() for text, _ in rows)
    for index, (group, rows) in enumerate(lines.items()):
        print(f"{'' if index == 0 else chr(10)}# {group}")
        for text, source in rows:
            print(f"{text:{width}}  # {source}")
    return 0


COMMAND = Command(
    name="settings",
    words="[CONF]",
    least=0,
    most=1,
    doc="Show the settings that hold and where each came from.\n\n"
    "What is printed is itself a configuration file. Secrets are hidden.",
    run=_run,
    configurable=True,
)
