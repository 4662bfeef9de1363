"""Writes files as Python does, each with a description of what is in it, and checks files that C++
wrote against theirs. See describe.h for the same in C++.

    trees.py write DIRECTORY    every kind of file that this version of PyTorch writes
    trees.py check DIRECTORY    loads each file there, and compares it with its .txt
"""

import argparse
import collections
import inspect
import pathlib
import struct
import sys

import torch

import dcp
import sharded


def double_bits(value):
    return struct.pack(">d", value).hex()


def element_bytes(tensor):
    flat = tensor.detach().contiguous().flatten()
    return bytes(flat.view(torch.uint8).tolist()).hex()


def name_of(dtype):
    return str(dtype).replace("torch.", "")


def reach(tensor):
    if tensor.numel() == 0:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(tensor.size(), tensor.stride()))
    return (last + 1) * tensor.element_size()


class Describer:
    """One line for each value of a tree, in order."""

    def __init__(self):
        self.lines = []
        self.tensors = []

    def describe(self, path, value):
        if value is None:
            self.add(path, "none")
        elif isinstance(value, bool):
            self.add(path, f"bool {str(value).lower()}")
        elif isinstance(value, int):
            self.add(path, self.integer(value))
        elif isinstance(value, float):
            self.add(path, f"double {double_bits(value)}")
        elif isinstance(value, complex):
            self.add(path, f"complex {double_bits(value.real)} {double_bits(value.imag)}")
        elif isinstance(value, str):
            self.add(path, f"string {value}")
        elif isinstance(value, bytes):
            self.add(path, f"bytes {value.hex()}")
        elif isinstance(value, torch.Tensor):
            self.tensor(path, value)
        elif isinstance(value, torch.Size):
            self.add(path, f"size {','.join(map(str, value))}")
        elif isinstance(value, torch.dtype):
            self.add(path, f"dtype {name_of(value)}")
        elif isinstance(value, torch.device):
            self.add(path, f"device {value}")
        elif isinstance(value, (list, tuple)):
            self.add(path, f"{'list' if isinstance(value, list) else 'tuple'} {len(value)}")
            for index, item in enumerate(value):
                self.describe(f"{path}/{index}", item)
        elif isinstance(value, dict):
            self.add(path, f"dict {len(value)}")
            for key, item in value.items():
                kind = "" if isinstance(key, str) else "#"
                self.describe(f"{path}/{kind}{key}", item)
        else:
            raise TypeError(f"{path}: {type(value)}")

    def add(self, path, text):
        self.lines.append(f"{path or '/'} {text}")

    def integer(self, value):
        if -(2**63) <= value < 2**63:
            return f"int {value}"
        size = (value.bit_length() + 8) // 8
        return f"big {value.to_bytes(size, 'little', signed=True).hex()}"

    def tensor(self, path, tensor):
        strides = ",".join(map(str, tensor.stride())) if tensor.numel() > 0 else "any"
        text = (
            f"tensor {name_of(tensor.dtype)} [{','.join(map(str, tensor.size()))}] [{strides}] "
            f"{str(tensor.requires_grad).lower()} {element_bytes(tensor)}"
        )
        begin = tensor.data_ptr()
        for other_path, other_begin, other_end in self.tensors:
            if tensor.numel() > 0 and begin < other_end and other_begin < begin + reach(tensor):
                text += f" overlaps {other_path} at {begin - other_begin}"
                break
        self.tensors.append((path, begin, begin + reach(tensor)))
        self.add(path, text)


def description(tree):
    describer = Describer()
    describer.describe("", tree)
    return "\n".join(describer.lines) + "\n"


def dtypes():
    names = (
        "uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 bool "
        "uint16 uint32 uint64 float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz"
    )
    if hasattr(torch, "uint16"):  # Older versions have complex32, but cannot save it.
        names += " complex32"
    return [getattr(torch, name) for name in names.split() if hasattr(torch, name)]


def small_model():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )


