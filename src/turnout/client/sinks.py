"""Where a run logs that is seen from outside: the service."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turnout.client.http import PART, Client, segment
from turnout.payload import sinks
from turnout.payload.values import TrackingError, encode


class ServiceSink(sinks.Sink):
    """Sends every record and upload at once."""

    def __init__(self, client: Client, run_id: str) -> None:
        self.client = client
        self.path = f"/v1/runs/{segment(run_id)}"

    def write(self, record: dict[str, Any]) -> None:
        kind = record["t"]
        if kind == "tags":
            tags = {"set": record.get("set", {}), "remove": record.get("remove", [])}
            self.client.request("PATCH", self.path, {"tags": tags})
        elif kind == "properties":
            self.client.request("PATCH", self.path, {"properties": record["add"]})
        elif kind in ("display_name", "description"):
            self.client.request("PATCH", self.path, {kind: record["value"]})
        else:
            body = {"records": [encode(record)], "key": os.urandom(16).hex()}
            self.client.post(f"{self.path}/records", body)

    def put_file(self, name: str, source: Any, child: str | None = None) -> None:
        path = f"{self.path}/files/{segment(name)}"
        if hasattr(source, "read"):
            data = source.read()
            body = data.encode() if isinstance(data, str) else bytes(data)
            self.client.request("PUT", path, lambda: parts_of(io.BytesIO(body)))
            return
        file = Path(os.fspath(source))
        if file.is_dir():
            raise TrackingError(f"'{file}' is a folder; use upload_folder(name, path).")
        if not file.is_file():
            raise TrackingError(f"There is no file '{file}' to upload as '{name}'.")

        def parts() -> Iterator[bytes]:
            with file.open("rb") as opened:
                yield from parts_of(opened)

        self.client.request("PUT", path, parts)

    def read_records(self) -> list[dict[str, Any]]:
        raise NotImplementedError("the service adds metrics up itself")

    def file_names(self, child: str | None = None) -> list[str]:
        files = self.client.get(f"{self.path}/files")["files"]
        logs = self.client.get(f"{self.path}/logs")["logs"]
        names = {found["name"] for found in files}
        return sorted(names | {found["name"] for found in logs if found["size"]})


def parts_of(file: Any) -> Iterator[bytes]:
    while part := file.read(PART):
        yield part
