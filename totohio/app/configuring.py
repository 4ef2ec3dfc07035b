"""From what people wrote to `Settings`: reading, converting, checking, and who wins over whom.

There are five layers, and a later one wins over those before it: the defaults of the table, keyword
arguments, the configuration file, the environment, the command line. Every layer is validated, also
where a later one hides it, so a wrong value is found when it is written and not when it is needed.
"""

import importlib.util
import math
import os
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from totohio.app.options import PREFIX, Option
from totohio.app.settings import OPTIONS, Settings
from totohio.base.errors import SettingsError
from totohio.base.writing import printable, quoted

if TYPE_CHECKING:
    import yaml

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})
SIMULATION = PREFIX + "SIM_"  # begins variables that are for simulated tests, and no options
SECRETS = frozenset((PREFIX + "PASSWORD", PREFIX + "SESSION_KEY"))  # variables of those who ask a server
SHOWN = 60  # characters of a wrong value that an error repeats
ALIKE = 0.6  # how alike a wrong name and a right one are, from 0 to 1, for it to be suggested


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave.

    Attributes:
        value: As it was given; text from the environment and the command line is converted.
        source: Where it comes from, for `Settings.sources`.
        place: The same as precisely as it is known, for errors.
    """

    value: Any
    source: str
    place: str


Layer = dict[str, Given]


def load(
    conf_file: str | os.PathLike[str] | None = None,
    *,
    arguments: Mapping[str, Any] = types.MappingProxyType({}),
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, Any] = types.MappingProxyType({}),
) -> Settings:
    """Give the settings that hold.

    Args:
        conf_file: The configuration file, flat YAML.
        arguments: Options by name, from a program.
        environ: The environment; None is that of this process.
        options: Options by name, from the command line; texts are converted.

    Raises:
        SettingsError: The file cannot be read, an option does not exist, or a value is not right.
    """
    layers = [
        _arguments(arguments),
        {} if conf_file is None else read(conf_file),
        _environment(os.environ if environ is None else environ),
        _options(options),
    ]
    values = {name: row.default for name, row in OPTIONS.items()}
    sources = dict.fromkeys(OPTIONS, "default")
    depths = dict.fromkeys(OPTIONS, -1)
    for depth, layer in enumerate(layers):
        textual = depth >= 2  # the environment and the command line know only text
        for name, given in layer.items():
            values[name] = convert(OPTIONS[name], given, textual=textual)
            sources[name], depths[name] = given.source, depth
    _choose_address(values, sources, depths)
    _check(values, sources)
    folder = None if conf_file is None else os.path.dirname(os.path.abspath(conf_file))
    return Settings(**values, folder=folder, sources=types.MappingProxyType(sources))


def module_path(settings: Settings) -> list[str]:
    """Give the folders in which modules are looked for first: the working directory and the configuration file's."""
    folders = [os.getcwd()]
    if settings.folder is not None and settings.folder not in folders:
        folders.append(settings.folder)
    return folders


# ---------------------------------------------------------------- the layers


def _arguments(arguments: Mapping[str, Any]) -> Layer:
    for name in arguments:
        if name not in OPTIONS:
            raise _unknown(name, OPTIONS, "")
    return {name: Given(value, "argument", "argument") for name, value in arguments.items()}


def _environment(environ: Mapping[str, str]) -> Layer:
    variables = {row.variable: row.name for row in OPTIONS.values()}
    layer: Layer = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(SIMULATION) or variable in SECRETS:
            continue
        if variable not in variables:
            raise _unknown(variable, variables, "environment")
        layer[variables[variable]] = Given(value, variable, variable)
    return layer


def _options(options: Mapping[str, Any]) -> Layer:
    for name in options:
        if name not in OPTIONS:
            raise _unknown("--" + name.replace("_", "-"), [row.flag for row in OPTIONS.values()], "")
    return {name: Given(value, OPTIONS[name].flag, OPTIONS[name].flag) for name, value in options.items()}


def read(conf_file: str | os.PathLike[str]) -> Layer:
    """Read a configuration file into values by name, not yet converted.

    Raises:
        SettingsError: It cannot be read, is not flat YAML, or has an unknown or doubled name.
    """
    import yaml  # here, since most of who imports this module reads no file

    path = os.fspath(conf_file)
    source = os.path.basename(path)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{source}: not UTF-8 at byte {error.start}") from None
    try:
        return _flat(yaml.SafeLoader(text), source)
    except yaml.YAMLError as error:
        raise SettingsError(_fault(error, source)) from None
    except (ValueError, RecursionError) as error:  # such as the date 2026-99-99, or ten thousand brackets
        raise SettingsError(f"{source}: {error}") from None


def _fault(error: "yaml.YAMLError", source: str) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", "not YAML"))
    if problem.startswith("but"):
        problem = f"{getattr(error, 'context', '')} {problem}"
    return f"{source}{'' if mark is None else f', line {mark.line + 1}'}: {problem}"


