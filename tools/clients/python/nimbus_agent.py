"""Records an agent with Nimbus, and re-executes it: the protocol of docs/protocol.md.

    import nimbus_agent

    with nimbus_agent.open("deploy", input={"app": "web"}) as agent:
        with agent.step("tool_call", tool="bash", input={"command": "ls"}) as step:
            if not step.recorded:
                step.output = run_bash("ls")
        count = agent.call("count", lambda step: len(listing), input={"of": "files"})
        agent.complete({"files": count})

Run it as `nimbus record -- python3 agent.py`. After a crash `nimbus record --operation ID
-- …` resumes: what is recorded is not run again. `nimbus-replay exec ID -- …` runs the
same code against the recording, and nothing outside happens.

Everything that may differ in another run belongs into a step, or comes from the agent:
`now()`, `random_bytes()`, `new_id()`, `value()`.

One file, Python 3.9 or newer, no dependency. An Agent may be used by several threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Type

PROTOCOL = 1
CLIENT = "nimbus_agent.py 1"

Json = Any  # what json.dumps takes

_UNSET: Any = object()  # null is a value, too


class AgentError(Exception):
    """Of everything that this module raises."""


class NotRecorded(AgentError):
    """The program was not started by `nimbus record` or `nimbus-replay exec`."""


class RecorderGone(AgentError):
    """The recorder has ended, or a call to it was cut off. What it replied to is safe."""


class StepFailed(AgentError):
    """A step failed, now or when it was recorded: the same exception in every run."""

    def __init__(self, number: int, error: str, output: Json = None):
        super().__init__(f"step {number} failed: {error}")
        self.number = number
        self.error = error
        self.output = output


class RpcError(AgentError):
    """The recorder's answer to a call that it refused."""

    def __init__(self, code: int, message: str, data: Dict[str, Json]):
        super().__init__(message)
        self.code = code
        self.kind: str = data.get("kind", "")
        self.step: Optional[int] = data.get("step")
        self.data = data


class Diverged(RpcError):
    """This call is not the one that was recorded in its place."""

    @property
    def expected(self) -> Json:
        return self.data.get("expected")

    @property
    def actual(self) -> Json:
        return self.data.get("actual")


class InDoubt(RpcError):
    """The step was begun, and nobody knows whether it ran: Agent.settle or run_again."""


class Ended(RpcError):
    """The operation has ended."""


class Superseded(RpcError):
    """Another recorder went on with this operation."""


class Incomplete(RpcError):
    """Re-executing, where the recording ends or what it held was erased."""


_ERRORS: Dict[str, Type[RpcError]] = {
    "diverged": Diverged,
    "in_doubt": InDoubt,
    "ended": Ended,
    "superseded": Superseded,
    "incomplete": Incomplete,
}


@dataclasses.dataclass
class Outcome:
    """What a step or an operation took. A duration left out is measured."""

    duration_ms: Optional[int] = None
    tokens_used: Optional[int] = None
    input_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    cache_read_tokens: Optional[int] = None
    cache_write_tokens: Optional[int] = None
    cost_microdollars: Optional[int] = None

    def _params(self) -> Dict[str, int]:
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Retry:
    """How often an attempt is made, and how long to wait before the next one."""

    attempts: int = 3
    delay_s: float = 0.5
    factor: float = 2.0

    def wait(self, attempt: int) -> None:
        time.sleep(self.delay_s * self.factor ** (attempt - 1))


@dataclasses.dataclass
class Call:
    """One of the steps that Agent.parallel runs; its members are Agent.call's parameters."""

    tool: str
    run: Callable[[Step], Json]
    input: Json = dataclasses.field(default_factory=dict)
    type: str = "tool_call"
    idempotent: bool = False
    retry: Optional[Retry] = None
    update: Optional[Callable[[Json, Json], Json]] = None


