"""Datastores and datasets: files of the workspace that runs read and write."""
