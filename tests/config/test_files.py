"""Files of settings: where they are found, which wins, and what a project's may not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fnet_cli.config import FoundSettings, Settings, find_settings, remove_setting, save_setting
from fnet_cli.config.files import check_owner, find_project_file
from fnet_cli.constants import DEFAULT_PRESET
from fnet_cli.errors import OutputError, UsageError


class Machine:
    """A user's file and a project in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.user, self.project = root / "home/config.toml", root / "project/fnet.toml"
        for path in (self.user, self.project):
            path.parent.mkdir()

    def found(self, **environ: str) -> FoundSettings:
        environ = {"FNET_CONFIG": str(self.user), **environ}
        return find_settings(environ, self.project.parent)

    def refusal(self, **environ: str) -> str:
        with pytest.raises(UsageError) as caught:
            self.found(**environ)
        assert "\n" not in str(caught.value)
        return f"{caught.value} | {caught.value.hint}"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_variable_wins_over_the_project_over_the_user_over_the_default(machine):
    steps = [
        ("default", DEFAULT_PRESET, {}),
        (str(machine.user), "of-user", {}),
        (str(machine.project), "of-project", {}),
        ("FNET_PRESET", "of-variable", {"FNET_PRESET": "of-variable"}),
    ]
    for origin, value, environ in steps:
        if origin.endswith(".toml"):
            Path(origin).write_text(f'preset = "{value}"\n')
        found = machine.found(**environ)
        assert (found.settings.default_preset, str(found.origins["preset"])) == (value, origin)


