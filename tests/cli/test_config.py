"""`fnet config`: what is set and where it comes from, and changes to the user's file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from running import run_fnet, run_shell

SECRET = "s3cr3t"


class User:
    """A user in a directory of a project, with a file of their own."""

    def __init__(self, root: Path) -> None:
        self.root, self.file = root, root / "config.toml"

    def config(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        env = {"FNET_CONFIG": str(self.file), **env}
        return run_fnet("config", *arguments, env=env, cwd=self.root)

    def says(self, *arguments: str) -> str:
        ran = self.config(*arguments)
        assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
        return ran.stderr


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_every_setting_is_shown_with_its_origin_and_no_secret(user):
    user.file.write_text('retries = 1\n[tokenize]\ncolumns = ["a", "b"]\n')
    project = user.root / "fnet.toml"
    project.write_text("[encode]\nnormalize = true\n")
    env = {
        "HF_TOKEN": SECRET,
        "HF_ENDPOINT": f"https://someone:{SECRET}@relay.test",
        "AWS_ENDPOINT_URL": "http://s3.test",
    }
    ran = user.config("show", "--json", "--offline", **env)
    assert SECRET not in ran.stdout + ran.stderr
    document = json.loads(ran.stdout)
    assert document["user_file"] == str(user.file)
    assert document["project_file"] == str(project)
    rows = {row["key"]: (row["value"], row["origin"]) for row in document["settings"]}
    assert rows["retries"] == (1, str(user.file))
    assert rows["offline"] == (True, "--offline")
    assert rows["s3_endpoint"] == ("http://s3.test", "AWS_ENDPOINT_URL")
    assert rows["huggingface_endpoint"] == ("set", "HF_ENDPOINT")
    assert rows["HF_TOKEN"] == ("set", "HF_TOKEN")
    assert rows["KAGGLE_KEY"] == (None, "default")
    assert rows["encode.normalize"] == (True, str(project))
    assert rows["encode.pooling"] == (None, "default")
    assert rows["tokenize.columns"] == ("a,b", str(user.file))
    assert rows["tokenize.text_column"] == ("text", "default")


def test_in_a_pipe_it_is_three_columns(tmp_path):
    ran = run_shell(f"cd {tmp_path}; fnet config show | awk -F'\\t' '{{print NF}}' | sort -u")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3\n", "")


def test_the_paths_are_printed_also_of_damaged_files(user):
    user.file.write_text("damaged")
    assert user.config("path").stdout == f"{user.file}\n"
    user.file.unlink()
    ran = user.config("path", "--project")
    assert (ran.returncode, ran.stdout) == (2, "")
    (user.root / "fnet.toml").touch()
    assert user.config("path", "--project").stdout == f"{user.root}/fnet.toml\n"


def test_what_is_set_is_in_force_until_it_is_unset(user):
    user.file.write_text("# mine\n")
    said = user.says("set", "encode.text_column", "2024")
    assert said == f"fnet: encode.text_column is 2024 now ({user.file})\n"
    user.says("set", "trusted", '["x"]')
    assert user.file.read_text() == (
        f'# mine\ntrusted = ["{user.root}/x"]\n\n[encode]\ntext_column = "2024"\n'
    )
    (user.root / "fnet.toml").write_text("[encode]\ntext_column = 'body'\n")
    assert f"note: here, {user.root}/fnet.toml decides it" in user.says(
        "unset", "encode.text_column"
    )
    assert user.says("unset", "retries") == f"fnet: retries was not set ({user.file})\n"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("retrys", "3", "error: retrys is no setting\nfnet: hint: did you mean retries?"),
        ("retries", "few", "error: retries is 'few'\nfnet: hint: use a whole number"),
        ("encode.pooling", "avg", "error: encode.pooling is 'avg'\nfnet: hint: use one of "),
        ("encode.poling", "mean", "hint: did you mean pooling"),
        ("encode.overwrite", "true", "encode.overwrite cannot be set in a file"),
    ],
)
def test_what_cannot_be_set_is_named_and_nothing_is_written(user, key, value, said):
    ran = user.config("set", key, value)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert not user.file.exists()
