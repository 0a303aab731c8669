"""The example agent, which kills itself around its Nth call.

killed_agent.py before|sent|after N LOGS
"""

import os
import signal
import sys

import example_agent
import nimbus_agent

when, call = sys.argv[1], int(sys.argv[2])
exchange = nimbus_agent._Channel._exchange
calls = 0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killing(channel, line):
    global calls
    calls += 1
    if calls != call:
        return exchange(channel, line)
    if when == "before":
        die()
    if when == "sent":
        channel._requests.write(line)
        channel._requests.flush()
        die()
    reply = exchange(channel, line)
    die()
    return reply


nimbus_agent._Channel._exchange = killing
sys.argv = sys.argv[:1] + sys.argv[3:]
sys.exit(example_agent.main())
