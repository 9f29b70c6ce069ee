"""What runs a script: k6 where it is installed, else Node (loadtest/host)."""
import os
import pathlib
import shutil
import sys

from .processes import ROOT, Process

LOADTEST = ROOT / "loadtest"
HOST = LOADTEST / "host" / "run.mjs"


def names():
    """The scripts, as they are called."""
    return sorted(path.stem for path in LOADTEST.glob("*.js"))


def find_k6():
    """The path of k6: the variable K6, or what is on the PATH; None when there is none."""
    return shutil.which(os.environ.get("K6") or "k6")


def choose(wanted):
    """The engine to use, `k6` or `node`; ends the program when it can't be had."""
    engine = wanted if wanted != "auto" else ("k6" if find_k6() else "node")
    if engine == "k6" and not find_k6():
        sys.exit("error: k6 is neither on the PATH nor named by the variable K6")
    if engine == "node":
        if not shutil.which("node"):
            sys.exit("error: neither k6 nor node is installed: run scripts/setup")
        if not (ROOT / "tests/e2e/node_modules/ws").is_dir():
            sys.exit("error: npm's ws is missing: run scripts/setup")
    return engine


def command(engine, script, variables):
    if engine == "k6":
        words = [find_k6(), "run", "--quiet", "--no-usage-report"]
    else:
        words = [shutil.which("node"), "--max-old-space-size=8192", str(HOST), "run"]
    for name, value in (variables | {"LOADTEST_GIVEN": ",".join(variables)}).items():
        words += ["-e", f"{name}={value}"]
    return [*words, str(LOADTEST / f"{script}.js")]


def start(engine, script, variables, log):
    """The script as a process that writes to `log`."""
    return Process(script, command(engine, script, variables), pathlib.Path(log))
