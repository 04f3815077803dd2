"""`turnout portal`: the service's pages in the browser, let in by a link that works once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from turnout.cli.parsing import Parser
from turnout.client.embedded import default_client
from turnout.client.portal import page, sign_in_link

EXAMPLES = """\
  turnout portal                  the overview
  turnout portal latest           the newest run
  turnout portal --no-browser     only print the link"""


def main(argv: Sequence[str]) -> int:
    parser = Parser(
        "turnout portal",
        "Open the portal in the browser: targets, runs with their logs, charts and files.\n"
        "The link lets one browser in, once, within five minutes; it is remembered for 30 days.",
        EXAMPLES,
    )
    parser.add_argument("run", nargs="?", help="open the page of this run: its id, or 'latest'")
    parser.add_argument("--no-browser", action="store_true", help="print the link and no more")
    given = parser.parse_args(list(argv))
    client = default_client()
    place = "/portal/"
    if given.run:
        from turnout.cli.run import find

        place = page("runs", find(client, given.run)["id"])
    link = sign_in_link(client, place)
    if given.no_browser or not open_browser(link):
        print(link)
    else:
        print(f"Opened the portal: {link.partition('?')[0].removesuffix('sign-in')}")
    return 0


def open_browser(link: str) -> bool:
    """Whether a browser with a window was told. Text browsers would take the terminal over."""
    import webbrowser

    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not shown and not os.environ.get("BROWSER"):
        return False
    try:
        return webbrowser.open(link)
    except webbrowser.Error:
        return False
