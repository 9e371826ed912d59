"""The losses that tests/training/adversarial.rs expects: programs in which several optimizers share one graph.

Made with PyTorch 2.15.0 on the CPU (f32, one thread):

    python tests/training/reference/adversarial.py > tests/training/reference/adversarial.json

Weights, noise and batches are numbers from `uniform`, which the test computes to the same bits, and the built-in digits in
the order of their file. `spread` is how far the same program in f64 gets from this one, at most and relative to max(1, |loss|):
what rounding alone does.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

STEPS = 50
BATCH = 32
NOISE = 16
CRITIC_STEPS = 3
DIGITS = Path(__file__).parents[3] / "crates/data/data/digits.csv.gz"


def uniform(seed, shape, bound=1.0):
    """Numbers from [-bound, bound): MurmurHash3's finalizer of `i + seed · 2654435769`, its upper 24 bits."""
    mask = 0xFFFFFFFF
    h = (np.arange(np.prod(shape), dtype=np.uint64) + seed * 2654435769) & mask
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & mask
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & mask
    h ^= h >> 16
    x = (h >> 8).astype(np.float64) / 2**23 - 1.0
    return torch.from_numpy((x * bound).astype(np.float32)).reshape(shape)


class Mlp(nn.Module):
    """Linear layers with an activation between them; layer `i` has the numbers of the seeds `seed + 2 i` and the next."""

    def __init__(self, extents, activation, seed):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(extents, extents[1:]))
        self.activation = activation
        for i, layer in enumerate(self.layers):
            bound = 1.0 / layer.in_features**0.5
            layer.weight.data = uniform(seed + 2 * i, tuple(layer.weight.shape), bound)
            layer.bias.data = uniform(seed + 2 * i + 1, tuple(layer.bias.shape), bound)

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def leaky(x):
    return F.leaky_relu(x, 0.2)


def digits(step, dtype):
    """Batch `step` of images, scaled to 0 .. 1, from the start again at the end."""
    rows = (np.arange(BATCH) + step * BATCH) % len(PIXELS)
    return torch.from_numpy(PIXELS[rows]).to(dtype)


def gan(dtype):
    """Goodfellow et al. 2014, arXiv:1406.2661, with the generator's other loss; the fakes of a step serve both updates."""
    generator = Mlp([NOISE, 64, 64], leaky, 100).to(dtype)
    discriminator = Mlp([64, 64, 1], leaky, 200).to(dtype)
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    ones, zeros = torch.ones(BATCH, 1, dtype=dtype), torch.zeros(BATCH, 1, dtype=dtype)
    bce = F.binary_cross_entropy_with_logits
    losses = {"discriminator": [], "generator": []}
    for step in range(STEPS):
        fake = generator(uniform(1000 + step, (BATCH, NOISE)).to(dtype)).sigmoid()
        d_loss = bce(discriminator(digits(step, dtype)), ones) + bce(discriminator(fake.detach()), zeros)
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()
        g_loss = bce(discriminator(fake), ones)
        opt_g.zero_grad()
        g_loss.backward()
        opt_g.step()
        losses["discriminator"].append(d_loss.item())
        losses["generator"].append(g_loss.item())
    return losses


