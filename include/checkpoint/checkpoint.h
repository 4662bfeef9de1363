#pragma once

/// Everything of TorchCheckpoint.
#include <checkpoint/error.h>
#include <checkpoint/format.h>
#include <checkpoint/keep.h>
#include <checkpoint/manager.h>
#include <checkpoint/manager_options.h>
#include <checkpoint/manifest.h>
#include <checkpoint/map_location.h>
#include <checkpoint/progress.h>
#include <checkpoint/restore.h>
#include <checkpoint/sampler.h>
#include <checkpoint/save_handle.h>
#include <checkpoint/script.h>
#include <checkpoint/state.h>
#include <checkpoint/state_dict.h>
#include <checkpoint/transfer.h>
#include <checkpoint/value.h>
#include <checkpoint/verify.h>
#include <checkpoint/version.h>
