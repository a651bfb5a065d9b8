import sys
from pathlib import Path

import pytest

from dgsforensics import settings
from dgsforensics.errors import UsageError

KNOWN = {
    "scan": {"fpr": "fpr", "no-cache": "no_cache", "exclude": "exclude"},
    "train": {"seed": "seed"},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with the user's file beside it."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setattr(settings, "user_file", lambda: tmp_path / "config.toml")
    return project


def write(project: str | bytes | None = None, user: str | bytes | None = None) -> None:
    for file, text in ((Path("dgsf.toml"), project), (settings.user_file(), user)):
        if text is not None:
            file.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_no_file_no_settings() -> None:
    assert settings.load(KNOWN) == {"scan": {}, "train": {}}


@pytest.mark.parametrize("where", ["project", "user"])
def test_either_file_will_do(where: str) -> None:
    write(**{where: "[scan]\nfpr = 0.02\n[train]\nseed = 3"})
    assert settings.load(KNOWN) == {"scan": {"fpr": 0.02}, "train": {"seed": 3}}


def test_the_project_goes_before_the_user_key_by_key() -> None:
    write(
        project="[scan]\nfpr = 0.02\n",
        user='[scan]\nfpr = 0.5\nexclude = ["*.gif"]\n[train]\nseed = 1\n',
    )
    assert settings.load(KNOWN) == {
        "scan": {"fpr": 0.02, "exclude": ["*.gif"]},
        "train": {"seed": 1},
    }


def test_keys_are_spelled_as_the_options() -> None:
    write("[scan]\nno-cache = true")
    assert settings.load(KNOWN)["scan"] == {"no_cache": True}


@pytest.mark.parametrize("where", ["project", "user"])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[scan]\nfrp = 0.02", "'frp'"),
        ("[train]\nfpr = 0.02", "'fpr'"),
        ("[scan]\nno_cache = true", "'no_cache'"),
        ("[scna]\nfpr = 0.02", "'scna'"),
        ("[scan.fpr]\nx = 1\n[scan.deeper]\n", "'deeper'"),
        ("fpr = 0.02", "'fpr'"),
        ("scan = 3", "'scan'"),
        ("[[scan]]\nfpr = 0.02", "'scan'"),
    ],
)
def test_what_is_not_known_is_named(where: str, text: str, named: str) -> None:
    write(**{where: text})
    file = "dgsf.toml" if where == "project" else str(settings.user_file())
    with pytest.raises(UsageError) as caught:
        settings.load(KNOWN)
    assert file in caught.value.message and named in caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        "[scan",
        "[scan]\nfpr = ",
        "[scan]\nfpr = 1\nfpr = 2",
        "[scan]\n[scan]",
        b"[scan]\nexclude = ['caf\xe9']",
        b"\xff\xfe[\x00s\x00",
        b"\x00",
    ],
)
def test_what_is_not_toml_is_named(content: str | bytes) -> None:
    write(content)
    with pytest.raises(UsageError, match=r"^dgsf\.toml: "):
        settings.load(KNOWN)


KEYS = '[review.keys]\nai = "f5"\nnext-unlabelled = "n,tab"\n'


def test_the_user_may_change_the_keys_of_the_review() -> None:
    assert settings.table("review", "keys") == {}
    write(user=KEYS + "[review]\nsort = 'name'\n[scan]\nfpr = 0.02\n")
    assert settings.table("review", "keys") == {"ai": "f5", "next-unlabelled": "n,tab"}
    assert settings.table("review", "colours") == settings.table("scan", "keys") == {}
    known = KNOWN | {"review": {"sort": "sort"}}
    assert settings.load(known) == {
        "scan": {"fpr": 0.02},
        "train": {},
        "review": {"sort": "name"},  # and no default named `keys`
    }


def test_a_file_beside_the_pictures_may_not() -> None:
    write(project=KEYS)
    assert settings.table("review", "keys") == {}
    write(project=KEYS, user='[review.keys]\nreal = "f6"\n')
    assert settings.table("review", "keys") == {"real": "f6"}
    with pytest.raises(UsageError, match=r"^dgsf\.toml: \[review\.keys\] is not taken from here"):
        settings.load(KNOWN | {"review": {}})


def test_no_other_table_within_a_table_is_taken() -> None:
    write(user="[scan.keys]\nai = 'f5'\n")
    with pytest.raises(UsageError, match="scan has no option 'keys'"):
        settings.load(KNOWN)
    write(user="[review.colours]\nai = 'red'\n")
    with pytest.raises(UsageError, match="review has no option 'colours'"):
        settings.load(KNOWN | {"review": {}})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[review]\nkeys = 'f5'", "'keys'"),
        ("[review]\nkeys = ['f5']", "'keys'"),
        ("[[review.keys]]\nai = 'f5'", "'keys'"),
        ("review = 3", "'review'"),
        ("[[review]]\nx = 1", "'review'"),
        ("[review.keys", ""),
        (b"\xff", ""),
    ],
)
def test_keys_that_are_no_table_are_a_usage_error(text: str | bytes, named: str) -> None:
    write(user=text)
    with pytest.raises(UsageError) as caught:
        settings.table("review", "keys")
    assert str(settings.user_file()) in caught.value.message and named in caught.value.message


def test_a_folder_by_that_name_is_no_settings_file(folder: Path) -> None:
    (folder / "dgsf.toml").mkdir()
    assert settings.load(KNOWN) == {"scan": {}, "train": {}}


def test_the_result_is_new_each_time() -> None:
    write("[scan]\nfpr = 0.02")
    settings.load(KNOWN)["scan"]["fpr"] = 9
    assert settings.load(KNOWN)["scan"]["fpr"] == 0.02


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('fpr = "x"', "fpr"),
        ("fpr = [1]", "fpr"),
        ('workers = "many"', "workers"),
        ("workers = 0", "workers"),
        ('device = "abacus"', "device"),
        ('exclude = "*.png"', "exclude"),
        ('no-cache = "perhaps"', "no-cache"),
        ('frp = "x"', "frp"),
    ],
)
def test_a_wrong_value_is_a_usage_error_that_names_the_option(
    line: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dgsforensics import cli

    write(f"[scan]\n{line}")
    monkeypatch.setattr(sys, "argv", ["dgsf", "scan", "/nowhere"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert named in said.err and "internal error" not in said.err
