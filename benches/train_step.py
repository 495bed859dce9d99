"""Images per second of one DMUE training step: PyTorch beside `dmue-train bench`.

Two straightforward PyTorch forms of the same step (edge backbone, the losses of the method, AdamW)
on the same made faces, with the same variations, threads, precision and batch, and no loader
workers on either side:

  two-pass  every branch runs twice: once without gradient to mine the latent distributions, once
            with gradient for the losses
  one-pass  one forward of every branch serves both

Branches are a ModuleList, run one after the other. Runs of all three take turns, so that a change of the
machine's load meets all of them; the best of each is compared.

  python benches/train_step.py --ours target/release/dmue-train --threads 2
"""

import argparse
import json
import subprocess
import time

import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = [(32, 1), (64, 2), (64, 1), (96, 2), (96, 1), (128, 2)]
SIZE, CLASSES = 48, 8
OMEGA, GAMMA, BETA, TEMPERATURE = 0.5, 1000.0, 10.0, 1.2


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = None
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)), inplace=True)


class Network(nn.Module):
    """Shared stem, one branch per class and the target branch, one neck, a head for each."""

    def __init__(self):
        super().__init__()
        first = BLOCKS[0][0]
        layers = [nn.Conv2d(1, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(True)]
        before = first
        for after, stride in BLOCKS[:-1]:
            layers.append(Block(before, after, stride))
            before = after
        self.stem = nn.Sequential(*layers)
        feature, stride = BLOCKS[-1]
        self.branches = nn.ModuleList(Block(before, feature, stride) for _ in range(CLASSES + 1))
        self.neck = nn.BatchNorm1d(feature)
        self.neck.bias.requires_grad_(False)
        heads = [CLASSES - 1] * CLASSES + [CLASSES]
        self.heads = nn.ModuleList(nn.Linear(feature, count, bias=False) for count in heads)
        self.uncertainty = nn.Sequential(
            nn.Linear(2 * CLASSES, CLASSES), nn.PReLU(), nn.Linear(CLASSES, 1), nn.Sigmoid()
        )

    def forward(self, images):
        shared = self.stem(images)
        features = [branch(shared).mean((2, 3)) for branch in self.branches]
        logits = [head(self.neck(feature)) for head, feature in zip(self.heads, features)]
        return features, logits


def mine(logits, labels):
    """The softmax of branch y over the other classes, with a 0 at position y."""
    mined = torch.zeros(len(labels), CLASSES)
    for i in range(CLASSES):
        rows = (labels == i).nonzero().squeeze(1)
        others = [c for c in range(CLASSES) if c != i]
        shares = (logits[i].detach()[rows] / TEMPERATURE).softmax(1)
        mined[rows.unsqueeze(1), torch.tensor(others)] = shares
    return mined


def auxiliary_loss(logits, labels):
    total = 0.0
    for i in range(CLASSES):
        rows = labels != i
        relabelled = labels[rows] - (labels[rows] > i).long()
        total = total + F.cross_entropy(logits[i][rows], relabelled)
    return total / CLASSES


def similarity_loss(features, labels):
    def rows(feature):
        return F.normalize(feature @ feature.t(), dim=1)

    target, total = rows(features[-1]), 0.0
    for i in range(CLASSES):
        other = (labels != i).float()
        mask = other.unsqueeze(1) * other.unsqueeze(0)
        difference = (target - rows(features[i])) * mask
        total = total + difference.square().sum() / other.sum().square()
    return total / CLASSES


def alpha(network, feature, labels):
    unit = F.normalize(feature, dim=1)
    cosine = unit @ unit.t()
    others = 1 - torch.eye(len(labels))
    members = F.one_hot(labels, CLASSES).float()
    values = (cosine * others) @ members / (others @ members).clamp_min(1)
    low, high = values.amin(1, True), values.amax(1, True)
    values = (values - low) / (high - low).clamp_min(1e-4)
    return network.uncertainty(torch.cat([values, members], 1))


def total_loss(network, features, logits, mined, labels):
    target = F.cross_entropy(alpha(network, features[-1], labels) * logits[-1], labels)
    negative = 1 - F.one_hot(labels, CLASSES).float()
    soft = (logits[-1].softmax(1) * negative - mined).square().mean()
    ramp = torch.exp(torch.tensor(-5.0)).item()  # w_u(0)
    up = target + OMEGA * soft + GAMMA * similarity_loss(features, labels)
    return ramp * up + auxiliary_loss(logits, labels)


def spread(count, width):
    return (torch.rand(count) * 2 - 1) * width


def vary(images):
    """Rotation, scale, shift and flip in one resampling, then contrast, brightness, erasing, noise."""
    count = len(images)
    angle, scale = spread(count, 0.349), spread(count, 0.182).exp()
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    sine, cosine = angle.sin() / scale, angle.cos() / scale
    first = torch.stack([cosine * mirror, -sine, spread(count, 0.16)], 1)
    second = torch.stack([sine * mirror, cosine, spread(count, 0.16)], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), images.shape, align_corners=False)
    images = F.grid_sample(images, grid, "bilinear", "border", align_corners=False)
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast = (1 + spread(count, 0.3)).view(-1, 1, 1, 1)
    images = (images - mean) * contrast + mean + spread(count, 0.15).view(-1, 1, 1, 1)
    mask = torch.ones(count, 1, SIZE, SIZE)
    for index in (torch.rand(count) < 0.4).nonzero().squeeze(1).tolist():
        area = SIZE * SIZE * (0.02 + 0.18 * torch.rand(()).item())
        aspect = spread(1, 1.194).exp().item()
        height, width = (max(1, min(SIZE, round(side))) for side in ((area * aspect) ** 0.5, (area / aspect) ** 0.5))
        top = torch.randint(0, SIZE - height + 1, ()).item()
        left = torch.randint(0, SIZE - width + 1, ()).item()
        mask[index, 0, top : top + height, left : left + width] = 0
    images = images.clamp(0, 1) * mask
    noise = torch.where(torch.rand(count) < 0.1, 0.02148, 0.0).view(-1, 1, 1, 1)
    return (images + torch.randn_like(images) * noise - 0.5) / 0.5


