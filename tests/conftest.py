"""What holds for every test: no unexpected error logs, and nothing skipped in CI."""

import logging
import os
import signal
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

from totohio.sim.sweeps.running import scenario_of

IN_CI = bool(os.environ.get("CI"))

# A shell starts what runs in its background with SIGINT ignored, and servers of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no reason to fail; what to type to see a failure again is always worth printing.
PROFILE = hypothesis.settings.get_profile("ci" if IN_CI else "default")
hypothesis.settings.register_profile("totohio", parent=PROFILE, deadline=None, print_blob=True)
hypothesis.settings.load_profile("totohio")

# With --brief:
EXAMPLES = 25  # of each property
SHARE = 4  # of so many seeds of a sweep one is run
FEWEST = 40  # seeds of a sweep that are too few to leave any out


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our own option."""
    parser.addoption(
        "--brief",
        action="store_true",
        help="a quarter of the seeds and examples, where another run beside this one has all of them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have fewer examples if that is asked for; before any test is imported, since tests take what holds by then."""
    if config.getoption("brief"):
        parent = hypothesis.settings.get_profile("totohio")
        hypothesis.settings.register_profile("brief", parent=parent, max_examples=EXAMPLES)
        hypothesis.settings.load_profile("brief")


class ErrorLog(logging.Handler):
    """Keeps what the server logs as errors while one test runs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter("%(name)s: %(levelname)s: %(message)s"))
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record as text, its traceback included."""
        self.texts.append(self.format(record))


ERROR_LOG = pytest.StashKey[ErrorLog]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Listen to the server's logs from the setup of a test to the end of its teardown."""
    log = item.stash[ERROR_LOG] = ErrorLog()
    logger = logging.getLogger("totohio")
    level = logger.level
    logger.setLevel(min(level, logging.ERROR))  # 0 means the root's, which is low enough
    logger.addHandler(log)
    try:
        return (yield)
    finally:
        logger.removeHandler(log)
        logger.setLevel(level)


def check_error_log(item: pytest.Item) -> None:
    """Fail a test during which errors were logged, unless it is marked with ``expects_errors``."""
    log = item.stash[ERROR_LOG]
    texts, log.texts = log.texts, []
    if texts and not item.get_closest_marker("expects_errors"):
        pytest.fail("errors were logged that the test does not expect:\n" + "\n".join(texts), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Judge the test itself by what was logged until its end."""
    with pytest.MonkeyPatch.context() as patch:
        scenario = scenario_of(getattr(item, "function", None)) if item.config.getoption("brief") else None
        if scenario is not None and scenario.seeds > FEWEST:
            patch.setenv("TOTOHIO_SIM_SEEDS", str(scenario.seeds // SHARE))
        yield
    check_error_log(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Judge the teardown, where servers stop, by what was logged during it."""
    yield
    check_error_log(item)


def fail_if_skipped(report: Any) -> None:
    """Turn a skip into a failure, because green in CI must never mean "not run"."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (in CI nothing may be skipped)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge skips of single tests."""
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge skips of whole modules."""
    report = yield
    fail_if_skipped(report)
    return report
