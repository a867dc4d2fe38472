"""Settings: `syncd.toml` and one file a shop, read whole into frozen values before anything starts.

`settings` says what can be set, `files` reads it and names every mistake by file, line and key, `samples` prints
the sample file, the settings page and the JSON schemas. A broken shop file is a problem of that shop alone.
"""

from syncd.config.files import (
    Config,
    ConfigError,
    Problem,
    ShopConfig,
    ShopProblem,
    channel_settings,
    load,
)
from syncd.config.keys import encryption_keys
from syncd.config.samples import sample, schema, settings_page, shop_schema
from syncd.config.settings import LogFormat, LogLevel, Settings
from syncd.config.token import admin_token, make_admin_token

__all__ = [
    "Config",
    "ConfigError",
    "LogFormat",
    "LogLevel",
    "Problem",
    "Settings",
    "ShopConfig",
    "ShopProblem",
    "admin_token",
    "channel_settings",
    "encryption_keys",
    "load",
    "make_admin_token",
    "sample",
    "schema",
    "settings_page",
    "shop_schema",
]