def wgan_gp(dtype):
    """Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1."""
    generator = Mlp([NOISE, 64, 64], leaky, 300).to(dtype)
    critic = Mlp([64, 64, 64, 1], F.silu, 400).to(dtype)
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
    opt_c = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    losses = {"critic": [], "penalty": [], "generator": []}
    for step in range(STEPS):
        for inner in range(step * CRITIC_STEPS, (step + 1) * CRITIC_STEPS):
            real = digits(inner, dtype)
            with torch.no_grad():
                fake = generator(uniform(2000 + inner, (BATCH, NOISE)).to(dtype)).sigmoid()
            alpha = (uniform(3000 + inner, (BATCH, 1)) * 0.5 + 0.5).to(dtype)
            between = (alpha * real + (1.0 - alpha) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = (slope.square().sum(1).sqrt() - 1.0).square().mean()
            loss = critic(fake).mean() - critic(real).mean() + 10.0 * penalty
            opt_c.zero_grad()
            loss.backward()
            opt_c.step()
            losses["critic"].append(loss.item())
            losses["penalty"].append(penalty.item())
        loss = -critic(generator(uniform(4000 + step, (BATCH, NOISE)).to(dtype)).sigmoid()).mean()
        opt_g.zero_grad()
        loss.backward()
        opt_g.step()
        losses["generator"].append(loss.item())
    return losses


class ActorCritic(nn.Module):
    """A policy of four actions and a value, on one trunk."""

    def __init__(self):
        super().__init__()
        self.trunk = Mlp([8, 32, 32], torch.tanh, 500)
        self.policy = Mlp([32, 4], None, 600)
        self.value = Mlp([32, 1], None, 700)

    def losses(self, states, actions, returns):
        """The policy gradient with the value as a baseline and a bonus of 0.01 for entropy; the value's squared error."""
        features = self.trunk(states).tanh()
        log_p = self.policy(features).log_softmax(-1)
        value = self.value(features).squeeze(-1)
        advantage = returns - value.detach()
        entropy = -(log_p.exp() * log_p).sum(-1).mean()
        taken = log_p.gather(1, actions[:, None]).squeeze(-1)
        return -(taken * advantage).mean() - 0.01 * entropy, F.mse_loss(value, returns)

    def optimizers(self):
        actor = [*self.trunk.parameters(), *self.policy.parameters()]
        critic = [*self.trunk.parameters(), *self.value.parameters()]
        return torch.optim.Adam(actor, lr=3e-3), torch.optim.SGD(critic, lr=2e-2, momentum=0.9)


def experience(dtype):
    """States, the actions taken in them, and what came back: more where action and state go together."""
    states = uniform(800, (64, 8))
    actions = torch.arange(64) % 4
    taken = torch.gather(states, 1, actions[:, None]).squeeze(-1)
    return states.to(dtype), actions, (taken * 2.0 + states[:, 7]).to(dtype)


def actor_critic(dtype):
    """Two optimizers that share a trunk, one after the other."""
    net, batch = ActorCritic().to(dtype), experience(dtype)
    opt_a, opt_c = net.optimizers()
    losses = {"actor": [], "critic": []}
    for _ in range(STEPS):
        actor_loss, _ = net.losses(*batch)
        opt_a.zero_grad()
        actor_loss.backward()
        opt_a.step()
        _, critic_loss = net.losses(*batch)
        opt_c.zero_grad()
        critic_loss.backward()
        opt_c.step()
        losses["actor"].append(actor_loss.item())
        losses["critic"].append(critic_loss.item())
    return losses


def actor_critic_joint(dtype):
    """The same two optimizers, with the gradients of one backward pass."""
    net, batch = ActorCritic().to(dtype), experience(dtype)
    opt_a, opt_c = net.optimizers()
    losses = {"actor": [], "critic": []}
    for _ in range(STEPS):
        actor_loss, critic_loss = net.losses(*batch)
        net.zero_grad()
        (actor_loss + 0.5 * critic_loss).backward()
        opt_a.step()
        opt_c.step()
        losses["actor"].append(actor_loss.item())
        losses["critic"].append(critic_loss.item())
    return losses


def spread(losses, exact):
    pairs = [(x, y) for name in losses for x, y in zip(losses[name], exact[name], strict=True)]
    return max(abs(x - y) / max(1.0, abs(y)) for x, y in pairs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with gzip.open(DIGITS, "rt") as lines:
        PIXELS = np.loadtxt(lines, delimiter=",", dtype=np.float32)[:, :64] / np.float32(16.0)
    programs = {}
    for program in [gan, wgan_gp, actor_critic, actor_critic_joint]:
        losses = program(torch.float32)
        lines = [f'"spread": {spread(losses, program(torch.float64)):.2g}']
        lines += [f'"{name}": [{", ".join(f"{x:.9g}" for x in curve)}]' for name, curve in losses.items()]
        programs[program.__name__] = "{\n  " + ",\n  ".join(lines) + "\n }"
    version = torch.__version__.split("+")[0]
    print("{\n" + ",\n".join([f' "torch": "{version}"', *(f' "{name}": {x}' for name, x in programs.items())]) + "\n}")
