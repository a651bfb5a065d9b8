"""How long `dgsf --help` takes against `python -c "import typer"`, pair by pair.

python benchmarks/startup.py [--repeat N]
"""

import argparse
import statistics
import subprocess
import sys
import time


def seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    help_command = (sys.executable, "-m", "dgsforensics", "--help")
    import_command = (sys.executable, "-c", "import typer")
    seconds(*help_command), seconds(*import_command)  # warm the disk cache
    pairs = [(seconds(*help_command), seconds(*import_command)) for _ in range(options.repeat)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"dgsf --help {ours * 1e3:.0f} ms, import typer {theirs * 1e3:.0f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
