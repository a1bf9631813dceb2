"""What the environment and the files of settings decide, read once and passed down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fnet_cli.config.files import (
    SettingsFile,
    check_keys,
    check_owner,
    current_user,
    find_project_file,
    read_settings_file,
)
from fnet_cli.config.kinds import (
    COUNT,
    ENDPOINT,
    ONLY_ON,
    OTHERS_ENDPOINT,
    OTHERS_SWITCH,
    PATH,
    PATHS,
    PRESET,
    PROJECT_PRESET,
    SECONDS,
    SWITCH,
    TEXT,
    Kind,
    Variable,
    checked,
)
from fnet_cli.constants import DEFAULT_PRESET, DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS
from fnet_cli.errors import UsageError

_CACHE = Path("~/.cache")
COMMAND_TABLES = ("encode", "tokenize")


@dataclass(frozen=True)
class Settings:
    """What the environment and the files of settings decide.

    `default_preset` is FNET_PRESET, else `preset` in a file, else the bundled preset.
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
        """Read the variables that fnet documents, and the user's file that they name.

        A project's file is the program's alone (`find_settings`). Empty values count as unset.
        Raises UsageError for a value or a file that cannot be read.
        """
        return find_settings(environ).settings


@dataclass(frozen=True)
class Setting:
    """A setting by its `key` in files, and where its value may come from, first what wins.

    `places` are variables that only move the default. `in_project` is how a project's file may say
    it; without one it may not.
    """

    key: str
    attribute: str
    kind: Kind
    variables: tuple[Variable, ...] = ()
    places: tuple[Variable, ...] = ()
    in_project: Kind | None = None