class Step:
    """A step that has begun: a context manager that journals how it ends.

    `recorded`: it ran in an earlier run, whose `output` or `error` this has; nothing may
    run now. Else set `output`, and, where the step changes it, `state` (the whole state
    after it) or `patch` (RFC 6902). An exception in the block makes a failed step and goes
    on; one that is no Exception (KeyboardInterrupt) leaves the step open, thus in doubt.
    """

    def __init__(self, agent: Agent, reply: Dict[str, Json]):
        self._agent = agent
        self._open = not reply["recorded"]
        self._block: Any = None
        self.number: int = reply["number"]
        self.id: str = reply["id"]
        self.recorded: bool = reply["recorded"]
        self.attempt: int = reply.get("attempt", 1)
        self.status: str = reply.get("status", "running")
        self.output: Json = reply.get("output", _UNSET if self._open else None)
        self.error: str = reply.get("error") or ""
        self.state: Json = _UNSET
        self.patch: Json = _UNSET
        self.outcome = Outcome()

    def __enter__(self) -> Step:
        if self._open:
            self._block = self._agent._running()
            self._block.__enter__()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._block is not None:
            self._block.__exit__(None, None, None)
        if not self._open:
            return
        if error is None:
            self.end()
        elif isinstance(error, Exception) and not isinstance(error, (RpcError, RecorderGone)):
            self.output = self.state = self.patch = _UNSET
            self.error = describe(error)
            self.end()

    def end(self) -> None:
        """Journals the result; the block's end does it by itself."""
        params: Dict[str, Json] = {"number": self.number}
        for name in ("output", "state", "patch"):
            if getattr(self, name) is not _UNSET:
                params[name] = getattr(self, name)
        if self.error:
            params["error"] = self.error
        outcome = self.outcome._params()
        if outcome:
            params["outcome"] = outcome
        reply = self._agent._request("step.end", params)
        self._open = False
        self.status = reply["status"]
        if self.output is _UNSET:
            self.output = None

    def attempt_failed(self, error: str) -> None:
        """Journals that this attempt failed, and that begin_attempt will follow."""
        params: Dict[str, Json] = {"number": self.number, "error": error}
        outcome = self.outcome._params()
        if outcome:
            params["outcome"] = outcome
        self._agent._request("step.attempt_failed", params)

    def begin_attempt(self) -> int:
        """Journals that the step is tried again; returns the number of the attempt."""
        reply = self._agent._request("step.begin_attempt", {"number": self.number})
        self.attempt = reply["attempt"]
        self.output = self.state = self.patch = _UNSET
        self.error = ""
        self.outcome = Outcome()
        return self.attempt

    def result(self) -> Json:
        """The output. Raises StepFailed when the step did not complete."""
        if self.status != "completed":
            raise StepFailed(self.number, self.error or self.status, self.output)
        return self.output