def train(model, optimizer, steps, scheduler=None):
    losses = []
    for step in range(steps):
        inputs = torch.linspace(-1, 1, 24).reshape(8, 3) + 0.01 * step
        targets = torch.stack([inputs.sum(1), inputs.prod(1)], 1)

        def closure():
            loss = torch.nn.functional.mse_loss(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(losses[-1])
        elif scheduler is not None:
            scheduler.step()
    return losses


def training_checkpoint():
    model = small_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4, 4], gamma=0.5)
    losses = train(model, optimizer, 5, scheduler)
    return {
        "epoch": 5,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "losses": losses,
        "rng": torch.get_rng_state()[:16],
    }


def many_kinds():
    base = torch.arange(24, dtype=torch.float32)
    tied = torch.arange(4, dtype=torch.int16)
    return {
        "none": None,
        "true": True,
        "false": False,
        "integers": [0, 255, 256, 65535, 65536, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1]
        + [2**bits for bits in range(32, 63, 5)]
        + [-(2**bits) for bits in range(32, 64, 5)]
        + [2**63 - 1, -(2**63)],
        "big": [2**63, -(2**63) - 1, 2**64 - 1, 2**127 + 5, -(2**200)],
        "floats": [0.0, -0.0, 0.1, 1e300, float("inf"), float("-inf")],
        "complex": complex(1.5, -2.0),
        "text": "plain and \u00e9\u20ac\U0001f600",
        "long text": "x" * 300,
        "bytes": bytes(range(256)),
        "empty": [[], (), {}, "", b""],
        "tuple": (1, ("two", 3.0), [4]),
        "shared list": [["a"]] * 2,
        1: "integer key",
        -7: "negative key",
        "size": torch.Size([3, 4]),
        "dtype": [torch.float32, torch.int64, torch.bfloat16],
        "device": [torch.device("cpu"), torch.device("cuda", 1), torch.device("cuda")],
        "counter": collections.Counter({2: 1, 4: 2}),
        "default": collections.defaultdict(list, {"a": [1]}),
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
        "parameter": torch.nn.Parameter(torch.ones(2, 3)),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "grad": torch.ones(3, requires_grad=True),
        "base": base,
        "view": base[4:10],
        "matrix": base.reshape(4, 6),
        "transposed": base.reshape(4, 6).t(),
        "strided": base[::3],
        "expanded": torch.tensor([1.0, 2.0]).unsqueeze(1).expand(2, 5),
        "tied": [tied, tied],
        "alone": torch.arange(100, dtype=torch.int32)[50:53],
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "nothing": torch.zeros(0, 3),
    }


def dtype_tensors():
    tree = {}
    for dtype in dtypes():
        values = torch.arange(1, 7, dtype=torch.float32).reshape(2, 3)
        tree[name_of(dtype)] = values.to(dtype)
    return tree


class Directory:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def save(self, name, tree, **options):
        torch.save(tree, self.path / name, **options)
        self.note(name, tree)

    def note(self, name, tree):
        (self.path / (name + ".txt")).write_text(description(tree), encoding="utf-8")


def plain_optimizer(name, model):
    options = {
        "SGD": dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        "Adam": dict(lr=0.01, weight_decay=0.01, amsgrad=True),
        "AdamW": dict(lr=0.01, betas=(0.8, 0.99)),
        "RMSprop": dict(lr=0.01, momentum=0.5, centered=True),
        "Adagrad": dict(lr=0.05, lr_decay=0.01, initial_accumulator_value=0.1),
        "LBFGS": dict(lr=0.5, max_iter=4, history_size=3),
    }[name]
    if name == "LBFGS":  # It takes one group.
        return torch.optim.LBFGS(model.parameters(), **options)
    first, second = list(model.parameters())[:2], list(model.parameters())[2:]
    groups = [{"params": first}, {"params": second, "lr": options["lr"] / 2}]
    return getattr(torch.optim, name)(groups, **options)


def trained_model():
    model = small_model()
    optimizer = plain_optimizer("Adam", model)
    train(model, optimizer, 5)
    return model, optimizer


def fresh_model():
    model = small_model()
    return model, plain_optimizer("Adam", model)


OPTIMIZERS = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "LBFGS"]


def optimizer_files(directory):
    for name in OPTIMIZERS:
        model = small_model()
        optimizer = plain_optimizer(name, model)
        train(model, optimizer, 5)
        tree = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(tree, directory.path / f"optimizer_{name}.pth")
        tree["losses"] = train(model, optimizer, 10)
        torch.save({"losses": tree["losses"]}, directory.path / f"losses_{name}.pth")


