"""A run that makes child runs: one for each rate that it tries."""

from azureml.core import Run

run = Run.get_context()
for rate in (0.01, 0.1, 1.0):
    child = run.child_run(name="rate %g" % rate)
    child.log("score", 1 - (rate - 0.1) ** 2)
    child.complete()
