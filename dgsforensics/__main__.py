"""`python -m dgsforensics`: the command where no console script is on the path, or for torchrun."""

from dgsforensics.cli import run

if __name__ == "__main__":
    run()