class Step:
    """One training step of the given number of passes on random batches of made faces."""

    def __init__(self, passes, batch, layout, precision):
        torch.manual_seed(1)
        self.passes, self.batch = passes, batch
        self.half = precision == "bfloat16"
        self.format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.network = Network().to(memory_format=self.format).train()
        trained = [value for value in self.network.parameters() if value.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.05)
        self.faces = torch.randint(0, 256, (4 * batch, 1, SIZE, SIZE), dtype=torch.uint8)
        self.labels = torch.arange(4 * batch) % CLASSES

    def __call__(self):
        rows = torch.randperm(len(self.faces))[: self.batch]
        labels = self.labels[rows]
        images = vary(self.faces[rows].float() / 255).contiguous(memory_format=self.format)
        mined = None
        if self.passes == 2:
            with torch.no_grad():
                mined = mine(self.forward(images)[1], labels)
        features, logits = self.forward(images)
        if mined is None:
            mined = mine(logits, labels)
        loss = total_loss(self.network, features, logits, mined, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def forward(self, images):
        """The losses stay in float32, as in dmue-train."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            features, logits = self.network(images)
        return [feature.float() for feature in features], [logit.float() for logit in logits]

    def images_per_second(self, steps):
        for _ in range(3):
            self()
        start = time.perf_counter()
        for _ in range(steps):
            self()
        return steps * self.batch / (time.perf_counter() - start)


def ours(binary, arguments):
    command = [binary, "bench", "--model", "edge", "--json", "--steps", str(arguments.steps)]
    command += ["--threads", str(arguments.threads), "--classes", str(CLASSES), "--precision", arguments.precision]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output)["images_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", help="the dmue-train binary; without it PyTorch alone is timed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=72, help="as configs/edge.toml has it")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    runs = {}
    for layout in ("contiguous", "channels_last"):
        for passes in (2, 1):
            step = Step(passes, arguments.batch, layout, arguments.precision)
            runs[f"PyTorch {passes}-pass {layout}"] = lambda step=step: step.images_per_second(arguments.steps)
    if arguments.ours:
        runs["dmue-train"] = lambda: ours(arguments.ours, arguments)
    best = dict.fromkeys(runs, 0.0)
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            best[name] = max(best[name], run())
    for name, rate in best.items():
        ratio = f", dmue-train is {best['dmue-train'] / rate:.2f}x" if arguments.ours else ""
        print(f"{name:32} {rate:7.1f} images/s{ratio}")


if __name__ == "__main__":
    main()
