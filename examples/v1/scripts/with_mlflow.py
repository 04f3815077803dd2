"""Logs through MLflow alone."""

import mlflow

with mlflow.start_run():
    for loss in (3, 2, 1):
        mlflow.log_metric("loss", loss)
