"""What a training run came to, for people: what was chosen from, and before and after."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from dgsforensics.trainer.candidates import TrainingChoice
    from dgsforensics.trainer.gate import Comparison


def show(choice: "TrainingChoice") -> None:
    """Print the tables to standard output, and to standard error what speaks against it."""
    from dgsforensics import console

    _show_standings(choice)
    _show_comparison(choice.comparison)
    if choice.comparison.remark:
        console.notice(choice.comparison.remark)
    for loss in choice.comparison.losses:
        console.notice(f"rejected: {loss}, more than --max-regression allows")


def _show_standings(choice: "TrainingChoice") -> None:
    from rich.table import Table

    from dgsforensics.wording import printable

    table = Table(box=None, header_style="bold")
    table.add_column("chosen from", overflow="fold")
    for name in ("images", "AUROC", "AUROC on what the base knew"):
        table.add_column(name, justify="right")
    for standing in choice.standings:
        table.add_row(
            printable(standing.name),
            str(standing.images),
            _figure(standing.own),
            _figure(standing.known),
        )
    _plain_console().print(table)


def _show_comparison(comparison: "Comparison") -> None:
    from rich.table import Table

    from dgsforensics.wording import printable

    table = Table(box=None, header_style="bold")
    table.add_column("not fitted to", overflow="fold")
    for name in ("real", "generated"):
        table.add_column(name, justify="right")
    for name in ("AUROC", "r_acc", "f_acc"):
        table.add_column(name, justify="right", no_wrap=True)

    def cell(before: float | None, after: float | None) -> str:
        return "-" if after is None else f"{_figure(before)} → {_figure(after)}"

    for row in comparison.shown():
        old, new = row.before, row.after
        name = row.name.removeprefix("generator ").replace("photographs of", "photos of")
        table.add_row(
            printable(f"known: {name}" if row.known and row.kind != "part" else name),
            str(new.real),
            str(new.generated),
            cell(old.auroc, new.auroc),
            cell(old.r_acc, new.r_acc),
            cell(old.f_acc, new.f_acc),
        )
    console = _plain_console()
    console.print(f"from {comparison.before} to {comparison.after}:")
    console.print(table)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _plain_console() -> "Console":
    """Standard output, where names are not markup."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
