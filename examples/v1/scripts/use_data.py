"""Reads files and a table that the run was given, and writes into a folder of the datastore."""

import argparse
import os

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--files")
parser.add_argument("--table")
parser.add_argument("--result")
args = parser.parse_args()

run = Run.get_context()
run.log_list("files", os.listdir(args.files))

frame = run.input_datasets["points"].to_pandas_dataframe()
run.log("rows", len(frame))
run.log("mean", frame["y"].mean())

with open(os.path.join(args.result, "summary.txt"), "w") as f:
    f.write("%d rows" % len(frame))
