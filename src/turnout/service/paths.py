"""`{name:file}` in routes: a relative path as scripts make them."""

from __future__ import annotations

from starlette.convertors import PathConvertor, register_url_convertor


class FileName(PathConvertor):
    """Unlike in Starlette's `path`, with line ends too."""

    regex = "(?s:.+)"


def use_file_names() -> None:
    """Make `{name:file}` known. For every module that has such a route, before it."""
    register_url_convertor("file", FileName())