def _flat(loader: Any, source: str) -> Layer:
    import yaml

    node = loader.get_single_node()
    if node is None:  # an empty file
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{source}, line {node.start_mark.line + 1}: expected lines of the form name: value")
    layer: Layer = {}
    for key, value in node.value:
        place = f"{source}, line {key.start_mark.line + 1}"
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if name not in OPTIONS:
            raise _unknown(name, OPTIONS, place)
        if name in layer:
            raise SettingsError(f"{name}: given twice (from {place})")
        layer[name] = Given(loader.construct_object(value, deep=True), source, source)
    return layer


def _unknown(name: object, known: Iterable[str], place: str) -> SettingsError:
    shown = str(name)[:SHOWN]
    near = nearest(shown, known)
    where = f" (from {place})" if place else ""
    hint = f"; did you mean {near}?" if near else ""
    return SettingsError(f"{printable(shown)}: no such option{where}{hint}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Give the known name that somebody most likely meant, or None when none is alike."""

    def bare(text: str) -> str:
        return text.lower().replace("-", "").replace("_", "")

    names = {bare(text): text for text in known}
    wanted = bare(name)
    for candidate, text in names.items():
        if sorted(candidate) == sorted(wanted):  # swapped letters: prot is port rather than root
            return text
    import difflib  # here, since few are wrong

    found = difflib.get_close_matches(wanted, names, 1, ALIKE)
    return names[found[0]] if found else None


# ---------------------------------------------------------------- one value


def convert(row: Option, given: Given, *, textual: bool) -> Any:
    """Give a value in the type of its option.

    Args:
        row: The option.
        given: The value as it was given.
        textual: A text may stand for a value of any type, as in the environment.

    Raises:
        SettingsError: It is no value of the option.
    """
    value = given.value
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if textual and isinstance(value, str):
        value = _from_text(row, value)
    if value is None and row.optional:
        return None
    fits, value = _fit(row, value)
    if not fits:
        got = "" if row.secret else f", got {_shown(given.value)}"
        raise SettingsError(f"{row.name}: expected {_expected(row, value)}{got} (from {given.place})")
    return value


def _from_text(row: Option, text: str) -> Any:
    """Turn a text into a value of the option's type; leave it where that does not work."""
    if row.optional and not text:
        return None
    word = text.strip()
    if row.kind is bool:
        return True if word.lower() in TRUE else False if word.lower() in FALSE else text
    if row.kind in (int, float) and re.fullmatch(r"[+-]?[0-9]+", word) and len(word) <= SHOWN:
        return int(word)
    if row.kind in (int, float) and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", word):
        return float(word)
    return text


def _fit(row: Option, value: Any) -> tuple[bool, Any]:
    """Tell whether a value is one of the option's, and give it in the option's type."""
    if row.kind is bool:
        return isinstance(value, bool), value
    if row.kind is str:
        return _fit_text(row, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False, value
    if row.kind is int and value != int(value):
        return False, value
    number = row.kind(value)
    return (row.least is None or number >= row.least) and (row.most is None or number <= row.most), number


def _fit_text(row: Option, value: Any) -> tuple[bool, Any]:
    # YAML reads a bare off as False, a bare on as True, and null is how some write none.
    for meant, written in ((False, "off"), (True, "on"), (None, "none")):
        if value is meant and written in row.choices:
            value = written
    if not isinstance(value, str):
        return False, value
    if row.choices:
        return value in row.choices, value
    return row.shape is None or row.shape.fits(value), value


def _expected(row: Option, value: Any) -> str:
    if row.kind is int and isinstance(value, float):
        return row.expected.replace("a number", "a whole number", 1)
    return row.expected


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list, set, tuple)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value if len(value) <= SHOWN else value[:SHOWN] + "...")
    return printable(str(value)[:SHOWN])


# ---------------------------------------------------------------- values that depend on each other


def _choose_address(values: dict[str, Any], sources: dict[str, str], depths: dict[str, int]) -> None:
    """Listen either on a port or on a Unix socket: on the one that was given in the later layer."""
    if values["uds"] is None:
        return
    for name in ("host", "port"):
        if depths[name] == depths["uds"] and values[name] != OPTIONS[name].default:
            raise SettingsError(f"uds: it excludes {name}, the server listens on one of them (from {sources['uds']})")
    later = max(("host", "port"), key=depths.__getitem__)
    if depths[later] > depths["uds"]:
        values["uds"], sources["uds"] = None, sources[later]


def _check(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    for name in ("keyfile", "cafile"):
        if values[name] is not None and values["certfile"] is None:
            raise SettingsError(f"{name}: needs certfile (from {sources[name]})")
    if values["processes"] == 0:
        raise SettingsError(f"processes: expected at least 1, or -1, got 0 (from {sources['processes']})")
    for name, packages, wanted in (
        ("msgpack_enabled", ("msgpack",), "msgpack"),
        ("bson_enabled", ("bson", "pymongo"), "totohio[bson]"),  # a package called just bson is another one
    ):
        if values[name] and not all(_installed(package) for package in packages):
            raise SettingsError(
                f"{name}: needs the package {packages[-1]}: pip install '{wanted}' (from {sources[name]})"
            )


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # it is in sys.modules without a spec, or as None
        return False
