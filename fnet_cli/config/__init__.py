"""Settings: flags over the environment, over fnet.toml, over the user's file, over defaults."""

from fnet_cli.config.kinds import check_web_address
from fnet_cli.config.settings import (
    SETTINGS,
    FoundSettings,
    Origin,
    Pinned,
    Settings,
    find_settings,
    user_file,
)
from fnet_cli.config.writing import remove_setting, save_default_preset, save_setting

__all__ = [
    "SETTINGS",
    "FoundSettings",
    "Origin",
    "Pinned",
    "Settings",
    "check_web_address",
    "find_settings",
    "remove_setting",
    "save_default_preset",
    "save_setting",
    "user_file",
]
