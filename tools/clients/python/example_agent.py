"""An agent that archives noisy logs, every step of it recorded.

    nimbus record -- python3 example_agent.py LOGS           asks on standard input
    nimbus-replay exec @ -- python3 example_agent.py LOGS    the same again; touches nothing

LOGS is a directory of *.log files. Those with more lines that say ERROR than LOGS/limit
holds (3 when there is no such file) are renamed to *.log.archived, if the user says yes.
"""

import sys
from pathlib import Path
from typing import Any, List

import nimbus_agent
from nimbus_agent import Call, Retry, Step

State = Any


def count_errors(path: Path) -> int:
    return sum("ERROR" in line for line in path.read_text().splitlines())


def read_limit(path: Path, attempt: int) -> int:
    # Stands for a service that is not there at first.
    if attempt == 1:
        raise TimeoutError("no answer from the configuration service")
    return int(path.read_text()) if path.exists() else 3


def archive(path: Path) -> str:
    """Idempotent: archiving what is archived does nothing."""
    archived = path.with_name(path.name + ".archived")
    if path.exists():
        path.rename(archived)
    return archived.name


def add_errors(state: State, counted: State) -> State:
    state["errors"][counted["file"]] = counted["errors"]
    return state


def add_archived(state: State, name: State) -> State:
    state["archived"].append(name)
    return state


def ask(prompt: str) -> str:
    print(prompt, end=" ", flush=True)
    return sys.stdin.readline().strip()


def run(agent: nimbus_agent.Agent, logs: Path) -> None:
    with agent.step(
        "tool_call", tool="list_logs", input={"pattern": "*.log"}, idempotent=True
    ) as step:
        if not step.recorded:
            step.output = sorted(path.name for path in logs.glob("*.log"))
    files: List[str] = step.result()

    def counter(file: str) -> Call:
        return Call(
            "count_errors",
            lambda step: {"file": file, "errors": count_errors(logs / file)},
            input={"file": file},
            idempotent=True,
            update=add_errors,
        )

    counts = agent.parallel([counter(file) for file in files])

    def fetch_limit(step: Step) -> int:
        return read_limit(logs / "limit", step.attempt)

    limit = agent.call(
        "read_limit", fetch_limit, idempotent=True, retry=Retry(attempts=3, delay_s=0)
    )
    noisy = [counted["file"] for counted in counts if counted["errors"] > limit]

    answer = agent.user_input(f"Archive {len(noisy)} of {len(files)} logs?", ask)
    if answer != "yes":
        agent.cancel()
        return
    agent.checkpoint("approved")

    for file in noisy:

        def archive_file(step: Step, file: str = file) -> str:
            return archive(logs / file)

        agent.call(
            "archive", archive_file, input={"file": file}, idempotent=True, update=add_archived
        )

    def nothing_noisy() -> List[str]:
        left = sorted(path.name for path in logs.glob("*.log"))
        assert all(count_errors(logs / file) <= limit for file in left), "a noisy log is left"
        return left

    left = agent.verify("nothing noisy is left", nothing_noisy)
    agent.complete({"left": left, "at": int(agent.now()), "ticket": agent.new_id()})


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: example_agent.py LOGS", file=sys.stderr)
        return 64
    logs = Path(sys.argv[1])
    try:
        with nimbus_agent.open(
            "maintenance",
            name="Archive noisy logs",
            input={"pattern": "*.log"},
            state={"errors": {}, "archived": []},
        ) as agent:
            run(agent, logs)
            print(f"done, after {len(agent.state('/archived'))} archived logs")
    except nimbus_agent.AgentError as error:
        print(f"example_agent: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
