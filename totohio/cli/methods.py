"""``totohio methods``: list what is served."""

import sys

from totohio.app.building import extend_path
from totohio.app.configuring import load
from totohio.app.noticing import unserved
from totohio.base.writing import printable
from totohio.cli.parsing import Command, Order
from totohio.core.marking import Defaults, Marks
from totohio.core.registering import Registry


def _run(order: Order) -> int:
    settings = load(*order.words, options=order.settings)
    extend_path(settings)
    registry = Registry.load(settings.method_module)
    found = list(registry.walk())
    if not found:
        print(f"totohio: {settings.method_module} has no methods: no module in it has invoke", file=sys.stderr)
    width = max((len(method.name) for method in found), default=0)
    for method in found:
        doc = method.doc.strip().partition("\n")[0]
        marks = " ".join(_decorators(method.marks))
        print(f"{method.name:{width}}  {printable(doc)}{f'  [{marks}]' if marks else ''}".rstrip())
    sys.stdout.flush()  # before what is said of others
    for line in unserved(registry, settings):
        print(f"totohio: {printable(line)}", file=sys.stderr)
    return 0


def _decorators(marks: Marks) -> list[str]:
    """Name the decorators that left these marks, the outermost first where that matters."""
    names = []
    for step in marks.steps:
        if isinstance(step, Defaults):
            names.append(f"@default_parameters({', '.join(step.values)})")
        else:
            names.append(f"@requires({', '.join(step.names)})")
    if marks.raw:
        names.append("@raw_response")
    if marks.jsonp is not None:
        names.append(f"@jsonp({marks.jsonp})")
    if marks.redirects is not None:
        names.append("@error_redirect")
    if marks.asynchronous:
        names.append("@asynchronous")
    if marks.session is not None:
        names.append(f"@{marks.session}")
    return names


COMMAND = Command(
    name="methods",
    words="[CONF]",
    least=0,
    most=1,
    doc="List the methods that are served, with their first line of documentation and their decorators.\n\n"
    "A module of the package that nothing imports and that has no function invoke is named on standard error.",
    run=_run,
    configurable=True,
)
