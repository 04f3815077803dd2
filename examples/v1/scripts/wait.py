"""Runs until it is stopped, or for an hour."""

import time

from azureml.core import Run

Run.get_context().log("started", 1)
print("waiting", flush=True)
time.sleep(3600)