class Agent:
    """An operation that is recorded, resumed or re-executed. Made by `open`."""

    def __init__(self, channel: _Channel, opened: Dict[str, Json]):
        self._channel = channel
        self._lock = threading.RLock()
        self._inside = threading.local()
        self.operation: str = opened["operation"]
        self.session: str = opened["session"]
        self.resumed: bool = opened["resumed"]
        self.reexecuted: bool = opened["mode"] == "reexecute"
        self.first_step: int = opened["step"] + 1  # more than 1 when begun at a checkpoint
        self.in_doubt: List[int] = opened["in_doubt"]

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends nothing: an operation that is not completed can be resumed."""
        self._channel.close()

    # Steps

    def step(
        self, type: str, *, tool: str = "", input: Json = None, idempotent: bool = False
    ) -> Step:
        """Begins a step; use it in a `with`. `type`: llm_call, tool_call, user_input or
        verification. Raises InDoubt when an earlier run began it and did not end it,
        unless it is idempotent."""
        params: Dict[str, Json] = {"type": type, "input": {} if input is None else input}
        if tool:
            params["tool"] = tool
        if idempotent:
            params["idempotent"] = True
        return Step(self, self._request("step.begin", params))

    def call(
        self,
        tool: str,
        run: Callable[[Step], Json],
        *,
        input: Json = None,
        type: str = "tool_call",
        idempotent: bool = False,
        retry: Optional[Retry] = None,
        update: Optional[Callable[[Json, Json], Json]] = None,
    ) -> Json:
        """Runs `run` as a step, or returns what it returned when it was recorded.

        What it raises makes a failed step, and StepFailed here. With `retry` a failed
        attempt is followed by the next. `update(state, output)` returns the state after
        the step; nothing else changes the state meanwhile."""
        begun = self.step(type, tool=tool, input=input, idempotent=idempotent)
        return self._run(begun, run, retry, update)

    def parallel(self, calls: Sequence[Call], *, threads: int = 8) -> List[Json]:
        """Begins the steps in this order, runs them at the same time, and returns their
        outputs in this order. When all have ended, the first that failed is raised."""
        begun = [
            self.step(call.type, tool=call.tool, input=call.input, idempotent=call.idempotent)
            for call in calls
        ]
        with ThreadPoolExecutor(max_workers=max(1, min(threads, len(calls)))) as pool:
            ends = [
                pool.submit(self._run, step, call.run, call.retry, call.update)
                for step, call in zip(begun, calls)
            ]
        return [end.result() for end in ends]

    def tool(
        self,
        name: str = "",
        *,
        idempotent: bool = False,
        retry: Optional[Retry] = None,
        update: Optional[Callable[[Json, Json], Json]] = None,
    ) -> Callable[[Callable[..., Json]], Callable[..., Json]]:
        """Decorates a function so that each call of it is a step; its arguments, by name,
        are the step's input.

            @agent.tool(idempotent=True)
            def disk_usage(path: str) -> int: …
        """

        def decorate(function: Callable[..., Json]) -> Callable[..., Json]:
            signature = inspect.signature(function)

            @functools.wraps(function)
            def recorded(*args: Any, **kwargs: Any) -> Json:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                return self.call(
                    name or function.__name__,
                    lambda step: function(*args, **kwargs),
                    input=dict(bound.arguments),
                    idempotent=idempotent,
                    retry=retry,
                    update=update,
                )

            return recorded

        return decorate

    def user_input(
        self,
        prompt: str,
        ask: Callable[[str], str] = input,
        *,
        update: Optional[Callable[[Json, Json], Json]] = None,
    ) -> Json:
        """What the user answers. Asked again after a crash before the answer was journaled."""
        return self.call(
            "",
            lambda step: ask(prompt),
            input={"prompt": prompt},
            type="user_input",
            idempotent=True,
            update=update,
        )

    def verify(self, what: str, check: Callable[[], Json], *, input: Json = None) -> Json:
        """A step that looks whether something holds: `check` returns what it saw, or raises
        (an `assert` will do). It must change nothing."""
        return self.call(
            what, lambda step: check(), input=input, type="verification", idempotent=True
        )

    def settle(
        self,
        number: int,
        *,
        output: Json = _UNSET,
        error: str = "",
        state: Json = _UNSET,
        patch: Json = _UNSET,
    ) -> None:
        """Journals what became of a step in doubt, found out by other means: it is then as
        if recorded."""
        params: Dict[str, Json] = {"number": number}
        for name, value in (("output", output), ("state", state), ("patch", patch)):
            if value is not _UNSET:
                params[name] = value
        if error:
            params["error"] = error
        self._request("step.settle", params)

    def run_again(self, number: int) -> None:
        """Lets a step in doubt run again, when it is called the next time."""
        self._request("step.run_again", {"number": number})

    # Values: the same in every run

    def value(self, name: str, value: Json) -> Json:
        """`value`, or the one recorded in its place."""
        return self._request_value("value", {"name": name, "value": value})["value"]

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        unix_us: int = self._request_value("now", {})["unix_us"]
        return unix_us / 1e6

    def random_bytes(self, count: int) -> bytes:
        return bytes.fromhex(self._request_value("random", {"bytes": count})["hex"])

    def new_id(self) -> str:
        """A UUIDv7."""
        return str(self._request_value("id", {})["id"])

    # State, and the end

    def state(self, pointer: str = "") -> Json:
        """The state after the last step that ended, or what a JSON Pointer names in it: a
        copy of one's own."""
        return self._request("state", {"pointer": pointer})["state"]

    def checkpoint(self, name: str) -> None:
        """Journals the state whole, to go on from."""
        self._request("checkpoint", {"name": name})

    def complete(self, output: Json = _UNSET, outcome: Optional[Outcome] = None) -> None:
        self._end("complete", {} if output is _UNSET else {"output": output}, outcome)

    def fail(self, error: str, outcome: Optional[Outcome] = None) -> None:
        self._end("fail", {"error": error}, outcome)

    def cancel(self) -> None:
        self._end("cancel", {}, None)

    def _end(self, method: str, params: Dict[str, Json], outcome: Optional[Outcome]) -> None:
        if outcome is not None:
            params["outcome"] = outcome._params()
        self._request(method, params)

    def _request(self, method: str, params: Dict[str, Json]) -> Dict[str, Json]:
        with self._lock:
            return self._channel.request(method, params)

    def _run(
        self,
        step: Step,
        run: Callable[[Step], Json],
        retry: Optional[Retry],
        update: Optional[Callable[[Json, Json], Json]],
    ) -> Json:
        if step.recorded:
            return step.result()
        while True:
            try:
                with self._running():
                    output = run(step)
                # From reading the state to journaling the next one, nobody else changes it.
                with self._lock:
                    if update is not None:
                        step.state = update(self.state(), output)
                    step.output = output
                    step.end()
                return output
            except AgentError:
                raise
            except Exception as error:  # pylint: disable=broad-except
                step.output = step.state = step.patch = _UNSET
                step.error = describe(error)
                if retry is None or step.attempt >= retry.attempts:
                    step.end()
                    raise StepFailed(step.number, step.error) from error
            step.attempt_failed(step.error)
            retry.wait(step.attempt)
            step.begin_attempt()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """While a step runs on this thread: no value may be asked for."""
        self._inside.steps = self._steps_inside() + 1
        try:
            yield
        finally:
            self._inside.steps -= 1

    def _steps_inside(self) -> int:
        return getattr(self._inside, "steps", 0)

    def _request_value(self, method: str, params: Dict[str, Json]) -> Json:
        if self._steps_inside() > 0:
            raise AgentError(
                f"{method} inside a step that runs: a recorded step would not ask for it; "
                "ask before the step, or use the world's own"
            )
        return self._request(method, params)


