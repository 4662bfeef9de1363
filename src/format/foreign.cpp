// Files that this library cannot read, recognised so that the error can say what the file is and
// what to do. The first bytes decide: a magic number, or a text that begins in a known way.

#include "format/foreign.h"

#include "base/text.h"
#include "base/utf8.h"
#include "format/dcp/directory.h"
#include "store/io/file.h"
#include "store/records/marker.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace checkpoint::format {

namespace {

// What a file is, and what to do with it.
struct Foreign {
  const char* what;  ///< Follows "this is".
  const char* hint;
};

// The bytes by which a kind of file is recognised, and where they are.
struct Magic {
  size_t at;
  std::string_view bytes;
  Foreign kind;
};

constexpr Magic kMagics[] = {
    {0,
     "version https://git-lfs",
     {"a git-lfs pointer: the file itself was not downloaded", "Run git lfs pull."}},
    {0, "\x1f\x8b", {"packed by gzip", "Unpack it with gunzip."}},
    {0, "\x28\xb5\x2f\xfd", {"packed by zstd", "Unpack it with unzstd."}},
    {0,
     "\xfd"
     "7zXZ",
     {"packed by xz", "Unpack it with unxz."}},
    {0, "BZh", {"packed by bzip2", "Unpack it with bunzip2."}},
    {0, "7z\xbc\xaf\x27\x1c", {"a 7z archive", "Unpack it, and load the file in it."}},
    {0, "PK\x05\x06", {"an empty zip archive", "Save it again."}},
    {0,
     "\x93NUMPY",
     {"an array of NumPy (.npy)", "In Python: torch.save(torch.from_numpy(numpy.load(f)), g)."}},
    {0, "\x89HDF", {"an HDF5 file, as Keras writes", "In Python, save its tensors by torch.save."}},
    {0, "GGUF", {"a GGUF file, of llama.cpp", "Load the model's safetensors instead."}},
    {0,
     "\x7f"
     "ELF",
     {"a program or library", "Give the checkpoint's own file."}},
    {257,
     "ustar",
     {"a tar archive, perhaps of PyTorch before 0.1.10",
      "If it is one of files, unpack it; otherwise load and save it again with PyTorch 0.4 to "
      "1.13."}},
};

// Returns the text in lower case, without leading blanks.
std::string front_of_text(std::string_view begin) {
  const size_t first = begin.find_first_not_of(" \t\r\n");
  std::string text(begin.substr(std::min(first, begin.size())));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_text(std::string_view begin) {
  // The last character may be incomplete.
  size_t end = begin.size();
  while (end > 0 && end + 4 > begin.size() && static_cast<unsigned char>(begin[end - 1]) >= 0x80) {
    --end;
  }
  if (!base::is_valid_utf8(begin.substr(0, end))) return false;
  return std::all_of(begin.begin(), begin.end(), [](unsigned char c) {
    return c >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

Foreign foreign_text(std::string_view begin, const std::string& name) {
  const std::string text = front_of_text(begin);
  if (base::begins_with(text, "<!doctype html") || base::begins_with(text, "<html")) {
    return {"an HTML page, as a download that failed leaves it", "Download the file again."};
  }
  if (base::begins_with(text, "<?xml")) {
    return {"an XML text, as a download that failed leaves it", "Download the file again."};
  }
  if (base::begins_with(text, "{") && base::ends_with(name, ".index.json")) {
    return {"the index of a model in several files (shards), and holds no tensors",
            "Give its name the end '.safetensors.index.json' or '.bin.index.json', by the kind of "
            "its shards."};
  }
  if (base::begins_with(text, "{") || base::begins_with(text, "[")) {
    return {"a JSON text, and holds no tensors", "Give the file with the tensors."};
  }
  return {"a text", "Check the file: a download may have failed."};
}

[[noreturn]] void refuse(const Foreign& kind, const store::ByteSource& source) {
  throw Error(ErrorCode::kUnsupported, std::string("this is ") + kind.what, source.name(), 0,
              kind.hint);
}

bool exists(store::FileSystem& fs, const std::string& path, const std::string& name) {
  return store::status_of(fs, store::join(path, name)).st_mode != 0;
}

bool is_model_file(const std::string& name) {
  const char* const kEnds[] = {".safetensors", ".pth", ".pt", ".ckpt", "pytorch_model.bin"};
  return std::any_of(std::begin(kEnds), std::end(kEnds),
                     [&](const char* end) { return base::ends_with(name, end); });
}

// Returns what in the directory may be meant, the likeliest first.
std::vector<std::string> candidates(store::FileSystem& fs, const std::string& path) {
  constexpr size_t kMost = 3;
  std::vector<std::string> names;
  std::vector<std::string> found;
  if (fs.list(path.c_str(), &names) != 0) return found;
  std::sort(names.begin(), names.end());
  for (const char* link : {store::kLatestLink, store::kBestLink}) {
    if (exists(fs, path, store::join(link, store::kManifestFile))) found.emplace_back(link);
  }
  for (const std::string& name : names) {
    if (found.size() >= kMost) break;
    const bool known = std::find(found.begin(), found.end(), name) != found.end();
    const bool checkpoint = store::is_checkpoint_name(name) &&
                            exists(fs, path, store::join(name, store::kManifestFile));
    if (!known && (checkpoint || is_model_file(name))) found.push_back(name);
  }
  return found;
}

}  // namespace

void throw_foreign(const store::ByteSource& source, std::string_view begin) {
  if (begin.empty()) {
    throw Error(ErrorCode::kUnsupported, "this file holds 0 bytes", source.name(), 0,
                "Copy or save it again: the disk may have been full.");
  }
  for (const Magic& magic : kMagics) {
    if (begin.size() > magic.at && base::begins_with(begin.substr(magic.at), magic.bytes)) {
      refuse(magic.kind, source);
    }
  }
  if (is_text(begin)) refuse(foreign_text(begin, source.name()), source);
  throw Error(ErrorCode::kUnsupported,
              "not a file of LibTorch, a .pth file of Python or a safetensors file, or its "
              "beginning is damaged",
              source.name());
}

bool is_checkpoint(store::FileSystem& fs, const std::string& path) {
  return exists(fs, path, store::kManifestFile) || store::has_marker(fs, path);
}

void need_checkpoint(store::FileSystem& fs, const std::string& path) {
  if (is_checkpoint(fs, path)) return;
  dcp::refuse_unreadable(fs, path);
  std::string hint;
  for (const std::string& name : candidates(fs, path)) {
    hint += (hint.empty() ? "Did you mean '" : ", '") + store::join(path, name) + '\'';
  }
  throw Error(ErrorCode::kUnsupported, "this directory is not a checkpoint", path, 0,
              hint.empty() ? "Give the directory of a checkpoint, or a file." : hint + '?');
}

}  // namespace checkpoint::format
