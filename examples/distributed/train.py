"""A line through noisy points, learned by several processes together with PyTorch.

    turnout submit --target cpu --nodes 2 --processes 2 --pip torch --pip numpy train.py

Each process has points of its own; gradients are averaged over all of them with gloo, which needs
no GPU. Its place among the others comes from the variables that Turnout sets.
"""

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from turnout import Run

distributed.init_process_group("gloo")
rank, count = distributed.get_rank(), distributed.get_world_size()
run = Run.get_context()

torch.manual_seed(rank)
x = torch.rand(256, 1)
y = 3 * x + 1 + 0.01 * torch.randn(256, 1)

model = DistributedDataParallel(torch.nn.Linear(1, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for _ in range(200):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()

slope, offset = model.module.weight.item(), model.module.bias.item()
print(f"process {rank} of {count}: y = {slope:.2f} x + {offset:.2f}", flush=True)
run.log("slope", slope)  # What the first process logs is the run's.
distributed.destroy_process_group()
