"""From names to methods: what a method package serves, found once at start-up."""

import inspect
import pkgutil
import types
from collections.abc import Callable, Iterator
from typing import Any

from totohio.base.errors import SettingsError, TotohioError
from totohio.core.guarding import prepare
from totohio.core.importing import load
from totohio.core.marking import Marks, marks

BUILT_IN = "totohio.app.methods."  # modules that a method package may serve by importing them


class Method:
    """A module with ``invoke(handler, parameters)``, and all that is known of it before it is called.

    Attributes:
        name: Its dotted name below the method package.
        module: The module.
        invoke: Its function.
        marks: What decorators have said of the function.
        guard: Applied to the parameters before the call; None when there is nothing to apply.
        plain: No mark asks for anything but a call with the parameters and a reply with the result.
        simple: Its result is sent in an envelope, when it returns.
        doc: The documentation text of the function or the module, "" without one.
    """

    __slots__ = ("doc", "guard", "invoke", "marks", "module", "name", "on_connection_close", "plain", "simple")

    def __init__(self, name: str, module: types.ModuleType) -> None:
        self.name = name
        self.module = module
        self.invoke: Callable[[Any, Any], Any] = module.invoke
        self.marks: Marks = marks(self.invoke)
        try:
            self.guard = prepare(self.marks, self.invoke)
        except TotohioError as error:
            raise SettingsError(f"the method {name}: {error}") from None
        self.on_connection_close: Callable[[Any], Any] | None = getattr(module, "on_connection_close", None)
        self.plain = self.guard is None and self.marks == Marks() and self.on_connection_close is None
        marked = self.marks
        self.simple = not (marked.raw or marked.asynchronous or marked.jsonp is not None)
        self.doc = inspect.getdoc(self.invoke) or inspect.getdoc(module) or ""

    def __repr__(self) -> str:
        return f"<Method {self.name}>"


class Registry:
    """The methods of a package.

    A name is looked up from the package down through its own submodules to one that has ``invoke``.
    Nothing else can be called: not what a module imports, not private or dunder names.

    Attributes:
        package: The package.
        others: Its modules that have no ``invoke``, in the order in which they were found.
    """

    def __init__(self, package: types.ModuleType) -> None:
        self.package = package
        self.others: list[types.ModuleType] = []
        self._methods: dict[str, Method] = {}
        self._collect(package, "")
        self.find: Callable[[str], Method | None] = self._methods.get

    @classmethod
    def load(cls, name: str) -> "Registry":
        """Import the method package of that name with all its submodules.

        Raises:
            SettingsError: There is no such package, or a method in it wants parameters of no known type.
            LoadError: A module of it raises when it is imported.
        """
        try:
            package = load(name)
        except ModuleNotFoundError:
            raise SettingsError(f"method_module: there is no module {name!r} on the module path") from None
        return cls(package)

    def walk(self) -> Iterator[Method]:
        """Give all methods, by name."""
        for name in sorted(self._methods):
            yield self._methods[name]

    def _collect(self, package: types.ModuleType, prefix: str) -> None:
        for info in pkgutil.iter_modules(getattr(package, "__path__", [])):
            if not info.name.startswith("_"):
                self._add(prefix + info.name, load(f"{package.__name__}.{info.name}"))
        if not prefix:
            for name, module in list(vars(package).items()):
                if isinstance(module, types.ModuleType) and module.__name__ == BUILT_IN + name:
                    self._add(name, module)

    def _add(self, name: str, module: types.ModuleType) -> None:
        if callable(getattr(module, "invoke", None)):
            self._methods[name] = Method(name, module)
        else:
            self.others.append(module)
        self._collect(module, name + ".")
