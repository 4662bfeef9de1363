"""Models in several files, by the rules of huggingface_hub's save_torch_state_dict, written out here:
it need not be installed. trees.py calls both functions."""

import json

import torch


def split(state_dict, limit):
    """The names of each shard's tensors, in order; and the size of all."""
    shards, current, filled, total = [], [], 0, 0
    for name, tensor in state_dict.items():
        size = tensor.numel() * tensor.element_size()
        total += size
        if size > limit:
            shards.append([name])
            continue
        if filled + size > limit:
            shards.append(current)
            current, filled = [], 0
        current.append(name)
        filled += size
    if current:
        shards.append(current)
    return shards, total


def without_ties(state_dict):
    """Of tensors that are the same memory, the alphabetically first name; and {dropped: kept}."""
    groups = {}
    for name, tensor in state_dict.items():
        groups.setdefault((tensor.data_ptr(), tuple(tensor.shape)), []).append(name)
    dropped = {}
    for names in groups.values():
        for name in names:
            if name != min(names):
                dropped[name] = min(names)
    return {name: tensor for name, tensor in state_dict.items() if name not in dropped}, dropped


def names_of(stem, end, count):
    if count == 1:
        return [f"{stem}{end}"]
    return [f"{stem}-{i + 1:05d}-of-{count:05d}{end}" for i in range(count)]


def write(path, state_dict, limit):
    """One directory with safetensors, one with .bin files."""
    import safetensors.torch

    kinds = {
        "model.safetensors": lambda tensors, file: safetensors.torch.save_file(tensors, file, {"format": "pt"}),
        "pytorch_model.bin": torch.save,
    }
    for single, save in kinds.items():
        stem, end = single.split(".")
        directory = path / f"{end}-{limit}"
        directory.mkdir(parents=True)
        shards, total = split(state_dict, limit)
        files = names_of(stem, "." + end, len(shards))
        for file, names in zip(files, shards):
            save({name: state_dict[name].contiguous() for name in names}, directory / file)
        if len(files) > 1:
            weight_map = {name: file for file, names in zip(files, shards) for name in names}
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            (directory / f"{single}.index.json").write_text(json.dumps(index, indent=2))


def check(path, weights):
    """What C++ wrote of these weights and one tied tensor. Returns how much is wrong."""
    import safetensors.torch

    wrong = 0
    tied = dict(weights)
    tied["tied"] = tied["0.weight"]
    plain, dropped = without_ties(tied)
    assert dropped == {"tied": "0.weight"}
    for directory in sorted(path.iterdir()):
        shards, total = split(plain, int(directory.name))
        files = names_of("model", ".safetensors", len(shards))
        expected = set(files)
        found = {}
        for file, names in zip(files, shards):
            tensors = safetensors.torch.load_file(directory / file)
            assert set(tensors) == set(names), f"{directory / file}: {set(tensors)}, not {names}"
            found.update(tensors)
            with safetensors.safe_open(directory / file, "pt") as opened:
                metadata = opened.metadata()
            assert metadata["format"] == "pt", file
        assert all(torch.equal(found[name], tensor) for name, tensor in plain.items())
        if len(files) > 1:
            index = "model.safetensors.index.json"
            expected.add(index)
            document = json.loads((directory / index).read_text())
            assert document["metadata"] == {"total_size": total, "from": "C++", **dropped}, document
            assert list(document["weight_map"]) == [name for names in shards for name in names]
        else:
            assert metadata == {"format": "pt", "from": "C++", **dropped}, metadata
        bins = {file.name for file in directory.iterdir() if "pytorch_model" in file.name}
        loaded = {}
        for name in bins:
            if name.endswith(".bin"):
                loaded.update(torch.load(directory / name))
        assert all(torch.equal(loaded[name], tensor) for name, tensor in tied.items()), bins
        assert loaded["tied"].data_ptr() == loaded["0.weight"].data_ptr()
        same = {file.name for file in directory.iterdir()} - bins == expected
        print(f"sharded/{directory.name}: {'as the hub has it' if same else 'OTHER FILES'}")
        wrong += 0 if same else 1
    return wrong
