#pragma once

// All of TorchCheckpoint, in the order in which a newcomer reads it.

// clang-format off
#include <checkpoint/manager.h>          // CheckpointManager: saves, resumes, keeps
#include <checkpoint/manager_options.h>  // when to save, what to keep, how to name
#include <checkpoint/state.h>            // State: what is saved
#include <checkpoint/progress.h>         // Progress: where training is
#include <checkpoint/restore.h>          // RestoreOptions, and what a restore reports
#include <checkpoint/map_location.h>     // MapLocation: onto which device
#include <checkpoint/checkpoint_info.h>  // one checkpoint: its manifest, verify
#include <checkpoint/keep.h>             // KeepRules, PruneReport
#include <checkpoint/save_handle.h>      // SaveHandle: whether a save has finished
#include <checkpoint/shard.h>            // Shard: a tensor that several ranks hold in parts
#include <checkpoint/sampler.h>          // ResumableSampler: resumes within an epoch
#include <checkpoint/file.h>             // save, load: single files, like torch.save and torch.load
#include <checkpoint/state_dict.h>       // state_dict, load_state_dict: modules and optimizers
#include <checkpoint/coordinator.h>      // Coordinator: several ranks, one checkpoint
#include <checkpoint/average.h>          // copies and moving averages of weights
#include <checkpoint/script.h>           // load_script: TorchScript modules
#include <checkpoint/value.h>            // Value, Dict: the tree that a file holds
#include <checkpoint/manifest.h>         // Manifest: the content of manifest.json
#include <checkpoint/transfer.h>         // Transfer: how far a save or restore is
#include <checkpoint/verify.h>           // Verify: when digests are checked
#include <checkpoint/format.h>           // Format: .pt, .pth, .safetensors
#include <checkpoint/error.h>            // Error and its codes
#include <checkpoint/version.h>          // the version
// clang-format on

/// Checkpoints for training with LibTorch.
namespace checkpoint {}
