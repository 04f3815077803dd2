"""Logs square numbers, in the order that is asked for."""

import argparse

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--numbers", type=int, default=3)
parser.add_argument("--reverse", action="store_true")
args = parser.parse_args()

numbers = [i * i for i in range(args.numbers)]
if args.reverse:
    numbers.reverse()
Run.get_context().log_list("squares", numbers)
