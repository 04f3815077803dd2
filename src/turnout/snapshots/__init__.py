"""From a source folder to a snapshot and back: ignore rules, one fast pass, bundles.

Example: `capture(Path("."), home)` gives a `Capture` whose `bundle(missing)` is what to send.
"""

from turnout.snapshots.captures import Capture, capture
from turnout.snapshots.restores import restore

__all__ = ["Capture", "capture", "restore"]