_HUB = ("huggingface", "hub")
SETTINGS = (
    Setting("preset", "default_preset", PRESET, (Variable("FNET_PRESET"),),
            in_project=PROJECT_PRESET),
    Setting("offline", "offline", SWITCH,
            (Variable("HF_HUB_OFFLINE", kind=OTHERS_SWITCH), Variable("FNET_OFFLINE")),
            in_project=ONLY_ON),
    Setting("timeout", "timeout", SECONDS, (Variable("FNET_TIMEOUT"),), in_project=SECONDS),
    Setting("retries", "retries", COUNT, (Variable("FNET_RETRIES"),), in_project=COUNT),
    Setting("cache", "own_cache", PATH, (Variable("FNET_CACHE"),),
            (Variable("XDG_CACHE_HOME", ("fnet",)),)),
    Setting("kaggle_cache", "kaggle_cache", PATH, (Variable("KAGGLEHUB_CACHE"),)),
    Setting("huggingface_cache", "huggingface_cache", PATH,
            (Variable("HF_HUB_CACHE"), Variable("HUGGINGFACE_HUB_CACHE"),
             Variable("HF_HOME", ("hub",))),
            (Variable("XDG_CACHE_HOME", _HUB),)),
    Setting("kaggle_endpoint", "kaggle_endpoint", ENDPOINT, (Variable("KAGGLE_API_ENDPOINT"),)),
    Setting("huggingface_endpoint", "huggingface_endpoint", ENDPOINT, (Variable("HF_ENDPOINT"),)),
    Setting("s3_endpoint", "s3_endpoint", OTHERS_ENDPOINT,
            (Variable("AWS_ENDPOINT_URL_S3"), Variable("AWS_ENDPOINT_URL"))),
    Setting("s3_region", "s3_region", TEXT,
            (Variable("AWS_REGION"), Variable("AWS_DEFAULT_REGION"))),
)  # fmt: skip
TRUSTED = "trusted"
_CONFIG_FILE = Setting(
    "", "config_file", PATH, (Variable("FNET_CONFIG"),),
    (Variable("XDG_CONFIG_HOME", ("fnet", "config.toml")),),
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where a value came from: a flag, a variable, a file, or nowhere, which is the default."""

    variable: str = ""
    file: Path | None = None
    flag: str = ""

    def __str__(self) -> str:
        return self.flag or self.variable or (str(self.file) if self.file else "default")


@dataclass(frozen=True)
class Pinned:
    """What a file says of an option of a command; `name` is what messages call it."""

    value: Any
    file: Path
    name: str


@dataclass(frozen=True)
class FoundSettings:
    """Settings, the origin of each by its key, and the options that files pin, by command.

    `trusted` are the directories of others whose project's files the user reads. `project` is the
    project's file, where there is one.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    pinned: Mapping[str, Mapping[str, Pinned]] = field(default_factory=dict)
    trusted: tuple[Path, ...] = ()
    project: Path | None = None


def user_file(environ: Mapping[str, str]) -> Path:
    """Return where the user's file of settings is, or would be; it is not looked at."""
    return Path(_resolved(_CONFIG_FILE, environ, [])[0])


def find_settings(environ: Mapping[str, str], directory: Path | None = None) -> FoundSettings:
    """Read the environment, the project's file of `directory`, and the user's.

    A variable wins over the project's file, which wins over the user's. Without a directory,
    there is no project. Raises UsageError for a value or a file that cannot be used, and for a
    project's file of somebody else or with settings that only users make: caches and servers.
    """
    user = read_settings_file(user_file(environ))
    known = {setting.key: setting.kind for setting in SETTINGS}
    check_keys(user, user.document, (*known, TRUSTED, *COMMAND_TABLES))
    trusted = PATHS.from_toml(
        user.document.get(TRUSTED, []), user.name_of(TRUSTED), user.path.parent
    )
    files = [(user, known)]
    project = _project(environ, directory, user.path, trusted)
    if project is not None:
        files.insert(0, (project, _of_projects(project)))
    chosen: dict[str, Any] = {"config_file": user.path}
    origins: dict[str, Origin] = {}
    for setting in SETTINGS:
        chosen[setting.attribute], origins[setting.key] = _resolved(setting, environ, files)
    return FoundSettings(
        Settings(**chosen),
        origins,
        {command: _pinned(command, [file for file, _ in files]) for command in COMMAND_TABLES},
        trusted,
        None if project is None else project.path,
    )


def _project(
    environ: Mapping[str, str], directory: Path | None, user: Path, trusted: Sequence[Path]
) -> SettingsFile | None:
    if directory is None:
        return None
    if named := environ.get("FNET_PROJECT"):
        return read_settings_file(Path(named).expanduser().absolute(), must_exist=True)
    try:
        # The working directory has no links in its path.
        home = Path(environ["HOME"]).resolve() if environ.get("HOME") else None
        path = find_project_file(directory, home)
        if path is None or path == user.absolute():
            return None
        check_owner(path, current_user(), trusted)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return read_settings_file(path)


def _of_projects(file: SettingsFile) -> dict[str, Kind]:
    """Return the settings that a project's file may make; UsageError where it makes others."""
    kinds = {TRUSTED: None, **{setting.key: setting.in_project for setting in SETTINGS}}
    for key in file.document:
        if key in kinds and kinds[key] is None:
            raise UsageError(
                f"{file.name_of(key)} cannot be set by a project, which does not decide where "
                "files are kept, or whom fnet connects to",
                hint="it goes into the user's file (fnet config path) or into the environment",
            )
    allowed = {key: kind for key, kind in kinds.items() if kind is not None}
    check_keys(file, file.document, (*allowed, *COMMAND_TABLES))
    return allowed


def _resolved(
    setting: Setting,
    environ: Mapping[str, str],
    files: Sequence[tuple[SettingsFile, Mapping[str, Kind]]],
) -> tuple[Any, Origin]:
    """Return the value of a setting and its origin; every file is checked, also where it loses."""
    said = [
        (kinds[setting.key].from_toml(file.document[setting.key], file.name_of(setting.key),
                                      file.path.parent), Origin(file=file.path))
        for file, kinds in files
        if setting.key in file.document
    ]  # fmt: skip
    for variable in setting.variables:
        value = _of_variable(variable, setting, environ)
        if value is not None:
            return value, Origin(variable=variable.name)
    if said:
        return said[0]
    for variable in setting.places:
        value = _of_variable(variable, setting, environ)
        if value is not None:
            return value, Origin(variable=variable.name)
    default = getattr(Settings, setting.attribute)
    return (default.expanduser() if isinstance(default, Path) else default), Origin()


def _of_variable(variable: Variable, setting: Setting, environ: Mapping[str, str]) -> Any:
    """Return what a variable says, or None where it says nothing."""
    text = environ.get(variable.name, "")
    if not text:
        return None
    if variable.rest:
        text = str(Path(text, *variable.rest))
    return (variable.kind or setting.kind).from_text(text, variable.name)


def _pinned(command: str, files: Sequence[SettingsFile]) -> dict[str, Pinned]:
    """Return the options of a command that files pin, each as the first file says it."""
    found: dict[str, Pinned] = {}
    for file in files:
        name = f"{file.path}: {command}"
        table = checked(file.document.get(command, {}), dict, name, f"a table: [{command}]")
        for key, value in table.items():
            found.setdefault(key, Pinned(value, file.path, file.name_of(command, key)))
    return found
