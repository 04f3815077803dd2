"""`PYTHON rattler_child.py QUESTION.json`: py-rattler's part of a build, in a process of its own.

The one file of the payload that imports something beyond the standard library, and the only place
that knows py-rattler's interface. Answers in lines on stdout that begin with U+001E and hold one
JSON mapping: `{"status": str}` any number of times, then `{"result": {…}}` or `{"error": {"kind",
"text", …}}`. It ends by `os._exit`: the library's threads may crash the interpreter's own end.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

MARK = "\x1e"
#: No oftener is a status said.
PAUSE_S = 0.1
#: What the lock keeps of a package: all that installing it needs.
KEPT = (
    *("name", "version", "build", "build_number", "subdir", "noarch", "depends", "constrains"),
    *("sha256", "md5", "size", "python_site_packages_path"),
)


def tell(word: dict[str, Any]) -> None:
    sys.stdout.write("%s%s\n" % (MARK, json.dumps(word)))
    sys.stdout.flush()


def fail(kind: str, error: object, **facts: Any) -> NoReturn:
    tell({"error": {"kind": kind, "text": str(error), **facts}})
    sys.stdout.flush()
    os._exit(1)


def library() -> Any:
    import_module("rattler.exceptions")
    return import_module("rattler")


class Channels:
    """The channels of one question, read once; what `conda_pins` asks of them."""

    def __init__(self, question: dict[str, Any]) -> None:
        self.rattler = rattler = library()
        self.loop = asyncio.new_event_loop()
        self.solves = 0
        self.names = {c["address"]: c["name"] for c in question["channels"]}
        self.sources = [rattler.Channel(address) for address in self.names]
        # Always our own cache: without it the library writes into the person's home.
        self.gateway = rattler.Gateway(
            cache_dir=os.path.join(question["cache"], "repodata"), client=client(rattler)
        )
        platform = question.get("platform") or str(rattler.Subdir.current())
        self.platforms = [rattler.Subdir(platform), rattler.Subdir("noarch")]
        self.virtual = rattler.VirtualPackage.detect()

    def solve(self, specs: Sequence[str], lowest: bool = False) -> list[Any]:
        """The packages that satisfy `specs`; raises `Unsolvable`."""
        from turnout.payload.builds.conda_pins import Unsolvable

        self.solves += 1
        if self.solves == 2:
            tell({"status": "Looking for versions that can be had"})
        try:
            return self.loop.run_until_complete(
                self.rattler.solve(
                    sources=self.sources,
                    specs=[self.rattler.MatchSpec(spec, True) for spec in specs],
                    gateway=self.gateway,
                    platforms=self.platforms,
                    virtual_packages=self.virtual,
                    strategy="lowest-direct" if lowest else "highest",
                )
            )
        except self.rattler.exceptions.SolverError as e:
            raise Unsolvable(str(e)) from e

    def versions(self, name: str) -> list[str]:
        """All versions of a package in the channels, the oldest first."""
        found = self.loop.run_until_complete(
            self.gateway.query(self.sources, self.platforms, [name], recursive=False)
        )
        known = {r.version for records in found for r in records}
        return [str(version) for version in sorted(known)]

    def package_names(self) -> list[str]:
        found = self.loop.run_until_complete(self.gateway.names(self.sources, self.platforms))
        return sorted(name.normalized for name in found)


def client(rattler: Any) -> Any:
    """With the certificates that the machine trusts: a company's channel has its own authority."""
    config = rattler.Config.from_toml('tls-root-certs = "system"')
    return rattler.Client.from_config(config)


def solve(question: dict[str, Any]) -> dict[str, Any]:
    from turnout.payload.builds import conda_pins

    channels = Channels(question)
    names = ", ".join(channels.names.values())
    tell({"status": "Reading the channel %s and solving" % names})
    try:
        records, relaxed = conda_pins.solve(channels, question["packages"], question["pins"])
    except conda_pins.Impossible as e:
        fail(e.kind, e, **e.facts)
    except channels.rattler.exceptions.GatewayError as e:
        fail("channel", causes(e))
    packages = [as_locked(record) for record in records]
    platform = str(channels.platforms[0])
    return {"packages": packages, "relaxed": relaxed, "platform": platform}


def as_locked(record: Any) -> dict[str, Any]:
    full = json.loads(record.to_json())
    found = {key: full[key] for key in KEPT if full.get(key) is not None}
    found.update(url=record.url, channel=record.channel, file=record.file_name)
    return found


