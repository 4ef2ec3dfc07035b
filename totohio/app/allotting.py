"""Worker threads that sessions share, of which none can have all.

A session has at most half of the threads, rounded up, and all sessions of a user have at most all but one; where there
is one thread, whoever has it has it. What waits does so here, in a queue for each session, and not in the pool: when a
thread is free, a user and a session have their turn that have had none for longest. So whatever somebody has queued,
others wait for what is in the threads alone.

What is given up while it waits is never carried out. What is given up in a thread goes on to its end, but waits for
nobody any more; it is counted as long as it takes.
"""

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from totohio.base.environing import Pool
from totohio.base.futures import Future

if TYPE_CHECKING:
    from totohio.remote.sessions import RemoteSession


class Task(partial[Any]):
    """Something that is done in a thread; whoever names it sees the function.

    Attributes:
        session: Whose it is.
        user_id: Whose that is.
        future: Gets what it brings.
        given_up: Nobody wants that any more.
        waits: What it waits for in its thread.
    """

    session: "RemoteSession"
    user_id: str | None
    future: Future[Any]
    given_up: bool
    waits: set[Future[Any]]

    def __call__(self, /, *args: Any, **kw: Any) -> Any:
        """Do it, in the thread."""
        if self.given_up:
            return None
        token = _current.set(self)
        try:
            return super().__call__(*args, **kw)
        finally:
            _current.reset(token)


_current: ContextVar[Task | None] = ContextVar("task", default=None)  # each thread, and each greenlet, has its own


def current() -> Task | None:
    """Give what the calling thread does; None when that is nothing of a session's."""
    return _current.get()


class Allotter:
    """Gives threads of a pool to sessions; for the thread of the cycle alone."""

    def __init__(
        self,
        pool: Pool,
        size: int,
        *,
        began: "Callable[[RemoteSession], object] | None" = None,
        ended: "Callable[[RemoteSession], object] | None" = None,
    ) -> None:
        """Set it up.

        Args:
            pool: Has the threads, and nobody else submits anything to it.
            size: How many threads it has.
            began: Called when a thread begins with something of a session's.
            ended: Called when no thread does anything of a session's any more.
        """
        self._pool = pool
        self._size = size
        self._share = (size + 1) // 2  # of a session
        self._most = max(size - 1, 1)  # of a user
        self._began = began
        self._ended = ended
        self._tasks: dict[Future[Any], Task] = {}
        self._queues: dict[str | None, dict[RemoteSession, dict[Task, None]]] = {}  # who had a turn last comes last
        self._busy: dict[Task, None] = {}  # what is in a thread
        self._users: Counter[str | None] = Counter()  # how much of that is of each
        self._sessions: Counter[RemoteSession] = Counter()
        self._given_up: Counter[RemoteSession] = Counter()

    def __len__(self) -> int:
        """How much is in a thread, or waits for one."""
        return len(self._tasks)

    def held(self, session: "RemoteSession") -> int:
        """Tell how many threads still do what a session has given up."""
        return self._given_up[session] if self._given_up else 0  # a Counter is slow to say that it has none

    def submit(self, session: "RemoteSession", function: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        """Have something done in a thread; give the Future of what it brings."""
        task = Task(function, *args, **kw)
        task.session, task.user_id = session, session.user_id
        task.future, task.given_up, task.waits = Future(), False, set()
        self._tasks[task.future] = task
        self._queues.setdefault(task.user_id, {}).setdefault(session, {})[task] = None
        self._start()
        return task.future

    def give_up(self, future: Future[Any]) -> None:
        """Do without what a Future would have brought; nothing happens when it is none of this, or over."""
        task = self._tasks.get(future)
        if task is None or task.given_up:
            return
        task.given_up = True
        if task in self._busy:
            self._given_up[task.session] += 1
            for wait in tuple(task.waits):
                wait.cancel()
        else:
            self._take(task)
            del self._tasks[future]
        future.cancel()

    def _take(self, task: Task) -> None:
        """Take something out of its queue; those who have others there come last."""
        sessions = self._queues.pop(task.user_id)
        queue = sessions.pop(task.session)
        del queue[task]
        if queue:
            sessions[task.session] = queue
        if sessions:
            self._queues[task.user_id] = sessions

    def _next(self) -> Task | None:
        """Give what is to be done next; None when nothing is that may be."""
        for user_id, sessions in self._queues.items():
            if self._users[user_id] < self._most:
                for session, queue in sessions.items():
                    if self._sessions[session] < self._share:
                        return next(iter(queue))
        return None

    def _start(self) -> None:
        while len(self._busy) < self._size and (task := self._next()) is not None:
            self._take(task)
            self._busy[task] = None
            self._users[task.user_id] += 1
            self._sessions[task.session] += 1
            if self._began is not None:
                self._began(task.session)
            try:
                done = self._pool.submit(task)
            except Exception as error:  # the pool is closed, or the machine has no thread
                self._over(task, None, error)
            else:
                done.add_done_callback(partial(self._done, task))

    def _done(self, task: Task, done: Future[Any]) -> None:
        """A thread is free again; this is called in the cycle."""
        self._over(task, *done.outcome())
        self._start()

    def _over(self, task: Task, value: Any, error: BaseException | None) -> None:
        del self._tasks[task.future], self._busy[task]
        _less(self._users, task.user_id)
        _less(self._sessions, task.session)
        if task.given_up:
            _less(self._given_up, task.session)
        if self._ended is not None and task.session not in self._sessions:
            self._ended(task.session)
        if error is None:
            task.future.set_result(value)
        else:
            task.future.set_exception(error)


def _less(counter: "Counter[Any]", key: Any) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
