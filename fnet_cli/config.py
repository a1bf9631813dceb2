"""Settings from the environment and the user's config file, read once and passed down."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fnet_cli.constants import DEFAULT_PRESET, DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS
from fnet_cli.errors import OutputError, UsageError
from fnet_cli.files import replacing

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_CACHE = Path("~/.cache")
_MOST = 1e6


@dataclass(frozen=True)
class Settings:
    """What the environment and the config file decide.

    `default_preset` is FNET_PRESET, else `preset` in the config file, else the bundled preset.
    `kaggle_cache` and `huggingface_cache` are the two clients' own caches, `own_cache` is ours,
    for presets that come from neither. `offline` forbids every connection; `timeout` (seconds)
    and `retries` are for each request. `kaggle_endpoint` and `huggingface_endpoint` replace the
    addresses of the hubs, `s3_endpoint` that of S3; `s3_region` is the region of its buckets.
    """

    default_preset: str = DEFAULT_PRESET
    config_file: Path = Path("~/.config/fnet/config.toml")
    own_cache: Path = _CACHE / "fnet"
    kaggle_cache: Path = _CACHE / "kagglehub"
    huggingface_cache: Path = _CACHE / "huggingface" / "hub"
    offline: bool = False
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    retries: int = DEFAULT_RETRIES
    kaggle_endpoint: str = ""
    huggingface_endpoint: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables that fnet documents, and the config file that they name.

        Empty values count as unset. Raises UsageError for a value or a config file that cannot
        be read.
        """

        def path(*choices: str | Path) -> Path:
            return Path(next(choice for choice in choices if choice)).expanduser()

        def variable(name: str, *rest: str) -> str:
            value = environ.get(name, "")
            return str(Path(value, *rest)) if value else ""

        config_file = path(
            variable("FNET_CONFIG"), variable("XDG_CONFIG_HOME", "fnet", "config.toml"),
            cls.config_file,
        )  # fmt: skip
        return cls(
            default_preset=environ.get("FNET_PRESET") or _file_preset(config_file),
            config_file=config_file,
            own_cache=path(variable("FNET_CACHE"), variable("XDG_CACHE_HOME", "fnet"),
                           cls.own_cache),
            kaggle_cache=path(variable("KAGGLEHUB_CACHE"), cls.kaggle_cache),
            huggingface_cache=path(
                variable("HF_HUB_CACHE"), variable("HUGGINGFACE_HUB_CACHE"),
                variable("HF_HOME", "hub"), variable("XDG_CACHE_HOME", "huggingface", "hub"),
                cls.huggingface_cache,
            ),
            offline=_switch(environ, "FNET_OFFLINE")
            or environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE,
            timeout=_seconds(environ, "FNET_TIMEOUT", DEFAULT_TIMEOUT_SECONDS),
            retries=_count(environ, "FNET_RETRIES", DEFAULT_RETRIES),
            kaggle_endpoint=_endpoint(environ, "KAGGLE_API_ENDPOINT"),
            huggingface_endpoint=_endpoint(environ, "HF_ENDPOINT"),
            # These are others' variables, too: checked where they are used.
            s3_endpoint=environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL", ""),
            s3_region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION", ""),
        )  # fmt: skip


def save_default_preset(path: Path, preset: str) -> None:
    """Write `preset` as the default into a config file, whose other lines stay as they are.

    Raises UsageError for a file that is not TOML, and OutputError where it cannot be written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else None
        document = document or tomlkit.document()
        document["preset"] = preset
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(tomlkit.dumps(document), encoding="utf-8")
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}", hint="correct or remove it") from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _file_preset(path: Path) -> str:
    """Return the default preset that the config file names, or the bundled one."""
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8")).get("preset", DEFAULT_PRESET)
    except (FileNotFoundError, NotADirectoryError):
        return DEFAULT_PRESET
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not valid TOML: {error}", hint="correct or remove it") from error
    if not isinstance(value, str) or not value:
        raise UsageError(f"{path}: preset must be the name of a preset")
    return value


def _switch(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").lower()
    if value and value not in _TRUE + _FALSE:
        raise UsageError(f"{name} is {value!r:.40}", hint="use 1 or 0")
    return value in _TRUE


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < _MOST:
        raise UsageError(f"{name} is {text!r:.40}", hint="use a number of seconds above 0")
    return value


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not 0 <= value < _MOST:
        raise UsageError(f"{name} is {text!r:.40}", hint="use a whole number, 0 or more")
    return value


def _endpoint(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").rstrip("/")
    if text:
        check_web_address(text, name)
    return text


def check_web_address(text: str, name: str) -> None:
    """Raise UsageError where `text`, the value of the variable `name`, is not a web address.

    The message does not quote it: credentials may stand in it.
    """
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isprintable() or " " in text:
        raise UsageError(
            f"{name} is not the address of a server",
            hint="write http:// or https://, and a host",
        )