def as_record(rattler: Any, locked: dict[str, Any]) -> Any:
    record = rattler.PackageRecord(
        name=locked["name"],
        version=locked["version"],
        build=rattler.BuildString(locked["build"]),
        build_number=locked["build_number"],
        subdir=locked["subdir"],
        noarch=locked.get("noarch"),
        depends=locked.get("depends", []),
        constrains=locked.get("constrains", []),
        sha256=bytes.fromhex(locked["sha256"]) if locked.get("sha256") else None,
        md5=bytes.fromhex(locked["md5"]) if locked.get("md5") else None,
        size=locked.get("size"),
        python_site_packages_path=locked.get("python_site_packages_path"),
    )
    return rattler.RepoDataRecord(record, locked["file"], locked["url"], locked["channel"])


class Progress:
    """Hears the installer (from its threads) and says where it is."""

    def __init__(self, packages: list[dict[str, Any]]) -> None:
        self.sizes = {p["name"]: p.get("size") or 0 for p in packages}
        self.total = len(packages)
        self.fetching: dict[int, str] = {}
        self.loading: dict[int, int] = {}
        self.fetched = self.bytes = self.linked = 0
        self.downloads = False
        self.said_at = 0.0

    def say(self, text: str, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self.said_at >= PAUSE_S:
            self.said_at = now
            tell({"status": text})

    def downloading(self, last: bool = False) -> None:
        if self.downloads:
            done = (self.bytes + sum(self.loading.values())) / 1e6
            whole = max(sum(self.sizes.values()) / 1e6, done)
            # A total of a few kB would read "0 of 0 MB".
            size = " (%.0f of %.0f MB)" % (done, whole) if whole >= 1 else ""
            text = "Downloading %d of %d packages%s"
            self.say(text % (min(self.fetched + 1, self.total), self.total, size), last)

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self.fetching[operation] = package_name
        return operation

    def on_download_start(self, cache_entry: int) -> int:
        self.downloads = True
        self.loading[cache_entry] = 0
        self.downloading()
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        self.loading[download_idx] = progress
        self.downloading()

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        self.loading.pop(cache_entry, None)
        self.fetched += 1
        self.bytes += self.sizes.get(self.fetching.pop(cache_entry, ""), 0)
        self.downloading()

    def on_link_start(self, operation: int, package_name: str) -> int:
        return operation

    def on_link_complete(self, index: int) -> None:
        self.linked += 1
        if self.fetched >= self.total or not self.downloads:
            text = "Linking %d of %d packages" % (self.linked, self.total)
            self.say(text, self.linked == self.total)

    # The installer asks for these too.
    def on_transaction_start(self, total_operations: int) -> None: ...
    def on_transaction_operation_start(self, operation: int) -> None: ...
    def on_transaction_operation_complete(self, operation: int) -> None: ...
    def on_transaction_complete(self) -> None: ...
    def on_validate_start(self, cache_entry: int) -> int:
        return cache_entry

    def on_validate_complete(self, validate_idx: int) -> None: ...
    def on_download_completed(self, download_idx: int) -> None: ...
    def on_unlink_start(self, operation: int, package_name: str) -> int:
        return operation

    def on_unlink_complete(self, index: int) -> None: ...
    def on_post_link_start(self, package_name: str, script_path: str) -> int:
        self.say("Running the script of %s" % package_name, last=True)
        return 0

    def on_post_link_complete(self, index: int, success: bool) -> None: ...
    def on_pre_unlink_start(self, package_name: str, script_path: str) -> int:
        return 0

    def on_pre_unlink_complete(self, index: int, success: bool) -> None: ...


def install(question: dict[str, Any]) -> dict[str, Any]:
    rattler = library()
    packages = question["packages"]
    try:
        asyncio.run(
            rattler.install(
                [as_record(rattler, p) for p in packages],
                question["prefix"],
                cache_dir=os.path.join(question["cache"], "pkgs"),
                installed_packages=[],
                platform=rattler.Subdir(question["platform"]),
                # They are run as the person who installs, as the packages' own code will be: the
                # environment is theirs. Packages that need theirs are broken without.
                execute_link_scripts=True,
                client=client(rattler),
                reporter=Progress(packages),
            )
        )
    except Exception as e:  # Whatever the library raises: its class says less than its text.
        fail("install", causes(e), type=type(e).__name__)
    return {}


def causes(error: BaseException) -> str:
    """The text of an error with those that led to it, each once."""
    found: list[str] = []
    step: BaseException | None = error
    while step is not None:
        text = str(step).strip()
        if text and not any(text in earlier for earlier in found):
            found.append(text)
        step = step.__cause__ or step.__context__
    return "\n".join(found)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        question = json.load(file)
    try:
        result = {"solve": solve, "install": install}[question["do"]](question)
    except Exception as e:  # Anything else is told in the same way, never by a stack trace.
        fail("unexpected", causes(e), type=type(e).__name__)
    tell({"result": result})
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [here.rsplit(os.sep, 3)[0], *(p for p in sys.path if p != here)]
    main()
