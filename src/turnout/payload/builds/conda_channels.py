"""Whether channels can be reached from this host, found out before anything is made."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A channel that does not answer within this is not there.
PATIENCE_S = 5.0
#: Somebody else answers (a proxy, a gateway), or it is out of order.
NO_ANSWER = (407, 502, 503, 504)
FORBIDDEN = (401, 403)


def unreachable(channels: list[dict[str, Any]]) -> list[str]:
    """Why channels cannot be reached, a sentence for each that cannot."""
    # Names may take longer to be looked up than a connection may take to be made.
    whys = ["no answer within %g s" % PATIENCE_S for _ in channels]

    def look(i: int) -> None:
        whys[i] = why_not(channels[i]["address"])

    threads = [threading.Thread(target=look, args=(i,), daemon=True) for i in range(len(channels))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [
        "the channel %s cannot be reached from the target (%s)." % (named(channel), why)
        for channel, why in zip(channels, whys)
        if why
    ]


def is_damaged(package: dict[str, Any], cache: str) -> bool:
    """Whether a package in a folder is another than its channel's index says. The installer looks
    only at what it downloads."""
    if not package["url"].startswith("file://") or not package.get("sha256"):
        return False
    stem = os.path.join(cache, "%(name)s-%(version)s-%(build)s" % package)
    try:
        with open(stem + ".lock", "rb") as kept:
            if bytes.fromhex(package["sha256"]) in kept.read() and os.path.isdir(stem):
                return False  # It was right when it was unpacked, and that is what is linked.
    except OSError:
        pass
    digest = hashlib.sha256()
    try:
        with open(folder_of(package["url"]), "rb") as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                digest.update(part)
    except OSError:
        return False  # The installer says it better.
    return digest.hexdigest() != package["sha256"]


def folder_of(address: str) -> str:
    """The path of a file:// address."""
    return urllib.request.url2pathname(urllib.parse.urlsplit(address).path)


def named(channel: dict[str, Any]) -> str:
    """ "conda-forge (https://…)"."""
    if channel["name"] == channel["address"]:
        return channel["address"]
    return "%s (%s)" % (channel["name"], channel["address"])


def why_not(address: str) -> str:
    """What is wrong with a channel's address; "" when something answers there."""
    if address.startswith("file://"):
        folder = folder_of(address)
        return "" if os.path.isdir(folder) else "there is no folder %s" % folder
    if not address.startswith(("http://", "https://")):
        return "it is no address of a channel"
    page = address + "/noarch/repodata.json"
    request = urllib.request.Request(page, method="HEAD")  # noqa: S310 - http or https, see above
    request.add_header("User-Agent", "turnout")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S):  # noqa: S310
            return ""
    except urllib.error.HTTPError as e:
        if e.code in NO_ANSWER:
            return "it answers %d %s" % (e.code, e.reason)
        # The solver may have a login that we do not; but a filter that forbids it says the same.
        if e.code in FORBIDDEN and not has_login(address):
            return "it answers %d %s" % (e.code, e.reason)
        return ""
    except urllib.error.URLError as e:
        reason = e.reason
        return str(getattr(reason, "strerror", None) or reason)
    except (OSError, ValueError) as e:
        return str(e) or type(e).__name__


def has_login(address: str) -> bool:
    """Whether this host keeps a login for the channel's server, in one of the usual places."""
    host = urllib.parse.urlsplit(address).hostname or ""
    home = os.path.expanduser("~")
    places = [os.environ.get("NETRC") or home + "/.netrc", home + "/.rattler/credentials.json"]
    for place in [*places, os.environ.get("RATTLER_AUTH_FILE", "")]:
        try:
            with open(place, encoding="utf-8", errors="replace") as file:
                if host and host in file.read():
                    return True
        except OSError:
            continue
    return False
