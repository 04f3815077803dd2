"""What travels, packed once: the payload room and the top-level names, as one small zip."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import turnout

#: Old enough for zip, the same everywhere: equal sources give equal bytes and one digest.
EPOCH = (1980, 1, 1, 0, 0, 0)
#: What Python looks for at the top of the script's path.
TOP = {
    "turnout/payload/sitecustomize.py": "sitecustomize.py",
    "turnout/payload/v1/package.py": "azureml/__init__.py",
}
#: How MLflow, where the script has it, finds what `payload/mlflow` serves it.
PLUGIN = "turnout_run.dist-info"
ENTRY_POINTS = {
    "mlflow.tracking_store": "turnout = turnout.payload.mlflow.plugin:tracking_store",
    "mlflow.model_registry_store": "turnout = turnout.payload.mlflow.plugin:model_registry_store",
    "mlflow.artifact_repository": "turnout = turnout.payload.mlflow.plugin:artifact_repository",
    "mlflow.run_context_provider": "turnout = turnout.payload.mlflow.plugin:RunContext",
}


@dataclass(frozen=True)
class Payload:
    """The zip's bytes and the first 16 hex digits of their SHA-256, its name on every host."""

    data: bytes
    digest: str


@cache
def payload() -> Payload:
    """The payload of this installation."""
    package = Path(str(turnout.__file__)).parent
    version = turnout.__version__
    texts = {
        f"{PLUGIN}/METADATA": f"Metadata-Version: 2.1\nName: turnout-run\nVersion: {version}\n",
        f"{PLUGIN}/entry_points.txt": "".join(f"[{k}]\n{v}\n" for k, v in ENTRY_POINTS.items()),
    }
    sources = [package / "__init__.py", *sorted((package / "payload").rglob("*.py"))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for source in sources:
            place = f"turnout/{source.relative_to(package).as_posix()}"
            add(out, TOP.get(place, place), source.read_bytes())
        for place, text in texts.items():
            add(out, place, text.encode())
    data = buffer.getvalue()
    return Payload(data, hashlib.sha256(data).hexdigest()[:16])


def add(out: zipfile.ZipFile, place: str, data: bytes) -> None:
    name = zipfile.ZipInfo(place, EPOCH)
    name.external_attr = 0o644 << 16
    name.compress_type = zipfile.ZIP_DEFLATED
    out.writestr(name, data)
