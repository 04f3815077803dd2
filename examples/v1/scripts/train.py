"""Fits a line by gradient descent, with nothing but Python; as one wrote it for v1."""

import argparse
import json
import os

from azureml.core.run import Run

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, default=0.05)
parser.add_argument("--steps", type=int, default=40)
args = parser.parse_args()

run = Run.get_context()
xs = [i / 10 for i in range(30)]
ys = [3 * x + 1 for x in xs]
slope = offset = 0.0
for step in range(args.steps):
    errors = [slope * x + offset - y for x, y in zip(xs, ys)]
    mse = sum(e * e for e in errors) / len(errors)
    run.log("mse", mse)
    slope -= args.rate * 2 * sum(e * x for e, x in zip(errors, xs)) / len(xs)
    offset -= args.rate * 2 * sum(errors) / len(xs)
print("slope %.2f, offset %.2f, mse %.4f" % (slope, offset, mse))
run.log("rate", args.rate)

os.makedirs("outputs", exist_ok=True)
with open("outputs/model.json", "w") as f:
    json.dump({"slope": slope, "offset": offset}, f)
