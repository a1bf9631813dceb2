"""Settings: which variables are read, which win, and what is refused."""

from __future__ import annotations

import pytest
from running import run_fnet

from fnet_cli.config import Settings
from fnet_cli.constants import DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS
from fnet_cli.errors import UsageError

SECRET = "s3cr3t"
NOWHERE = {"FNET_CONFIG": "/nonexistent/fnet-tests"}


def read(**environ: str) -> Settings:
    return Settings.from_env({**NOWHERE, **environ})


def test_empty_values_count_as_unset():
    names = (
        "FNET_TIMEOUT", "FNET_RETRIES", "KAGGLE_API_ENDPOINT", "HF_ENDPOINT",
        "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION",
    )  # fmt: skip
    settings = read(**dict.fromkeys(names, ""))
    assert settings == read()
    assert (settings.timeout, settings.retries) == (DEFAULT_TIMEOUT_SECONDS, DEFAULT_RETRIES)
    assert (settings.kaggle_endpoint, settings.s3_endpoint, settings.s3_region) == ("", "", "")


@pytest.mark.parametrize(("text", "seconds"), [("0.5", 0.5), ("7", 7.0), ("1e3", 1000.0)])
def test_a_timeout(text, seconds):
    assert read(FNET_TIMEOUT=text).timeout == seconds


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", "1e6"])
def test_what_is_no_timeout(text):
    with pytest.raises(UsageError, match="FNET_TIMEOUT"):
        read(FNET_TIMEOUT=text)


@pytest.mark.parametrize("text", ["0", "5", "999999"])
def test_retries(text):
    assert read(FNET_RETRIES=text).retries == int(text)


@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "many", "1_0", "\u0663", "9" * 5000])
def test_what_is_no_count_of_retries(text):
    with pytest.raises(UsageError, match="FNET_RETRIES"):
        read(FNET_RETRIES=text)


@pytest.mark.parametrize(
    "address", ["https://relay.test", "http://127.0.0.1:8080", "https://relay.test/hub", "http://[::1]"]
)  # fmt: skip
def test_endpoints(address):
    settings = read(KAGGLE_API_ENDPOINT=address, HF_ENDPOINT=f"{address}/")
    assert settings.kaggle_endpoint == settings.huggingface_endpoint == address


@pytest.mark.parametrize("name", ["KAGGLE_API_ENDPOINT", "HF_ENDPOINT"])
@pytest.mark.parametrize(
    "address",
    [
        "relay.test", "//relay.test", "ftp://relay.test", "https://", "https:///hub", "http://:80",
        "http://relay.test:port", "http://relay.test:99999", "http://[::1", "https://relay.test\n/",
        f"ftp://someone:{SECRET}@relay.test", f"https://someone:{SECRET}@", f"someone:{SECRET}@x",
    ],
)  # fmt: skip
def test_what_is_no_endpoint(name, address):
    with pytest.raises(UsageError, match=name) as caught:
        read(**{name: address})
    assert SECRET not in f"{caught.value}{caught.value.hint}"


def test_the_address_of_s3():
    both = {"AWS_ENDPOINT_URL": "http://any.test", "AWS_ENDPOINT_URL_S3": "http://s3.test"}
    assert read(**both).s3_endpoint == "http://s3.test"
    assert read(**{**both, "AWS_ENDPOINT_URL_S3": ""}).s3_endpoint == "http://any.test"
    regions = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-2"}
    assert read(**regions).s3_region == "eu-west-1"
    assert read(AWS_DEFAULT_REGION="us-east-2").s3_region == "us-east-2"


def test_variables_of_others_do_not_stop_a_command():
    assert read(AWS_ENDPOINT_URL="nonsense").s3_endpoint == "nonsense"


def test_the_program_ends_with_2_and_names_the_variable():
    env = {"HF_ENDPOINT": f"ftp://someone:{SECRET}@relay.test"}
    ran = run_fnet("presets", "list", "--cached", env=env)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "HF_ENDPOINT" in ran.stderr
    assert SECRET not in ran.stderr


def test_the_cache_of_hugging_face(tmp_path):
    choices = [
        ("HF_HUB_CACHE", "one", "one"),
        ("HUGGINGFACE_HUB_CACHE", "two", "two"),
        ("HF_HOME", "three", "three/hub"),
        ("XDG_CACHE_HOME", "four", "four/huggingface/hub"),
    ]
    environ = {name: str(tmp_path / value) for name, value, _ in choices}
    for name, _, place in choices:
        assert read(**environ).huggingface_cache == tmp_path / place, name
        del environ[name]
