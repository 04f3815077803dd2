"""Where packages come from: pip's options and addresses, refused when they carry a password."""

from __future__ import annotations

import re

from turnout.spec.errors import EnvironmentSpecError
from turnout.spec.records import nearest

#: pip's options that say where packages come from, and whether they take a value.
OPTIONS = {
    "--index-url": True,
    "--extra-index-url": True,
    "--find-links": True,
    "--trusted-host": True,
    "--pre": False,
}
SHORT = {"-i": "--index-url", "-f": "--find-links", "--pypi-url": "--index-url"}
#: Options that may be given several times.
REPEATABLE = frozenset({"--extra-index-url", "--find-links", "--trusted-host"})
OPTION = re.compile(r"(?P<name>--?[A-Za-z][A-Za-z-]*)(?:\s*=\s*|\s+)?(?P<value>.*)")
LOGIN = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<login>[^/\s?#]*)@")
#: The way in which channels of conda carry a token.
CHANNEL_TOKEN = re.compile(r"://[^/\s]+/t/[^/\s]+")


def normal_option(text: str) -> str:
    """An option of pip in its one form: one word, as a command line and a requirements file both
    take it. Raises `EnvironmentSpecError` for those that mean nothing
    on another machine or carry a password.

    >>> normal_option("-i https://pypi.example.org/simple")
    '--index-url=https://pypi.example.org/simple'
    >>> normal_option("--extra-index-url=https://pypi.example.org/simple")
    '--extra-index-url=https://pypi.example.org/simple'
    """
    found = OPTION.fullmatch(text.strip())
    name = SHORT.get(found["name"], found["name"]) if found else text.strip()
    value = found["value"].strip() if found else ""
    if name not in OPTIONS:
        raise EnvironmentSpecError(
            f"The pip option '{name}' is not supported{nearest(name, OPTIONS)}. Those that are: "
            f"{', '.join(OPTIONS)}."
        )
    if OPTIONS[name] != bool(value) or any(c.isspace() for c in value):
        needs = "needs one value" if OPTIONS[name] else "takes no value"
        raise EnvironmentSpecError(f"The pip option '{name}' {needs}: {text.strip()!r}.")
    if name == "--find-links" and "://" not in value and not value.startswith("/"):
        raise EnvironmentSpecError(
            f"'{name} {value}' names a folder of this machine. Name one by its whole path on the "
            "target, or an address."
        )
    check_address(value)
    return f"{name}={value}" if value else name


def check_address(text: str) -> None:
    """Raise `EnvironmentSpecError` when `text` has an address with a password or token in it."""
    found = LOGIN.search(text)
    # A user name before an SSH address is none of the secrets; before a web address it may be a
    # token, and says nothing without a password otherwise.
    is_web = found is not None and found["scheme"].lower().endswith(("http", "https"))
    if (found and (is_web or ":" in found["login"])) or CHANNEL_TOKEN.search(text):
        raise EnvironmentSpecError(
            f"The address '{hidden(text)}' has a login in it, which would be kept with every run. "
            "Write the address without it, and put the login on the target: into ~/.netrc, or "
            "with its address into pip's configuration there (~/.config/pip/pip.conf)."
        )


def hidden(text: str) -> str:
    """`text` without what may be a secret.

    >>> hidden("https://ana:hunter2@pypi.example.org/simple")
    'https://***@pypi.example.org/simple'
    """
    text = LOGIN.sub(lambda m: f"{m['scheme']}://***@", text)
    return re.sub(r"(://[^/\s]+/t/)[^/\s]+", r"\1***", text)