def test_every_setting_of_the_user_is_taken(machine, tmp_path):
    machine.user.write_text(
        'preset = "./mine"\noffline = true\ntimeout = 3\nretries = 0\ncache = "kept"\n'
        'kaggle_cache = "/k"\nhuggingface_cache = "/h"\nkaggle_endpoint = "http://kaggle.test/"\n'
        'huggingface_endpoint = "http://hf.test"\ns3_endpoint = "http://s3.test"\n'
        's3_region = "eu-west-1"\n'
    )
    home = tmp_path / "home"
    expected = Settings(
        default_preset=str(home / "mine"), config_file=machine.user, own_cache=home / "kept",
        kaggle_cache=Path("/k"), huggingface_cache=Path("/h"), offline=True, timeout=3.0,
        retries=0, kaggle_endpoint="http://kaggle.test", huggingface_endpoint="http://hf.test",
        s3_endpoint="http://s3.test", s3_region="eu-west-1",
    )  # fmt: skip
    found = machine.found(XDG_CACHE_HOME="/moves/defaults/only")
    assert found.settings == expected
    assert {str(origin) for origin in found.origins.values()} == {str(machine.user)}
    assert not machine.found(FNET_OFFLINE="0").settings.offline


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timeout = 0", "timeout is 0 | use a number of seconds above 0"),
        ("timeout = true", "timeout is True |"),
        ("retries = 1.5", "retries is 1.5 |"),
        ("offline = 1", "offline is a number | use true or false"),
        ("preset = ['x']", "preset is a list | use the name of a preset"),
        ("preset = ''", "preset is '' |"),
        ("tiemout = 3", "tiemout is no setting | did you mean timeout?"),
        ("[tokenise]", "tokenise is no setting | did you mean tokenize?"),
        ("encode = 3", "encode is a number | use a table: [encode]"),
        ("a = 1\nb = \n", "not valid TOML: Invalid value (at line 2, column 5) |"),
        ("preset = '\xff'", "not valid TOML"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("#" * 2**20 + "#", "is longer than 1,048,576 bytes"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(machine, text, said):
    for path in (machine.user, machine.project):
        path.write_bytes(text.encode("latin-1"))
        refusal = machine.refusal()
        assert refusal.startswith(str(path))
        assert said in refusal
        path.unlink()


def test_an_address_with_a_secret_is_refused_and_not_repeated(machine):
    machine.user.write_text('s3_endpoint = "ftp://someone:s3cr3t@relay.test"\n')
    assert "s3cr3t" not in machine.refusal()


@pytest.mark.parametrize(
    "line",
    [
        'cache = "/tmp"', 'kaggle_cache = "/tmp"', 'huggingface_cache = "/tmp"',
        'kaggle_endpoint = "https://evil.test"', 'huggingface_endpoint = "https://evil.test"',
        's3_endpoint = "https://evil.test"', 's3_region = "x"', 'trusted = ["/"]',
        'preset = "https://evil.test/preset"', 'preset = "s3://evil/preset"', "offline = false",
    ],
)  # fmt: skip
def test_a_project_decides_on_no_place_and_no_connection(machine, line):
    machine.project.write_text(f"{line}\n")
    refusal = machine.refusal()
    assert refusal.startswith(f"{machine.project}: {line.split()[0]} ")
    assert "project" in refusal
    assert machine.refusal(FNET_PROJECT=str(machine.project)) == refusal


def test_a_directory_in_a_file_is_relative_to_the_file(machine):
    for preset, meant in [
        ("models/mine", str(machine.project.parent / "models/mine")),
        ("f_net_base_en", "f_net_base_en"),
        ("hf://owner/name", "hf://owner/name"),
    ]:
        machine.project.write_text(f'preset = "{preset}"\n')
        assert machine.found().settings.default_preset == meant


def test_the_library_reads_no_project(machine, monkeypatch):
    machine.project.write_text('preset = "of-project"\n')
    monkeypatch.chdir(machine.project.parent)
    settings = Settings.from_env({"FNET_CONFIG": str(machine.user)})
    assert settings.default_preset == DEFAULT_PRESET


def test_options_are_merged_key_by_key(machine):
    machine.user.write_text('[encode]\npooling = "max"\ndtype = "float16"\n')
    machine.project.write_text('[encode]\npooling = "mean"\n')
    pinned = machine.found().pinned
    assert {key: said.value for key, said in pinned["encode"].items()} == {
        "pooling": "mean",
        "dtype": "float16",
    }
    assert pinned["encode"]["dtype"].name == f"{machine.user}: [encode] dtype"
    assert pinned["tokenize"] == {}


# --- Where a project's file is looked for -----------------------------------------------------


def test_the_search_goes_up_to_the_repository_and_the_home(tmp_path):
    below = tmp_path / "home/work/repository/data"
    below.mkdir(parents=True)
    home = tmp_path / "home"
    (tmp_path / "fnet.toml").touch()
    assert find_project_file(below, home) is None
    (tmp_path / "home/fnet.toml").touch()
    assert find_project_file(below, home) == tmp_path / "home/fnet.toml"
    (below.parent / ".git").touch()  # of a worktree, a file
    assert find_project_file(below, home) is None
    (below.parent / "fnet.toml").touch()
    assert find_project_file(below, home) == below.parent / "fnet.toml"


def test_the_search_ends_below_a_directory_that_everybody_writes_to(tmp_path):
    (tmp_path / "shared/mine").mkdir(parents=True)
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "shared/fnet.toml").touch()
    assert find_project_file(tmp_path / "shared/mine", None) is None
    assert find_project_file(tmp_path / "shared", None) == tmp_path / "shared/fnet.toml"


def test_what_is_no_regular_file_is_no_projects(tmp_path):
    os.mkfifo(tmp_path / "fnet.toml")
    (tmp_path / ".git").touch()
    assert find_project_file(tmp_path, None) is None


def test_a_file_of_somebody_else_is_refused_unless_trusted(tmp_path):
    path = tmp_path / "team/fnet.toml"
    path.parent.mkdir()
    path.touch()
    owner = path.stat().st_uid
    if owner == 0:  # whom everybody trusts
        owner = 12345
        os.chown(path, owner, -1)
    check_owner(path, owner, [])
    check_owner(path, owner + 1, [tmp_path])
    with pytest.raises(UsageError, match="belongs to another user") as caught:
        check_owner(path, owner + 1, [tmp_path / "elsewhere"])
    assert f'"{path.parent}"' in caught.value.hint


def test_a_file_that_is_named_must_be_there(machine):
    assert "no such file" in machine.refusal(FNET_PROJECT="/nonexistent/fnet.toml")
    machine.project.write_text("offline = true\n")
    assert not machine.found(FNET_PROJECT="/dev/null").settings.offline


# --- Writing ----------------------------------------------------------------------------------


def test_a_value_is_written_and_removed_and_all_else_stays(machine):
    text = "# mine\nretries = 1 # few\n"
    machine.user.write_text(text)
    save_setting(machine.user, ("encode", "pooling"), "mean")
    assert machine.user.read_text() == f'{text}\n[encode]\npooling = "mean"\n'
    assert remove_setting(machine.user, ("encode", "pooling"))
    assert not remove_setting(machine.user, ("tokenize", "pooling"))
    assert machine.user.read_text().startswith(text)


def test_a_place_that_cannot_be_written_is_an_error_of_the_output(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        save_setting(tmp_path / "file/config.toml", ("preset",), "x")
