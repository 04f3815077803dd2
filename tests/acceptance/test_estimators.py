"""Estimators on a real service: this machine, clusters, several processes, data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout import AmlCompute, ComputeTarget, Estimator, Experiment, Workspace
from turnout.client.datastore import DataPath
from turnout.client.distributed_training import Mpi
from turnout.testing.missing import missing


@pytest.fixture
def cluster(ws: Workspace) -> Iterator[AmlCompute]:
    if len(os.sched_getaffinity(0)) < 2:
        missing("needs two cores to cut into nodes")
    config = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
    made = ComputeTarget.create(ws, "est", config)
    assert isinstance(made, AmlCompute)
    yield made
    made.delete(force=True)


#: Ridge regression of y on x by hand: nothing has to be installed.
TRAIN = """\
import argparse, json, os
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=0.0)
parser.add_argument("--verbose", action="store_true")
given = parser.parse_args()
run = Run.get_context()
points = [(x, 2.0 * x + 1.0) for x in range(10)]
mx = sum(x for x, _ in points) / len(points)
my = sum(y for _, y in points) / len(points)
slope = sum((x - mx) * (y - my) for x, y in points) / (
    sum((x - mx) ** 2 for x, _ in points) + given.alpha
)
run.log("alpha", given.alpha)
run.log("verbose", str(given.verbose))
run.log("slope", slope)
os.makedirs("outputs", exist_ok=True)
with open("outputs/model.json", "w") as file:
    json.dump({"slope": slope, "intercept": my - slope * mx}, file)
run.register_model("ridge-by-estimator", "outputs/model.json", tags={"alpha": given.alpha})
"""


def test_a_script_trains_on_this_machine_and_on_a_cluster(
    ws: Workspace, cluster: AmlCompute
) -> None:
    Path("train.py").write_text(TRAIN)
    exp = Experiment(ws, "estimators")
    for target in ("local", cluster):
        est = Estimator(
            source_directory=".",
            entry_script="train.py",
            compute_target=target,
            script_params={"--alpha": 0.5, "--verbose": ""},
            user_managed=True,
        )
        run = exp.submit(est)
        assert run.wait_for_completion()["status"] == "Completed"
        assert run.get_metrics()["alpha"] == 0.5
        assert run.get_metrics()["verbose"] == "True"
        model = ws.models["ridge-by-estimator"]
        assert (model.run_id, model.tags) == (run.id, {"alpha": "0.5"})
        again = exp.submit(est, tags={"of": "it"}, script_params={"--alpha": 0.7})
        again.wait_for_completion()
        assert again.get_metrics()["alpha"] == 0.7
        assert again.get_tags() == {"of": "it"}


def test_a_size_alone_makes_a_cluster_for_the_run(ws: Workspace) -> None:
    Path("train.py").write_text(TRAIN)
    est = Estimator(
        ".", vm_size="STANDARD_D1_V2", entry_script="train.py", user_managed=True,
        script_params={"--alpha": 1},
    )  # fmt: skip
    run = Experiment(ws, "estimators").submit(est)
    assert run.wait_for_completion()["status"] == "Completed"
    assert run.get_metrics()["alpha"] == 1.0


RANKS = """\
import os
print("rank", os.environ["OMPI_COMM_WORLD_RANK"], "of", os.environ["OMPI_COMM_WORLD_SIZE"])
"""


@pytest.mark.parametrize(
    "way", [{"process_count_per_node": 2}, {"distributed_training": Mpi(process_count_per_node=2)}]
)
def test_two_processes_are_started_by_mpi(
    ws: Workspace, cluster: AmlCompute, way: dict[str, Any]
) -> None:
    if not shutil.which("mpirun"):
        missing("needs mpirun (Debian: openmpi-bin)")
    Path("train.py").write_text(RANKS)
    est = Estimator(
        ".", entry_script="train.py", compute_target=cluster, user_managed=True, **way
    )  # fmt: skip
    run = Experiment(ws, "estimators").submit(est)
    run.wait_for_completion()
    text = "".join(run.get_details_with_logs()["logFiles"].values())
    assert "rank 0 of 2" in text
    assert "rank 1 of 2" in text


READS = """\
import argparse, os
from turnout import Run

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--resume-from")
given = parser.parse_args()
run = Run.get_context()
run.log("data", open(os.path.join(given.data, "a.txt")).read())
run.log("checkpoint", open(os.path.join(given.resume_from, "last")).read())
run.log("named", open(os.path.join(run.input_datasets["more"], "a.txt")).read())
"""


def test_data_and_checkpoints_reach_the_script_as_paths(ws: Workspace) -> None:
    for name, text in (("data/a.txt", "words"), ("old/last", "epoch 3")):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    store = ws.get_default_datastore()
    store.upload("data", target_path="est/data")
    store.upload("old", target_path="est/old")
    Path("src").mkdir()
    Path("src/train.py").write_text(READS)
    from turnout import Dataset

    est = Estimator(
        "src", entry_script="train.py", compute_target="local", user_managed=True,
        script_params={"--data": store.path("est/data").as_mount()},
        inputs=[Dataset.File.from_files((store, "est/data/**")).as_named_input("more").as_mount()],
        resume_from=DataPath(store, "est/old"),
    )  # fmt: skip
    run = Experiment(ws, "estimators").submit(est)
    run.wait_for_completion()
    assert run.get_metrics() == {"data": "words", "checkpoint": "epoch 3", "named": "words"}
