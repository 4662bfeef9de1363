#pragma once

#include "store/directory/directory.h"
#include "store/directory/transaction.h"
#include "store/records/names.h"
#include "store/records/tensor_table.h"

#include <string>

namespace test {

/// A manifest for a checkpoint of this name, next in the directory's order.
inline checkpoint::Manifest manifest_for(const checkpoint::store::Directory& directory,
                                         const std::string& name) {
  checkpoint::Manifest manifest;
  manifest.name = name;
  manifest.sequence = directory.highest_sequence(directory.scan()) + 1;
  manifest.created = "2026-11-23T15:02:11Z";
  manifest.library_version = "0.1.0";
  return manifest;
}

/// Puts a whole checkpoint into a directory; its archive is just `content`.
inline void make_checkpoint(const checkpoint::store::Directory& directory, const std::string& name,
                            const std::string& content) {
  using namespace checkpoint::store;
  checkpoint::Manifest manifest = manifest_for(directory, name);
  Transaction transaction(directory, {"0.1.0", "run", manifest.sequence}, content.size());
  manifest.files.push_back(transaction.staging().write_file(
      kArchiveFile, [&](ByteSink& sink) { sink.write(content.data(), content.size()); }));
  manifest.files.push_back(transaction.staging().write_file(
      kTensorTableFile, [&](ByteSink& sink) { write_tensor_table({}, sink); }));
  transaction.commit(manifest);
}

}  // namespace test
