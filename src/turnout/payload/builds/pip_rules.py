"""The package sources that pip would use on this machine, as uv takes them.

From pip's configuration files and `PIP_*`. What uv is told itself (`UV_*`, `uv.toml`) is left
alone.
"""

from __future__ import annotations

import configparser
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: pip's option and what uv calls it. Lists are separated by spaces, find-links by commas.
OPTIONS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
UV_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
#: Where systems keep the certificates that they trust; uv brings its own, which a company's proxy
#: is not among.
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def config_files(environ: Mapping[str, str]) -> list[str]:
    """pip's configuration files on Linux, the strongest last."""
    home = environ.get("HOME", "")
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    return [
        *(f"{d}/pip/pip.conf" for d in reversed(xdg_folders(environ))),
        "/etc/pip.conf",
        f"{home}/.pip/pip.conf",
        f"{config}/pip/pip.conf",
        *([named] if named else []),
    ]


def xdg_folders(environ: Mapping[str, str]) -> list[str]:
    return [d for d in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if d]


def pip_options(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip's files and variables say, by option name."""
    options: dict[str, str] = {}
    for file in config_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeError) as e:
            # Not its words: they quote the line, which may hold a password.
            line = getattr(e, "lineno", None) or next(iter(getattr(e, "errors", [])), [None])[0]
            where = f" (line {line})" if line else ""
            sys.stderr.write(f"pip's configuration {file} cannot be read and is left out{where}\n")
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                options.update(parser.items(section))
    for name in (*OPTIONS, "no-index"):
        value = environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            options[name] = value
    return {name: value for name, value in options.items() if value.strip()}


def uv_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that make uv use pip's package sources."""
    options = pip_options(environ)
    own = any(environ.get(name) for name in UV_INDEXES) or has_uv_config(environ)
    found: dict[str, str] = {}
    for name, target in OPTIONS.items():
        value = options.get(name, "")
        if not value:
            continue
        if environ.get(target) or (own and target in UV_INDEXES):
            continue
        if name == "find-links":
            found[target] = ",".join(value.split())
        else:
            found[target] = " ".join(value.split())
    if "UV_INDEX" in found and not environ.get("UV_INDEX_STRATEGY"):
        # pip takes the best version of all its indexes, uv the first index that has the name.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if not (environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR") or options.get("cert")):
        for file in filter(os.path.isfile, BUNDLES):
            found["SSL_CERT_FILE"] = file
    return found


def uv_arguments(environ: Mapping[str, str]) -> list[str]:
    """What uv takes as an argument only."""
    value = pip_options(environ).get("no-index", "").strip().lower()
    return ["--no-index"] if value in ("1", "true", "yes", "on") else []


def has_uv_config(environ: Mapping[str, str]) -> bool:
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '')}/.config"
    files = [f"{d}/uv/uv.toml" for d in [home, *xdg_folders(environ)]]
    return any(os.path.exists(file) for file in [*files, "/etc/uv/uv.toml"])
