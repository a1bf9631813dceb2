"""Credentials and proxies are found, and never shown."""

from __future__ import annotations

import json

import pytest
from worlds import world_in, write_files

from fnet_cli.checkup.access import check_credentials, check_proxies, redacted

SECRET = "s3cr3t"


def of(owner: str, world):
    for finding in check_credentials(world):
        if finding.details.get("for") == owner:
            return finding
    return None


@pytest.mark.parametrize(
    ("owner", "environ", "source"),
    [
        ("Kaggle", {"KAGGLE_API_TOKEN": SECRET}, "KAGGLE_API_TOKEN"),
        ("Kaggle", {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": SECRET},
         "KAGGLE_USERNAME and KAGGLE_KEY"),
        ("Hugging Face", {"HF_TOKEN": SECRET}, "HF_TOKEN"),
        ("S3", {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET},
         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("S3", {"AWS_PROFILE": SECRET}, "AWS_PROFILE"),
    ],
)  # fmt: skip
def test_a_variable_is_named_and_its_value_is_not(tmp_path, owner, environ, source):
    found = of(owner, world_in(tmp_path, environ))
    assert (found.verdict, found.found) == ("ok", f"{owner}: found in {source}")
    assert SECRET not in json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("owner", "name", "environ"),
    [
        ("Kaggle", ".kaggle/access_token", {}),
        ("Kaggle", "elsewhere/kaggle.json", {"KAGGLE_CONFIG_DIR": "~/elsewhere"}),
        ("Hugging Face", ".cache/huggingface/token", {}),
        ("Hugging Face", "hf/token", {"HF_HOME": "~/hf"}),
        ("S3", ".aws/credentials", {}),
        ("web mirrors", ".netrc", {}),
    ],
)
def test_a_file_is_named_and_one_that_others_may_read_is_a_warning(tmp_path, owner, name, environ):
    write_files(tmp_path, {f"home/{name}": SECRET})
    path = tmp_path / "home" / name
    for mode, verdict in ((0o600, "ok"), (0o644, "warning")):
        path.chmod(mode)
        found = of(owner, world_in(tmp_path, environ))
        assert (found.verdict, found.found) == (verdict, f"{owner}: found in ~/{name}")
        assert SECRET not in json.dumps(found.to_dict())
    assert found.hint == f"others may read it: chmod 600 ~/{name}"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"KAGGLE_USERNAME": "me"}, "KAGGLE_USERNAME is set, and KAGGLE_KEY is not"),
        ({"KAGGLE_API_TOKEN": f"{SECRET}\n"}, "line break"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}, "a file that is not there"),
    ],
)
def test_credentials_that_cannot_work_are_a_warning(tmp_path, environ, words):
    findings = list(check_credentials(world_in(tmp_path, environ)))
    (found,) = [finding for finding in findings if finding.verdict == "warning"]
    assert words in found.found + found.hint
    assert SECRET not in json.dumps(found.to_dict())


def test_none_are_one_line(tmp_path):
    (found,) = check_credentials(world_in(tmp_path))
    assert found.verdict == "ok"
    assert found.found.startswith("none for Kaggle, Hugging Face, S3, ")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"http://user:{SECRET}@proxy:3128", "http://***@proxy:3128"),
        (f"user:{SECRET}@proxy:3128", "***@proxy:3128"),
        (f"socks5h://u:p@{SECRET}@proxy", "socks5h://***@proxy"),
        ("http://proxy:3128", "http://proxy:3128"),
    ],
)
def test_a_proxy_is_shown_without_its_user(tmp_path, address, shown):
    assert redacted(address) == shown
    (found,) = check_proxies(world_in(tmp_path, {"HTTPS_PROXY": address}))
    assert (found.verdict, found.found) == ("ok", f"https_proxy {shown}")
    assert SECRET not in json.dumps(found.to_dict())


def test_certificates_that_are_not_there_are_a_warning(tmp_path):
    (found,) = check_proxies(world_in(tmp_path, {"SSL_CERT_FILE": "/nowhere.pem"}))
    assert (found.verdict, found.found) == (
        "warning", "SSL_CERT_FILE names a file that is not there",
    )  # fmt: skip
