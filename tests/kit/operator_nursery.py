"""Operators that start within milliseconds: forked from one process that has imported everything.

Each is a process of its own that runs the operator's ``main``, and may be killed like any other. The part
below ``__main__`` is that first process: it reads an order a line, and answers with the child's process id.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from kit.operator_environment import operator_environment

GONE_SECONDS = 60.0


class ForkedOperator:
    """One operator."""

    def __init__(self, pid: int) -> None:
        self._handle: int | None = os.pidfd_open(pid)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._handle is None:
            return
        signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        assert poll.poll(GONE_SECONDS * 1000), "an operator outlives kill -9"
        os.close(self._handle)
        self._handle = None


class Nursery:
    """Starts operators against an API server. Use as a context manager; they end with it.

    Args:
        kubeconfig: whom they log in as.
        log: where their output goes.
    """

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._kubeconfig = kubeconfig
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Nursery:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "kit.operator_nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def start(self, **variables: str) -> ForkedOperator:
        """One more operator, with more environment than all have."""
        assert self._process is not None
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        environment = operator_environment(self._kubeconfig, self._log, **variables)
        print(json.dumps({"environment": environment, "log": str(self._log)}), file=orders, flush=True)
        return ForkedOperator(int(answers.readline()))


def _breed(orders: IO[str]) -> None:
    from callcluster_operator.__main__ import main

    from kit.apiserver import die_with_parent

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects the dead
    for order in map(json.loads, orders):
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
                os.dup2(descriptor, target)
            os.environ.clear()
            os.environ.update(order["environment"])
            os._exit(main())
        print(pid, flush=True)


if __name__ == "__main__":
    _breed(sys.stdin)
