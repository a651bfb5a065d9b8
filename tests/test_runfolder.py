import os
from dataclasses import replace
from pathlib import Path

import pytest

from dgsforensics.detector.config import LoraConfig
from dgsforensics.errors import UsageError
from dgsforensics.trainer.config import SurgeryConfig, TrainConfig, read
from dgsforensics.trainer.runfolder import RunFolder, claim

CONFIG = TrainConfig(epochs=5, captions="sidecar", lora=LoraConfig(rank=3, blocks=(0, 1)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mine.safetensors"


def start(out: Path, config: TrainConfig = CONFIG) -> RunFolder:
    return claim(out, config, resume=False, force=False)


def resume(out: Path, config: TrainConfig = CONFIG) -> RunFolder:
    return claim(out, config, resume=True, force=False)


def force(out: Path, config: TrainConfig = CONFIG) -> RunFolder:
    return claim(out, config, resume=False, force=True)


def fill(place: RunFolder) -> None:
    """What a run leaves on its way."""
    for path in (place.split, place.state, place.metrics):
        path.write_text("of an earlier run")


# Names


def test_the_folder_lies_beside_the_result(out, tmp_path) -> None:
    place = start(out)
    assert place.folder == tmp_path / "mine.training"
    assert TrainConfig.from_dict(read(place.options)) == CONFIG
    assert [path.name for path in tmp_path.iterdir()] == ["mine.training"]
    assert [path.name for path in place.folder.iterdir()] == ["options.toml"]


@pytest.mark.parametrize("stem", ["my.v2", "a.b.c", ".hidden", "été 2025", "v1.", "写真", "-x"])
def test_dots_and_letters_of_a_name_are_kept(stem, tmp_path) -> None:
    place = start(tmp_path / f"{stem}.safetensors")
    assert place.folder.name == f"{stem}.training"
    assert place.rejected.name == f"{stem}.rejected.safetensors"
    assert resume(place.out) == place
    place.out.with_suffix(".md").write_text("a card")
    assert [path.name for path in place.results()] == [f"{stem}.md"]


def test_names_that_share_a_beginning_are_kept_apart(tmp_path) -> None:
    outs = [tmp_path / f"{stem}.safetensors" for stem in ("my", "my.v1", "my.v2", "my.rejected")]
    assert len({start(out).folder for out in outs}) == 4
    for out in outs[1:3]:
        out.write_text("a result")
    assert not RunFolder(outs[0]).results()
    assert resume(outs[0])


def test_a_relative_path_is_one_of_the_current_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (Path("mine.safetensors"), Path("deep/er/mine.safetensors")):
        place = start(out)
        assert place.folder.is_dir() and (tmp_path / place.folder).samefile(place.folder)
        assert resume(tmp_path / out).folder.samefile(place.folder)


@pytest.mark.parametrize(
    "name", ["mine", "mine.pt", "mine.safetensors.bak", ".safetensors", "mine.SAFETENSORS", ""]
)
def test_another_ending_is_refused(name, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        start(tmp_path / name if name else Path(name))


@pytest.mark.parametrize("stem", ["caf\udce9", "a\nb", "a\x1b[2J", "a\0b", "\x7f"])
def test_a_name_that_cannot_be_shown_is_refused_before_training(stem, tmp_path) -> None:
    with pytest.raises(UsageError, match="no name for a detector"):
        start(tmp_path / f"{stem}.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_folder_whose_name_is_not_utf8_may_hold_it(tmp_path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this system takes UTF-8 names only")
    place = start(folder / "mine.safetensors")
    assert resume(place.out) == place


# Results


@pytest.mark.parametrize(
    "name",
    [
        f"mine{kind}{suffix}"
        for kind in ("", ".rejected")
        for suffix in (".safetensors", ".md", ".toml")
    ],
)
def test_no_result_is_overwritten(name, out, tmp_path) -> None:
    (tmp_path / name).write_text("precious")
    for way in (start, resume):
        with pytest.raises(UsageError, match=f"{name} is there already") as caught:
            way(out)
        assert "--force" in str(caught.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert force(out).results() == [tmp_path / name]
    assert (tmp_path / name).read_text() == "precious"  # until there is a new one


@pytest.mark.parametrize("kind", ["", ".rejected"])
def test_the_options_that_a_person_gave_are_theirs(kind, out, tmp_path) -> None:
    """Beside the result, and named as what a run writes there."""
    own = tmp_path / f"mine{kind}.toml"
    own.write_text("# by hand")
    place = claim(out, CONFIG, resume=False, force=False, given=own)
    assert place.is_given(own) and not place.is_given(tmp_path / "other.toml")
    assert place.results() == []
    out.write_text("a detector")
    place.finish(out)
    assert claim(out, CONFIG, resume=False, force=True, given=own).results() == [out]
    assert own.read_text() == "# by hand"


def test_a_replay_is_no_name_for_a_detector(tmp_path) -> None:
    with pytest.raises(UsageError, match="what a detector knows"):
        start(tmp_path / "mine.replay.safetensors")


def test_a_folder_in_the_place_of_the_result_is_refused(out) -> None:
    out.mkdir()
    for way in (start, resume, force):
        with pytest.raises(UsageError, match=r"mine\.safetensors is a folder"):
            way(out)


# Going on, and starting over


def test_an_unfinished_run_is_neither_mixed_nor_lost(out) -> None:
    fill(start(out))
    with pytest.raises(UsageError, match="unfinished run") as caught:
        start(out)
    assert "--resume" in str(caught.value.hint) and "--force" in str(caught.value.hint)
    place = resume(out)
    assert all(p.exists() for p in (place.options, place.split, place.state, place.metrics))


def test_a_run_that_ended_before_it_began_is_in_nobody_s_way(out) -> None:
    """As one does whose images are refused: they are mended, or others are given."""
    start(out)
    assert resume(out)
    other = replace(CONFIG, epochs=9)
    assert TrainConfig.from_dict(read(start(out, other).options)) == other


def test_a_run_that_replaces_a_result_goes_on_too(out) -> None:
    """Begun with --force and interrupted: the result that is there was given up."""
    out.write_text("of an earlier run")
    fill(force(out))
    assert resume(out).state.exists()


def test_what_a_hint_says_is_not_refused_next(out) -> None:
    """Whoever is told to start over or to leave an option out can do so."""
    with pytest.raises(UsageError) as nothing:
        resume(out)
    assert nothing.value.hint == "leave --resume out"
    fill(start(out))
    with pytest.raises(UsageError) as other:
        resume(out, replace(CONFIG, epochs=9))
    assert "--force instead of --resume" in str(other.value.hint)
    fill(force(out, replace(CONFIG, epochs=9)))
    out.write_text("a result")
    RunFolder(out).finish(out)
    with pytest.raises(UsageError) as there:
        resume(out)
    assert "--force" in str(there.value.hint) and "without --resume" in str(there.value.hint)
    force(out)


def test_a_failed_run_leaves_nothing_but_what_it_can_go_on_from(out, tmp_path) -> None:
    place = start(out)
    place.split.write_text("a split")
    place.abandon()
    assert list(tmp_path.iterdir()) == []
    fill(start(out))
    place.abandon()
    assert place.state.exists() and place.options.exists()


def test_force_leaves_nothing_of_the_earlier_run(out) -> None:
    fill(start(out))
    other = replace(CONFIG, epochs=9)
    place = force(out, other)
    assert [path.name for path in place.folder.iterdir()] == ["options.toml"]
    assert TrainConfig.from_dict(read(place.options)) == other


def test_force_needs_no_earlier_run(out) -> None:
    assert force(out).options.is_file()


def test_resume_and_force_exclude_each_other(out) -> None:
    fill(start(out))
    with pytest.raises(UsageError, match="one of them"):
        claim(out, CONFIG, resume=True, force=True)
    assert RunFolder(out).state.exists()


def test_resume_needs_a_run(out, tmp_path) -> None:
    with pytest.raises(UsageError, match="no run to go on with") as caught:
        resume(out)
    assert "--resume" in str(caught.value.hint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 6}, "epochs was 5"),
        ({"lr": 0.5}, "lr was 0.0001"),
        ({"captions": None}, "captions was 'sidecar'"),
        ({"precision": "float32"}, "precision was None"),
        ({"lora": None}, "lora was {'rank': 3"),
        ({"surgery": SurgeryConfig(weight=0)}, "surgery was {'weight': 0.2"),
        ({"seed": 1, "batch": 1}, "batch was 32, seed was 0"),
    ],
)
def test_resume_with_other_options_names_them(changes, told, out) -> None:
    place = start(out)
    before = place.options.read_bytes()
    with pytest.raises(UsageError, match="started with other options") as caught:
        resume(out, replace(CONFIG, **changes))
    assert told in caught.value.message
    assert place.options.read_bytes() == before


@pytest.mark.parametrize(
    "damaged", [b"\xff\xfe\x00", b"epochs = ", b"\0\0\0\0", b"epochs = 5\n[lo"]
)
def test_damaged_options_are_named(damaged, out) -> None:
    place = start(out)
    place.options.write_bytes(damaged)
    with pytest.raises(UsageError, match=r"options\.toml is damaged") as caught:
        resume(out)
    assert "--force" in str(caught.value.hint)
    assert TrainConfig.from_dict(read(force(out).options)) == CONFIG


def test_killed_while_starting_over_it_is_no_run_with_other_options(out, monkeypatch) -> None:
    fill(start(out))

    def kill(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        force(out, replace(CONFIG, epochs=9))
    monkeypatch.undo()
    with pytest.raises(UsageError, match="no run to go on with"):
        resume(out)
    place = start(out)
    assert not place.state.exists() and not place.split.exists()


def test_finishing_leaves_the_record_but_not_the_state(out) -> None:
    place = start(out)
    fill(place)
    place.finish(place.out)
    assert not place.state.exists()
    assert place.split.exists() and place.metrics.exists() and not place.options.exists()
    place.finish(place.out)  # a probe has no state


def test_a_finished_run_whose_result_was_moved_is_not_unfinished(out) -> None:
    place = start(out)
    fill(place)
    place.finish(place.out)
    start(out)


def test_an_accepted_result_replaces_a_rejected_one_but_not_the_other_way_round(out) -> None:
    place = start(out)
    for path in (place.out, place.rejected):
        path.write_bytes(b"")
        path.with_suffix(".md").write_bytes(b"")
    place.finish(place.rejected)
    assert place.out.exists() and place.rejected.exists()
    place.finish(place.out)
    assert place.results() == [place.out, place.out.with_suffix(".md")]


# Where nothing can be written


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path) -> None:
    (tmp_path / "mine.training").write_text("a file")
    with pytest.raises(UsageError, match="cannot write to"):
        start(tmp_path / "mine.safetensors")


def test_a_file_in_the_place_of_a_folder_above_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("a file")
    for way in (start, force):
        with pytest.raises(UsageError, match="cannot write to"):
            way(tmp_path / "file" / "mine.safetensors")


@pytest.mark.parametrize("length", [235, 300])
def test_a_name_that_is_too_long_for_the_files_beside_it_is_told(length, tmp_path) -> None:
    with pytest.raises(UsageError, match="cannot write to"):
        start(tmp_path / f"{'x' * length}.safetensors")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_without_permission_is_told(mode, tmp_path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(mode)
    try:
        for way in (start, force):
            with pytest.raises(UsageError, match="cannot write to"):
                way(folder / "mine.safetensors")
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("call", ["exists", "mkdir", "write_text", "unlink"])
def test_whatever_the_system_refuses_is_told(call, out, monkeypatch) -> None:
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(UsageError, match=r"cannot write to .*: Permission denied"):
        start(out)
