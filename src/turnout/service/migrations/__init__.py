"""The schema's history. A change of tables is a new file in `versions`; `NEWEST` names it."""

NEWEST = "0009"
