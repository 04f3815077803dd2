"""Azure Machine Learning v1's import paths for the objects of Turnout.

This file is `azureml/__init__.py`, in the payload of every script and in `turnout-azureml`.
"""

from turnout.payload.v1.modules import serve

serve(__name__)
del serve
