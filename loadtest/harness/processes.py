"""Processes that end with whoever started them."""
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIBC = ctypes.CDLL(None, use_errno=True)
SET_DEATH_SIGNAL = 1
END_WITHIN = 15


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_on_signals():
    """Makes SIGTERM and SIGINT leave every `with` block instead of skipping it."""

    def leave(number, _frame):
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


def _child():
    # A group of its own: Ctrl-C reaches only us. And no orphans when we are killed.
    os.setsid()
    LIBC.prctl(SET_DEATH_SIGNAL, signal.SIGKILL)


class Process:
    """One process with its log in a file; `end` or the `with` block ends it."""

    def __init__(self, name, command, log, env=None):
        self.name, self.log = name, pathlib.Path(log)
        self.err = self.log.with_name(self.log.name + ".err")
        with open(self.log, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=env, preexec_fn=_child
            )
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is not None:
            return
        # One that is paused must go on to hear that it shall end.
        for number in (signal.SIGTERM, signal.SIGCONT):
            self.process.send_signal(number)
        try:
            self.process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def tail(self):
        texts = [path.read_text(errors="replace")[-2000:] for path in (self.log, self.err) if path.exists()]
        return "\n".join(texts)

    def wait_for(self, probe, what, within=20):
        """What `probe()` gives, as soon as it gives something."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            found = probe()
            if found:
                return found
            time.sleep(0.05)
        sys.exit(f"error: {self.name}: {what} did not come\n{self.tail()}")