def sgd_with(name, model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    if name.startswith("StepLR"):
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    return optimizer, plateau(optimizer, factor=0.5, patience=1, threshold=0.25)


def scheduler_files(directory):
    for name in ("StepLR", "ReduceLROnPlateau"):
        model = small_model()
        optimizer, scheduler = sgd_with(name, model)
        train(model, optimizer, 5, scheduler)
        tree = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
        }
        torch.save(tree, directory.path / f"scheduler_{name}.pth")
        losses = train(model, optimizer, 10, scheduler)
        torch.save({"losses": losses}, directory.path / f"losses_{name}.pth")


def write(directory):
    directory.save("state_dict.pth", small_model().state_dict())
    directory.save("checkpoint.pth", training_checkpoint())
    directory.save("kinds.pth", many_kinds())
    for protocol in (3, 4, 5):
        directory.save(f"kinds_protocol{protocol}.pth", many_kinds(), pickle_protocol=protocol)
    directory.save("dtypes.pth", dtype_tensors())
    directory.save("tensor.pth", torch.arange(6).reshape(2, 3))
    directory.save("kinds_legacy.pth", many_kinds(), _use_new_zipfile_serialization=False)
    directory.save("dtypes_legacy.pth", legacy_dtypes(), _use_new_zipfile_serialization=False)
    optimizer_files(directory)
    scheduler_files(directory)
    if dcp.available():
        dcp.write(directory, training_checkpoint(), dtype_tensors(), trained_model())
    try:
        import safetensors.torch
    except ImportError:
        return
    files = {"dtypes.safetensors": safetensors_dtypes(), "model.safetensors": small_model().state_dict()}
    for name, tensors in files.items():
        path = directory.path / name
        safetensors.torch.save_file(tensors, path, {"format": "pt", "from": "Python"})
        directory.note(name, safetensors.torch.load_file(path))
    weights = small_model().state_dict()
    torch.save(weights, directory.path / "sharded.pth")
    for limit in (1, 60, 100, 100000):
        sharded.write(directory.path / "sharded", weights, limit)


def legacy_dtypes():
    return {name: tensor for name, tensor in dtype_tensors().items() if name != "complex32"}


def safetensors_dtypes():
    return {
        name: tensor
        for name, tensor in dtype_tensors().items()
        if name not in ("complex32", "complex128")
    }


def load(path):
    if path.suffix == ".safetensors":
        import safetensors.torch

        return safetensors.torch.load_file(path)
    tree = torch.load(path)
    mapped = torch.load(path, mmap=True) if "mmap" in inspect.signature(torch.load).parameters else tree
    assert description(mapped) == description(tree), f"{path}: mmap=True gives another tree"
    return tree


def check(directory):
    files = sorted(
        path
        for path in directory.path.iterdir()
        if path.is_file() and (directory.path / (path.name + ".txt")).exists()
    )
    assert files, "no files to check"
    wrong = 0
    for path in files:
        expected = (directory.path / (path.name + ".txt")).read_text(encoding="utf-8")
        found = description(load(path))
        if found == expected:
            print(f"{path.name}: the same")
            continue
        wrong += 1
        print(f"{path.name}: differs")
        for ours, theirs in zip(expected.splitlines(), found.splitlines()):
            if ours != theirs:
                print(f"  written {ours}\n  read    {theirs}")
    wrong += check_models(directory)
    wrong += check_safetensors_bytes(directory)
    wrong += check_optimizers(directory)
    wrong += sharded.check(directory.path / "sharded", torch.load(directory.path / "state_dict.pth"))
    if dcp.available():
        wrong += dcp.check(directory, description, fresh_model, train)
    return wrong


def check_models(directory):
    """A module of the same structure takes the weights, from an OrderedDict and from a dict."""
    for name in ("state_dict.pth", "plain_dict.pth"):
        weights = torch.load(directory.path / name)
        model = small_model()
        model.load_state_dict(weights)
        assert all(torch.equal(model.state_dict()[key], weights[key]) for key in weights)
        print(f"{name}: load_state_dict takes it, a {type(weights).__name__}")
    return 0


