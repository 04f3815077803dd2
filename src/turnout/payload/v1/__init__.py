"""Import paths of Azure Machine Learning's v1 SDK, for the same objects."""