def describe(error: BaseException) -> str:
    """As a traceback's last line has it."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Channel:
    """Sends a request and waits for its reply; one at a time."""

    def __init__(self, read_fd: int, write_fd: int):
        os.set_inheritable(read_fd, False)
        os.set_inheritable(write_fd, False)
        self._replies = os.fdopen(read_fd, "rb")
        self._requests = os.fdopen(write_fd, "wb")
        self._pid = os.getpid()
        self._id = 0
        self._broken = ""

    def request(self, method: str, params: Dict[str, Json]) -> Dict[str, Json]:
        if os.getpid() != self._pid:
            raise AgentError("a forked process can't use its parent's agent")
        if self._broken:
            raise RecorderGone(self._broken)
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        # What is no JSON raises here, before anything is sent.
        line = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        reply = self._exchange(line.encode("utf-8") + b"\n")
        if reply.get("id") != self._id:
            error = reply.get("error", {}).get("message", "")
            self._broken = f"the recorder answered another request than {method}: {error}"
            raise RecorderGone(self._broken)
        if "error" in reply:
            error = reply["error"]
            data = error.get("data", {})
            raise _ERRORS.get(data.get("kind", ""), RpcError)(error["code"], error["message"], data)
        result: Dict[str, Json] = reply["result"]
        return result

    def _exchange(self, line: bytes) -> Dict[str, Json]:
        # Whatever cuts this off, a signal's exception among it, leaves half a message.
        self._broken = "an earlier call to the recorder was cut off"
        try:
            self._requests.write(line)
            self._requests.flush()
            answer = self._replies.readline()
        except OSError as error:
            self._broken = f"the recorder is gone: {error}"
            raise RecorderGone(self._broken) from error
        if not answer.endswith(b"\n"):
            self._broken = "the recorder is gone: it ended before it replied"
            raise RecorderGone(self._broken)
        reply: Dict[str, Json] = json.loads(answer)
        self._broken = ""
        return reply

    def close(self) -> None:
        self._broken = "the agent is closed"
        for stream in (self._requests, self._replies):
            try:
                stream.close()
            except OSError:
                pass  # what was not flushed has no reader any more


def open(  # pylint: disable=redefined-builtin
    type: str,
    *,
    name: str = "",
    input: Json = None,
    state: Json = None,
    id: str = "",
) -> Agent:
    """Begins the operation, or resumes it: then `type` and `input` must be as recorded.
    `state` is the initial one; {} if left out. Raises NotRecorded when nothing records."""
    read_fd, write_fd = (os.environ.pop(f"NIMBUS_RPC_{name}", "") for name in ("READ", "WRITE"))
    os.environ.pop("NIMBUS_RPC_VERSION", None)
    try:
        channel = _Channel(int(read_fd), int(write_fd))
    except (ValueError, OverflowError, OSError):  # no numbers, or of nothing that is open
        raise NotRecorded(
            "nothing records this program; run it by: nimbus record -- COMMAND"
        ) from None
    params: Dict[str, Json] = {
        "protocol": PROTOCOL,
        "client": CLIENT,
        "type": type,
        "input": {} if input is None else input,
        "state": {} if state is None else state,
    }
    if name:
        params["name"] = name
    if id:
        params["id"] = id
    return Agent(channel, channel.request("open", params))