def check_safetensors_bytes(directory):
    """The reference implementation writes the same bytes."""
    import safetensors.torch

    wrong = 0
    for name in ("dtypes.safetensors", "state_dict.safetensors"):
        path = directory.path / name
        again = safetensors.torch.save(safetensors.torch.load_file(path), {"format": "pt"})
        same = again == path.read_bytes()
        wrong += 0 if same else 1
        print(f"{name}: {'the' if same else 'NOT the'} bytes of the reference implementation")
    found = safetensors.torch.load_file(directory.path / "dtypes.safetensors")
    expected = {name: tensor for name, tensor in safetensors_dtypes().items() if name in found}
    if description(dict(sorted(found.items()))) != description(dict(sorted(expected.items()))):
        wrong += 1
        print("dtypes.safetensors: differs")
    return wrong


def compare_losses(directory, name, losses):
    """Both programs call the same kernels, in the same order, but where Python's optimizer takes an
    average by lerp: Adam's, and that of the gradients in a centered RMSprop."""
    tolerance = 1e-6 if name in ("Adam", "AdamW", "RMSprop") else 0
    expected = torch.load(directory.path / f"losses_{name}.pth")["losses"]
    largest = max(abs(ours - theirs) / abs(theirs) for ours, theirs in zip(losses, expected))
    same = largest <= tolerance and len(losses) == len(expected) == 10
    print(f"{name}: {'the same' if same else 'OTHER'} losses as in C++, relative {largest:.3g}")
    return 0 if same else 1


def flat(module, prefix=""):
    """A checkpoint's module: a dict in a dict for each submodule."""
    tensors = {}
    for key, value in module.items():
        tensors.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return tensors


def check_optimizers(directory):
    wrong = 0
    for name in OPTIMIZERS:
        for file in (f"optimizer_{name}.pth", f"checkpoint_{name}.pth"):
            saved = torch.load(directory.path / file)
            model = small_model()
            model.load_state_dict(flat(saved["model"]))
            optimizer = plain_optimizer(name, model)
            wrong += check_form(name, saved["optimizer"], optimizer.state_dict())
            optimizer.load_state_dict(saved["optimizer"])
            wrong += compare_losses(directory, name, train(model, optimizer, 10))
    for path in sorted(directory.path.glob("scheduler_*.pth")):
        name = path.stem.split("_", 1)[1]
        saved = torch.load(path)
        model = small_model()
        model.load_state_dict(flat(saved["model"]))
        optimizer, scheduler = sgd_with(name, model)
        optimizer.load_state_dict(saved["optimizer"])
        scheduler.load_state_dict(saved["scheduler"])
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        wrong += compare_losses(directory, name, train(model, optimizer, 10, scheduler))
    check_traps(torch.load(directory.path / "optimizer_Adam.pth"))
    return wrong


def check_form(name, ours, fresh):
    """No option is missing (a KeyError in the next step), and none is of another class."""
    wrong = 0
    for group, expected in zip(ours["param_groups"], fresh["param_groups"]):
        for option in ("maximize", "decoupled_weight_decay"):
            assert group.get(option) == expected.get(option), f"{name}: {option}"
        missing, unknown = expected.keys() - group.keys(), group.keys() - expected.keys()
        if missing or unknown:
            print(f"{name}: without the options {missing}, with {unknown}")
            wrong += 1
    assert all(isinstance(key, int) for key in ours["state"]), name
    return wrong


def check_traps(saved):
    """What Python does with files that are not as ours: the reasons for our form."""
    optimizer = plain_optimizer("Adam", small_model())
    digits = dict(saved["optimizer"])
    digits["state"] = {str(key): value for key, value in digits["state"].items()}
    optimizer.load_state_dict(digits)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert not any(parameter in optimizer.state for parameter in parameters), "digits now load"
    model = small_model()
    optimizer = plain_optimizer("Adam", model)
    for group in saved["optimizer"]["param_groups"]:
        del group["eps"]
    optimizer.load_state_dict(saved["optimizer"])
    try:
        train(model, optimizer, 1)
    except KeyError:
        return
    raise AssertionError("a missing option is not a KeyError any more")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["write", "check"])
    parser.add_argument("directory")
    arguments = parser.parse_args()
    directory = Directory(arguments.directory)
    if arguments.command == "check":
        return 1 if check(directory) else 0
    write(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
