"""`turnout datastore` and `turnout dataset`: the workspace's data with v1's options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from turnout.cli.parsing import Noun
from turnout.cli.v1_options import add_common, answer
from turnout.spec.errors import NotFoundError, UserError

if TYPE_CHECKING:
    from turnout.client.datastore import Datastore

STORE_EXAMPLES = """\
  turnout datastore show-default --query name -o tsv
  turnout datastore upload -n workspaceblobstore -p data/digits -u digits
  turnout datastore download -n workspaceblobstore -p models -d ."""
#: Verbs of v1 that are not there, and what there is instead.
NO_STORES = (
    "Only the workspace's own datastores are there: copy the files into one, with `turnout "
    "datastore upload`"
)
NO_REGISTER = (
    "Datasets are registered in Python: Dataset.File.from_files((store, 'digits')).register(ws, "
    "'digits')"
)


def main_datastore(argv: Sequence[str]) -> int:
    if argv and argv[0].startswith("attach-"):
        raise UserError(f"{NO_STORES}.")
    noun = Noun("datastore", "Datastores: folders that lie with the service.", STORE_EXAMPLES)
    for verb, command, about in (
        ("list", list_stores, "List datastores."),
        ("show", show_store, "Show a datastore."),
        ("show-default", show_store, "Show the default datastore."),
        ("set-default", set_default, "Make a datastore the default one."),
        ("upload", upload, "Copy the files below a folder into a datastore."),
        ("download", download, "Copy files of a datastore here."),
    ):
        parser = noun.verb(verb, command, about)
        if verb not in ("list", "show-default"):
            parser.add_argument("-n", "--name", required=True, metavar="NAME", help="its name")
        add_common(parser)
        parser.add_argument("--include-secret", nargs="?", help=argparse.SUPPRESS)
        if command in (upload, download):
            declare_copy(parser, up=command is upload)
    return noun.run(argv)


def declare_copy(parser: argparse.ArgumentParser, *, up: bool) -> None:
    if up:
        parser.add_argument("-p", "--src-path", required=True, metavar="DIR", help="the folder")
        parser.add_argument("-u", "--target-path", metavar="PATH", help="where in the datastore")
    else:
        parser.add_argument("-d", "--target-path", required=True, metavar="DIR", help="where to")
        parser.add_argument("-p", "--prefix", metavar="PATH", help="only what begins so")
    for name, about in (
        ("--overwrite", "replace what is there"),
        ("--hide-progress", "say nothing on the way"),
    ):
        # v1 took a word after it, and none.
        parser.add_argument(
            name, nargs="?", const=True, default=False, type=truth, metavar="true", help=about
        )


def truth(text: str) -> bool:
    """
    >>> truth("True"), truth("false")
    (True, False)
    """
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")
    return text.lower() == "true"


def store_of(given: argparse.Namespace) -> Datastore:
    from turnout.client.datastore import Datastore
    from turnout.client.workspace import Workspace

    return Datastore(Workspace(), getattr(given, "name", None))


def store_record(store: Datastore) -> dict[str, Any]:
    return {
        "name": store.name,
        "dataStoreType": store.datastore_type,
        "accountName": store.account_name,
        "containerName": store.container_name,
        "isDefault": store.is_default,
    }


def list_stores(given: argparse.Namespace) -> int:
    from turnout.client.workspace import Workspace

    answer(given, [store_record(store) for store in Workspace().datastores.values()])
    return 0


def show_store(given: argparse.Namespace) -> int:
    answer(given, store_record(store_of(given)))
    return 0


def set_default(given: argparse.Namespace) -> int:
    store = store_of(given)
    store.set_as_default()
    answer(given, store_record(store))
    return 0


def upload(given: argparse.Namespace) -> int:
    import sys
    from contextlib import redirect_stdout

    store = store_of(given)
    with redirect_stdout(sys.stderr):  # stdout is for the answer alone
        place = store.upload(
            given.src_path, given.target_path, given.overwrite, not given.hide_progress
        )
    answer(given, {"name": store.name, "path": place.path_on_datastore or ""})
    return 0


def download(given: argparse.Namespace) -> int:
    import sys
    from contextlib import redirect_stdout

    store = store_of(given)
    with redirect_stdout(sys.stderr):
        count = store.download(
            given.target_path, given.prefix, given.overwrite, not given.hide_progress
        )
    answer(given, {"name": store.name, "downloaded": count})
    return 0


def main_dataset(argv: Sequence[str]) -> int:
    if argv and argv[0] == "register":
        raise UserError(f"{NO_REGISTER}.")
    noun = Noun("dataset", "Datasets: registered names for files, in versions.")
    add_common(noun.verb("list", list_datasets, "List datasets, the newest version of each."))
    for verb, command, about in (
        ("show", show_dataset, "Show a dataset."),
        ("unregister", unregister, "Forget all versions of a dataset; its files stay."),
    ):
        parser = noun.verb(verb, command, about)
        parser.add_argument("-n", "--name", metavar="NAME", help="its name")
        parser.add_argument("-i", "--id", metavar="ID", help="its id, instead")
        if verb == "show":
            parser.add_argument("-v", "--version", default="latest", help="default: the newest")
        add_common(parser)
    return noun.run(argv)


def dataset_of(given: argparse.Namespace) -> Any:
    from turnout.client.dataset_factories import Dataset
    from turnout.client.workspace import Workspace

    if bool(given.name) == bool(given.id):
        raise UserError("Say which dataset: --name or --id, one of the two.")
    if given.id:
        return Dataset.get_by_id(Workspace(), given.id)
    version = getattr(given, "version", "latest")
    if version != "latest" and not version.isdecimal():
        raise NotFoundError(
            f"The dataset '{given.name}' has no version '{version}': give 1 or so."
        )
    return Dataset.get_by_name(Workspace(), given.name, version)


def dataset_record(dataset: Any) -> dict[str, Any]:
    return {
        "registration": {
            "id": dataset.id,
            "name": dataset.name,
            "version": dataset.version,
            "description": dataset.description,
            "tags": dataset.tags,
        },
        "source": [
            f"('{source.datastore}', '{source.path}')" if source.datastore else source.path
            for source in dataset.sources
        ],
    }


def list_datasets(given: argparse.Namespace) -> int:
    from turnout.client.workspace import Workspace

    found = Workspace().datasets.values()
    answer(given, [dataset_record(dataset)["registration"] for dataset in found])
    return 0


def show_dataset(given: argparse.Namespace) -> int:
    answer(given, dataset_record(dataset_of(given)))
    return 0


def unregister(given: argparse.Namespace) -> int:
    dataset = dataset_of(given)
    dataset.unregister_all_versions()
    answer(given, dataset_record(dataset)["registration"])
    return 0
