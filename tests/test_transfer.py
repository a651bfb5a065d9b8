from pathlib import Path

import pytest

from dgsforensics import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replaces_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "state"
    target.write_text("old")
    (tmp_path / "state.part").write_text("of a run that was killed, and longer")
    with atomic.replacing(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and names(tmp_path) == ["state"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_after_an_error_it_is_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "state"
    target.write_text("old")
    with pytest.raises(error), atomic.replacing(target) as part:
        part.write_text("half")
        raise error
    assert target.read_text() == "old" and names(tmp_path) == ["state"]


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.replacing(tmp_path / "state"):
        pass
    assert names(tmp_path) == []


def test_the_first_error_is_told(tmp_path: Path) -> None:
    """Though nothing can be tidied up where the folder is none."""
    (tmp_path / "file").touch()
    with pytest.raises(ZeroDivisionError), atomic.replacing(tmp_path / "file" / "state"):
        raise ZeroDivisionError
