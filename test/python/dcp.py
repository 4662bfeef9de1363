"""Directories of PyTorch's Distributed Checkpoint: written by one process and by two ranks, read back
whole, and loaded into live objects. trees.py uses these functions."""

import os
import pathlib
import socket
import sys
import warnings

import torch

warnings.filterwarnings("ignore")


def available():
    """Whether this PyTorch reads and writes what docs/file-formats.md promises: 2.3 and later."""
    return tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 3)


def with_integer_keys(tree):
    """DCP makes texts of integer keys. Those of an optimizer become integers again."""
    if isinstance(tree, list):
        return [with_integer_keys(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    result = {key: with_integer_keys(value) for key, value in tree.items()}
    if isinstance(result.get("param_groups"), list):
        state = result.get("state", {})
        result["state"] = {int(key) if key.isdigit() else key: value for key, value in state.items()}
    return result


def load_all(path):
    """Returns all that a directory holds, as dcp_to_torch_save does."""
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

    state = {}
    _load_state_dict(
        state,
        storage_reader=FileSystemReader(path),
        planner=_EmptyStateDictLoadPlanner(),
        no_dist=True,
    )
    return with_integer_keys(state)


def write(directory, training, dtypes, model_and_optimizer):
    """Writes directories with their descriptions. `training` is a tree with a model and an
    optimizer."""
    import torch.distributed.checkpoint as dcp

    transposed = torch.arange(6.0).reshape(2, 3).t()
    trees = {"dcp_training": training, "dcp_dtypes": dtypes, "dcp_strides": {"transposed": transposed}}
    for name, tree in trees.items():
        dcp.save(tree, checkpoint_id=directory.path / name, no_dist=True)
        found = load_all(directory.path / name)
        if name == "dcp_strides":  # A blob keeps the strides; Python's loading does not.
            found["transposed"] = found["transposed"].t().contiguous().t()
        directory.note(name, found)
    write_by_name(directory, *model_and_optimizer)
    write_by_ranks(directory)


def write_by_name(directory, model, optimizer):
    """With the names of the parameters, as FSDP's users save."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict

    weights, state = get_state_dict(model, optimizer)
    path = directory.path / "dcp_by_name"
    dcp.save({"model": weights, "optim": state}, checkpoint_id=path, no_dist=True)
    directory.note("dcp_by_name", load_all(path))


def write_by_ranks(directory):
    port = free_port()
    torch.multiprocessing.spawn(rank_writes, args=(port, str(directory.path / "dcp_two_ranks")), nprocs=2)
    directory.note("dcp_two_ranks", load_all(directory.path / "dcp_two_ranks"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def rank_writes(rank, port, path):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), USE_LIBUV="0")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    dist.init_process_group("gloo", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    torch.manual_seed(11)
    shards = {
        "rows": (torch.randn(4, 3), Shard(0)),
        "uneven": (torch.randn(5, 3), Shard(0)),
        "columns": (torch.randn(3, 5), Shard(1)),
        "one row": (torch.randn(1, 4), Shard(0)),
        "inner": (torch.randn(2, 3, 4), Shard(1)),
        "same": (torch.randn(2, 2), Replicate()),
    }
    state = {name: distribute_tensor(full, mesh, [how]) for name, (full, how) in shards.items()}
    state.update(plain=torch.arange(3.0), step=9, own={f"rank{rank}": torch.full((2,), float(rank))})
    dcp.save(state, checkpoint_id=path)
    dist.destroy_process_group()


def check(directory, description, model_and_optimizer, train):
    """Reads what C++ wrote: whole, and into live objects. Returns how many differ."""
    wrong = 0
    for path in sorted(path for path in directory.path.iterdir() if path.name.startswith("dcp_") and path.is_dir()):
        expected = (directory.path / (path.name + ".txt")).read_text(encoding="utf-8")
        found = description(load_all(path))
        wrong += 0 if found == expected else 1
        print(f"{path.name}: {'the same' if found == expected else 'differs'}")
        for ours, theirs in zip(expected.splitlines(), found.splitlines()):
            if ours != theirs:
                print(f"  written {ours}\n  read    {theirs}")
    wrong += check_training(directory, *model_and_optimizer(), train)
    return wrong + check_conversion(directory)


def check_training(directory, model, optimizer, train):
    """dcp.load into a live model and optimizer, as their own state_dicts ask for it."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
    from torch.distributed.checkpoint.state_dict import _init_optim_state

    path = directory.path / "dcp_training"
    weights = {"model": model.state_dict()}
    dcp.load(weights, checkpoint_id=path, no_dist=True)
    model.load_state_dict(weights["model"])
    _init_optim_state(optimizer)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    # LibTorch's optimizers lack some of Python's options, such as fused.
    planner = DefaultLoadPlanner(allow_partial_load=True)
    dcp.load(state, checkpoint_id=path, planner=planner, no_dist=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    losses = torch.tensor(train(model, optimizer, 10))
    expected = torch.tensor(torch.load(directory.path / "dcp_losses.pth")["losses"])
    same = torch.allclose(losses, expected, rtol=1e-4, atol=1e-7)
    print(f"dcp_training: {'the same' if same else 'other'} losses as in C++: {losses[-1]} {expected[-1]}")
    return 0 if same else 1


def check_conversion(directory):
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    path = directory.path / "dcp_converted.pth"
    dcp_to_torch_save(directory.path / "dcp_training", path)
    tree = torch.load(path, weights_only=True)
    print(f"dcp_training: dcp_to_torch_save makes {sorted(tree)}")
    return 0 if {"model", "optimizer"} <= set(tree) else 1


def describe_golden(path):
    """Prints the description of a directory in test/golden."""
    import trees

    found = load_all(path)
    if "transposed" in found:
        found["transposed"] = found["transposed"].t().contiguous().t()
    sys.stdout.write(trees.description(found))


if __name__ == "__main__":
    describe_golden(pathlib.Path(sys.argv[1]))
