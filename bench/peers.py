#!/usr/bin/env python3
"""What Python's ways to save and load the same state take, on the same sizes and the same disk.

    bench/peers.py [--size GB] [--tensors N] [--rounds R] [--dir DIR] [--json FILE]

Needs python3-torch and python3-safetensors (Debian forky: scripts/in_debian forky bench/peers.py ...). The
state is the one of checkpoint_bench: square matrices with Adam's two moments of each. Every save ends
with fsync, every load with all its bytes in the memory of live tensors. Medians of the rounds.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors import safe_open
from safetensors.torch import save_file


def make_state(size_gb, count):
    width = max(1, int((size_gb * 1e9 / 4 / 3 / count) ** 0.5))
    state = {}
    for i in range(count):
        for name in (f"model.weight{i}", f"optimizer.{i}.exp_avg", f"optimizer.{i}.exp_avg_sq"):
            state[name] = torch.randn(width, width)
    return state


def sync(path):
    for folder, _, files in os.walk(path) if os.path.isdir(path) else [("", [], [path])]:
        for name in files:
            fd = os.open(os.path.join(folder, name), os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)


def fill_cache(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def copy_into(state, loaded):
    for name, tensor in state.items():
        tensor.copy_(loaded[name])


class Bench:
    def __init__(self, options):
        self.options = options
        self.times = {}
        self.state = make_state(options.size, options.tensors)
        self.target = {name: torch.empty_like(tensor).fill_(1) for name, tensor in self.state.items()}
        self.bytes = sum(t.nbytes for t in self.state.values())
        self.dir = tempfile.mkdtemp(prefix="peers-", dir=options.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def measure(self, name, work):
        start = time.perf_counter()
        result = work()
        self.times.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def remove(self, name):
        path = self.path(name)
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)

    def torch_save(self):
        self.remove("torch.pt")

        def save():
            torch.save(self.state, self.path("torch.pt"))
            sync(self.path("torch.pt"))

        self.measure("torch.save, fsync", save)
        fill_cache(self.path("torch.pt"))
        self.measure("torch.load", lambda: copy_into(self.target, torch.load(self.path("torch.pt"))))
        self.measure(
            "torch.load, mmap",
            lambda: copy_into(self.target, torch.load(self.path("torch.pt"), mmap=True)),
        )

    def safetensors(self):
        self.remove("state.safetensors")

        def save():
            save_file(self.state, self.path("state.safetensors"))
            sync(self.path("state.safetensors"))

        def load():
            with safe_open(self.path("state.safetensors"), framework="pt") as file:
                for name, tensor in self.target.items():
                    tensor.copy_(file.get_tensor(name))

        self.measure("safetensors save, fsync", save)
        fill_cache(self.path("state.safetensors"))
        self.measure("safetensors load", load)

    def shards(self, count=8):
        names = list(self.state)
        paths = [self.path(f"shard-{i}.safetensors") for i in range(count)]
        for i, path in enumerate(paths):
            save_file({name: self.state[name] for name in names[i::count]}, path)
            fill_cache(path)

        def load():
            for path in paths:
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():
                        self.target[name].copy_(file.get_tensor(name))

        self.measure(f"safetensors load, {count} files", load)

    def distributed(self):
        self.remove("dcp")
        future = None

        def begin():
            nonlocal future
            future = dcp.async_save(self.state, checkpoint_id=self.path("dcp"))

        start = time.perf_counter()
        self.measure("dcp.async_save, stall", begin)
        future.result()
        self.times.setdefault("dcp.async_save, until durable", []).append(time.perf_counter() - start)
        for file in os.listdir(self.path("dcp")):
            fill_cache(os.path.join(self.path("dcp"), file))
        self.measure("dcp.load", lambda: dcp.load(self.target, checkpoint_id=self.path("dcp")))

    def memcpy(self):
        self.measure("copy_ of all tensors, warm", lambda: copy_into(self.target, self.state))

    def run(self):
        for _ in range(self.options.rounds):
            for part in (self.memcpy, self.torch_save, self.safetensors, self.shards, self.distributed):
                part()

    def check(self):
        for name, tensor in self.state.items():
            assert torch.equal(tensor, self.target[name]), name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=1)
    parser.add_argument("--tensors", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", default=".")
    parser.add_argument("--json")
    options = parser.parse_args()

    # One process, so a store inside it suffices. Debian's build lacks the default store.
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    bench = Bench(options)
    try:
        bench.run()
        bench.check()
    finally:
        shutil.rmtree(bench.dir)
        dist.destroy_process_group()

    print(f"{bench.bytes / 1e9:.3f} GB, torch {torch.__version__}, {os.cpu_count()} cores")
    print(f"{'':34} {'median s':>9} {'least':>9} {'most':>9} {'GB/s':>7}")
    for name, times in bench.times.items():
        median = statistics.median(times)
        print(f"{name:34} {median:9.4f} {min(times):9.4f} {max(times):9.4f} {bench.bytes / median / 1e9:7.2f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"bytes": bench.bytes, "torch": torch.__version__, "seconds": bench.times}, file, indent=2)


if __name__ == "__main__":
    main()
