"""Follows a run on the terminal: the script's output as it comes, our words beside it."""

from __future__ import annotations

import re
import sys
from typing import Any

from turnout.cli.terminal import StatusLine, printable, say
from turnout.client.events import Event, follow
from turnout.client.http import Client, segment

DRIVER_LOG = "azureml-logs/70_driver_log.txt"
BUILD_LOG = "azureml-logs/20_image_build_log.txt"
#: As a shell reports a process that SIGINT ended.
INTERRUPTED = 130
#: Bytes of the script's output that are looked at for what it died of.
TAIL = 2000
NO_MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '?(\w+)[\w.]*'?.*")
#: Packages that do not have the name of their module.
PACKAGES = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
}
WORDS = {
    "created": "Waiting",
    "queued": "Waiting",
    "provisioning": "Waiting for the target",
    "preparing": "Preparing",
    "finalizing": "Collecting outputs",
}


class Follower:
    """Prints one run. The first Ctrl-C cancels it politely, the second one leaves it alone."""

    def __init__(self, client: Client, run: str, *, cancels: bool) -> None:
        self.client = client
        self.run = run
        self.cancels = cancels
        self.status = StatusLine()
        #: Next byte to print, by log name.
        self.printed: dict[str, int] = {}
        self.at_line_start = True
        #: The last of the script's output.
        self.tail = b""
        self.cancel_sent = False

    def follow(self) -> dict[str, Any] | None:
        """The run in its final state; None when the person stopped looking before."""
        interrupts = 0
        while True:
            try:
                if interrupts == 1:
                    self.cancel()
                for event in follow(self.client, self.run, dict(self.printed)):
                    self.take(event)
                    if event.kind == "end":
                        return event.data
            except KeyboardInterrupt:
                self.status.clear()
                interrupts += 1
                if interrupts == 2 and not self.cancel_sent:
                    self.cancel()  # the second one came before the first was through
                if interrupts == 2 or not self.cancels:
                    self.leave()
                    return None

    def take(self, event: Event) -> None:
        data = event.data
        if event.kind == "log":
            self.take_log(data)
            return
        if event.kind == "end" or data["state"] == "running":
            self.status.clear()
        elif self.at_line_start:
            word = "Canceling" if data["cancel_requested"] else WORDS.get(data["state"], "")
            self.status.show(progress(word, data["message"]))
        if event.kind == "end" and not self.at_line_start:
            self.write(b"\n")

    def take_log(self, log: dict[str, Any]) -> None:
        name, text = log["name"], log["text"]
        if name == DRIVER_LOG:
            self.status.clear()
            self.write(self.raw(log) if "\N{REPLACEMENT CHARACTER}" in text else text.encode())
        elif name == BUILD_LOG and (lines := text.strip().splitlines()) and self.at_line_start:
            self.status.show(f"Preparing: {lines[-1]}")
        self.printed[name] = log["next"]

    def raw(self, log: dict[str, Any]) -> bytes:
        """The bytes of a part that is not UTF-8: the script's output is passed on as it is."""
        path = f"/v1/runs/{segment(self.run)}/logs/{segment(log['name'])}"
        query = {"offset": log["offset"], "limit": log["next"] - log["offset"]}
        with self.client.open("GET", path, query=query) as answer:
            return answer.read()

    def write(self, data: bytes) -> None:
        if not data:
            return
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self.at_line_start = data.endswith(b"\n")
        self.tail = (self.tail + data)[-TAIL:]

    def cancel(self) -> None:
        say(f"\nCanceling {self.run} … (Ctrl-C again leaves it to itself)")
        self.client.post(f"/v1/runs/{segment(self.run)}/cancel")
        self.cancel_sent = True

    def leave(self) -> None:
        how = "is being canceled" if self.cancel_sent else "goes on"
        say(f"\nThe run {how}. See it: turnout run logs --follow {self.run}")


def progress(word: str, message: str) -> str:
    """
    >>> progress("Preparing", "Resolving 2 packages"), progress("Waiting", "Waiting for lab")
    ('Preparing: Resolving 2 packages', 'Waiting for lab')
    """
    if word and message.startswith(word):
        return message
    return ": ".join(part for part in (word, message) if part)


def exit_code(view: dict[str, Any]) -> int:
    """The script's own code; 128 + n for signal n, as a shell does it.

    >>> exit_code({"state": "failed", "error": {"exit_code": -9}})
    137
    """
    if view["state"] == "completed":
        return 0
    if view["state"] == "canceled":
        return INTERRUPTED
    code = (view["error"] or {}).get("exit_code")
    if not isinstance(code, int):
        return 1
    return 128 - code if code < 0 else (code % 256 or 1)


def say_end(view: dict[str, Any], tail: bytes = b"") -> None:
    """How it ended, unless it ended well. `tail` is the last of the script's output."""
    for warning in view["warnings"]:
        say(f"turnout: warning: {warning_text(warning)}")
    if view["state"] == "canceled":
        say(f"The run {view['id']} was canceled.")
    elif view["state"] == "failed":
        message = (view["error"] or {}).get("message") or "no reason is known"
        say(f"The run {view['id']} failed: {message}")
        if (view["error"] or {}).get("code") == "prepare_failed":
            say(f"How its environment was made, in full: turnout run logs {view['id']}")
        elif text := missing_module(tail.decode(errors="replace")):
            say(text)


def missing_module(output: str) -> str:
    """What to do when the script ended because a module was not there.

    >>> missing_module("ModuleNotFoundError: No module named 'sklearn.svm'\\n")
    "The run's environment has no 'sklearn'. List what the script needs: --pip scikit-learn"
    """
    lines = output.rstrip().splitlines()
    found = NO_MODULE.fullmatch(lines[-1].strip()) if lines else None
    if found is None:
        return ""
    name = found[1]
    return (
        f"The run's environment has no '{name}'. List what the script needs: "
        f"--pip {PACKAGES.get(name, name)}"
    )


def warning_text(warning: Any) -> str:
    return printable(warning.get("message", warning) if isinstance(warning, dict) else warning)
