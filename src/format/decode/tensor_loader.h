#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"
#include "store/io/mapping.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// A file to load tensors from.
struct LoaderFile {
  const store::ByteSource& source;  ///< Must outlive the loader.
  /// A mapping of the file; if it is null, the tensors get memory of their own. The tensors keep it
  /// alive.
  std::shared_ptr<store::Mapping> mapping;
};

/// Makes a decoded archive's tensors on the CPU. Tensors that share a record share their memory, as
/// they did when they were saved. Not thread-safe.
class TensorLoader {
 public:
  /// `files` are those of the archive, by StoredTensor::file. `archive` must outlive this.
  TensorLoader(std::vector<LoaderFile> files, const DecodedArchive& archive);
  /// The same for an archive of one file.
  TensorLoader(const store::ByteSource& source, const DecodedArchive& archive,
               std::shared_ptr<store::Mapping> mapping);

  at::Tensor load(const at::Tensor& placeholder);

 private:
  bool can_map(const StoredTensor& stored, c10::ScalarType dtype) const;
  at::Tensor bytes_of_record(const StoredTensor& stored, c10::ScalarType dtype);

  // The file and offset of a record.
  struct Place {
    size_t file;
    uint64_t offset;
    bool operator==(const Place& other) const {
      return file == other.file && offset == other.offset;
    }
  };
  struct PlaceHash {
    size_t operator()(const Place& place) const {
      return std::hash<uint64_t>()(place.offset * 31 + place.file);
    }
  };
  static Place place_of(const StoredTensor& stored) { return {stored.file, stored.record_offset}; }
  at::Tensor load_alone(const at::Tensor& placeholder) const;

  std::vector<LoaderFile> files_;
  const DecodedArchive& archive_;
  // By the record's place: how many tensors share it, and its bytes once they are loaded.
  std::unordered_map<Place, size_t, PlaceHash> uses_;
  struct Bytes {
    at::Tensor bytes;
    c10::ScalarType dtype;  // Of the first tensor that needed the record.
  };
  std::unordered_map<Place, Bytes, PlaceHash> records_;
};

}  // namespace checkpoint::format
