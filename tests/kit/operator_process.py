"""The operator as a process of its own, as it runs in a pod."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from kit.apiserver import die_with_parent
from kit.operator_environment import operator_environment

START_SECONDS = 60.0


class OperatorProcess:
    """The operator against an API server. Use as a context manager.

    Its output is appended to ``log``, so that restarts share a file; for the rest of the arguments see
    :func:`~kit.operator_environment.operator_environment`.

    Args:
        program: Python's arguments, for an operator in which a test has planted something.
    """

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        *,
        namespaces: tuple[str, ...] = (),
        name: str = "operator-0",
        program: Sequence[str] = ("-m", "callcluster_operator"),
        **variables: str,
    ) -> None:
        self.log = log
        self._environment = operator_environment(
            kubeconfig, log, namespaces=namespaces, name=name, **variables
        )
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> OperatorProcess:
        offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", *self._program],
                stdout=log,
                stderr=log,
                env=self._environment,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + START_SECONDS
        while not (started := re.search(rb"are on port (\d+)", self.log.read_bytes()[offset:])):
            assert self._process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)
        self._port = int(started[1])
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, seconds: float = 60.0) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self.ended(seconds)

    def ended(self, seconds: float = 60.0) -> int:
        """Wait for its end; returns the exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def output(self) -> str:
        """All that it, and those before it on the same file, have logged."""
        return self.log.read_text()

    def get(self, path: str) -> str:
        """The body of a GET on its health port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that carry ``labels``; 0 where there is none."""
        (value,) = self.metrics(name, **labels)
        return value

    def metrics(self, *names: str, **labels: str) -> list[float]:
        """Several metrics as they were at one moment; see :meth:`metric`."""
        families = text_string_to_metric_families(self.get("/metrics"))
        samples = [sample for family in families for sample in family.samples]
        return [
            sum(
                each.value
                for each in samples
                if each.name == name and labels.items() <= each.labels.items()
            )
            for name in names
        ]

    def has_passed(self, seen: float) -> bool:
        """Whether there were more passes than ``seen``."""
        return self.metric("callcluster_operator_reconciles_total") > seen
