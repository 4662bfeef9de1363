// Writes a model in several files, so that half a model is never taken for a whole one:
//
//   1. Check that all that will be replaced may be replaced.
//   2. Write the shards and the index under hidden names, and sync each.
//   3. If a shard of an earlier save has the name of a new one: remove the old index. From here on
//      nobody takes the old shards for a model, until step 5.
//   4. Rename the shards to their names, and sync the directory.
//   5. Rename the index to its name, and sync the directory. The model is there.
//   6. Remove what is left of the earlier save.
//
// Without a shard of the same name, the old model stays whole until step 5. The hidden names do not
// end with ".safetensors": PyTorch's reader takes every file of a directory that does.

#include "format/sharded/write_sharded.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "format/sharded/shard_index.h"
#include "store/io/atomic_file.h"
#include "store/io/file.h"
#include "store/io/file_sink.h"

#include <checkpoint/error.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>
#include <vector>

namespace checkpoint::format {
namespace {

using Metadata = std::map<std::string, std::string>;

// The names of a model's files in its directory.
struct ModelNames {
  explicit ModelNames(const std::string& path)
      : directory(store::parent_of(path)), single(path.substr(path.rfind('/') + 1)) {
    for (const ShardKind& kind : shard_kinds()) {
      if (!base::ends_with(single, kind.shard_end) || single.size() == kind.shard_end.size()) {
        continue;
      }
      end = kind.shard_end;
      stem = single.substr(0, single.size() - end.size());
    }
    if (end.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "a model in several files needs a name that ends with .safetensors, or with .bin "
                  "for Python's format",
                  path, 0, "Use model.safetensors.");
    }
    index = single + kIndexEnd;
  }

  std::string at(const std::string& name) const { return store::join(directory, name); }
  bool is_shard(const std::string& name) const { return is_shard_name(name, stem, end); }

  std::string directory;
  std::string single;  // "model.safetensors"
  std::string end;     // ".safetensors"
  std::string stem;    // "model"
  std::string index;   // "model.safetensors.index.json"
};

std::string index_text(const ShardPlan& plan, const std::vector<std::string>& shards,
                       const Metadata& metadata) {
  nlohmann::ordered_json head = {{"total_size", plan.total_bytes}};
  for (const auto& [name, text] : metadata) {
    if (!head.contains(name)) head[name] = text;
  }
  // The object's fields are appended, not looked for: there may be many.
  nlohmann::ordered_json::object_t weights;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const auto& [name, tensor] : plan.shards[i]) {
      weights.emplace_back(name, shards[i]);
    }
  }
  return base::dump_json({{"metadata", std::move(head)}, {"weight_map", std::move(weights)}}, 2) +
         '\n';
}

// The files of one save until they have their names.
class HiddenFiles {
 public:
  HiddenFiles(store::FileSystem& fs, const ModelNames& names)
      : fs_(fs), names_(names), prefix_(".writing-" + base::random_id() + '-') {}
  HiddenFiles(const HiddenFiles&) = delete;
  HiddenFiles& operator=(const HiddenFiles&) = delete;
  ~HiddenFiles() {
    for (const std::string& name : left_) fs_.unlink(hidden(name).c_str());
  }

  // Writes the file that will be called `name`. It may not be read by more users than the old one.
  void write(const std::string& name, const struct stat& old,
             const std::function<void(store::ByteSink&)>& content) {
    const std::string path = hidden(name);
    store::File file = store::File::create(fs_, path, old.st_mode == 0 ? 0666 : old.st_mode & 0666);
    left_.insert(name);
    if (old.st_mode != 0) take_permissions_over(file, old);
    store::FileSink sink(std::move(file));
    content(sink);
    sink.finish(path);
  }

  void rename(const std::string& name) {
    if (fs_.rename(hidden(name).c_str(), names_.at(name).c_str()) != 0) {
      throw store::system_failure("rename the finished file to its name", names_.at(name), errno);
    }
    left_.erase(name);
  }

  // From now on the files are kept if something fails: they are all that there is.
  void keep() { left_.clear(); }
  const std::string& prefix() const { return prefix_; }

 private:
  std::string hidden(const std::string& name) const { return names_.at(prefix_ + name + ".new"); }

  void take_permissions_over(const store::File& file, const struct stat& old) {
    struct stat fresh = {};
    if (fs_.fstat(file.fd(), &fresh) != 0) {
      throw store::system_failure("check the new file", file.name(), errno);
    }
    if (fresh.st_gid == old.st_gid && fresh.st_uid == old.st_uid) return;
    // If the owner or group cannot be kept, others might read what they could not read before.
    const bool is_kept = fs_.fchown(file.fd(), old.st_uid, old.st_gid) == 0;
    const mode_t permissions = is_kept ? fresh.st_mode & 0777 : fresh.st_mode & S_IRWXU;
    if (fs_.fchmod(file.fd(), permissions) != 0) {
      throw store::system_failure("set the permissions of the new file", file.name(), errno);
    }
  }

  store::FileSystem& fs_;
  const ModelNames& names_;
  const std::string prefix_;
  std::set<std::string> left_;  // The names whose hidden files must be removed.
};

// What an earlier save has left at the same path.
struct Earlier {
  struct stat permissions = {};  // Of its index, its file or one of its shards. st_mode 0: none.
  std::set<std::string> names;   // Of its files.

  bool has(const std::string& name) const { return names.count(name) > 0; }
};

void require_replaceable(store::FileSystem& fs, const std::string& path, const struct stat& old) {
  if (S_ISDIR(old.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, "not replaced: this is a directory", path, 0,
                "Use another name.");
  }
  if (S_ISLNK(old.st_mode)) return;  // The link is replaced, not what it leads to.
  if (!S_ISREG(old.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, "not replaced: this is not a regular file", path, 0,
                "Use another name.");
  }
  const bool is_writable = (old.st_mode & S_IWUSR) != 0 && fs.eaccess(path.c_str(), W_OK) == 0;
  if (is_writable) return;
  throw Error(ErrorCode::kIo, "not replaced: the file is write-protected", path, EACCES,
              "Make it writable (chmod u+w), or use another name.");
}

Earlier find_earlier(store::FileSystem& fs, const ModelNames& names) {
  Earlier earlier;
  for (const std::string& name : store::list_directory(fs, names.directory)) {
    if (name != names.single && name != names.index && !names.is_shard(name)) continue;
    const struct stat old = store::status_of(fs, names.at(name));
    if (old.st_mode == 0) continue;
    require_replaceable(fs, names.at(name), old);
    earlier.names.insert(name);
    if (S_ISREG(old.st_mode) && (earlier.permissions.st_mode == 0 || name == names.index)) {
      earlier.permissions = old;
    }
  }
  return earlier;
}

void remove(store::FileSystem& fs, const std::string& path) {
  if (fs.unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw store::system_failure("remove the old file", path, errno);
  }
}

// The new model is safe: a failure here is only logged. The index goes first: with it, what is left
// could be taken for a model.
void remove_earlier(store::FileSystem& fs, const ModelNames& names, const Earlier& earlier,
                    const std::set<std::string>& fresh) {
  try {
    bool removed = false;
    const auto remove_it = [&](const std::string& name) {
      if (!earlier.has(name) || fresh.count(name) > 0) return;
      remove(fs, names.at(name));
      removed = true;
    };
    remove_it(names.index);
    if (removed) store::sync_directory(fs, names.directory);
    for (const std::string& name : earlier.names) remove_it(name);
    if (removed) store::sync_directory(fs, names.directory);
  } catch (const Error& error) {
    base::log_warning(std::string("the model is saved, but files of an earlier save are left: ") +
                      error.what());
  }
}

void write_single(store::FileSystem& fs, const std::string& path, const ModelNames& names,
                  const ShardPlan& plan, const Metadata& metadata, const WriteTensors& write) {
  const Earlier earlier = find_earlier(fs, names);
  store::write_atomically(
      fs, path, [&](store::ByteSink& sink) { write(plan.shards.front(), metadata, sink); });
  remove_earlier(fs, names, earlier, {names.single});
}

}  // namespace

void write_sharded(store::FileSystem& fs, const std::string& path, const ShardPlan& plan,
                   Metadata metadata, const WriteTensors& write) {
  const ModelNames names(path);
  for (const auto& [name, kept] : plan.dropped) metadata[name] = kept;
  if (plan.shards.size() == 1) return write_single(fs, path, names, plan, metadata, write);

  store::create_with_parents(fs, names.directory);
  const Earlier earlier = find_earlier(fs, names);
  std::vector<std::string> shards;
  for (size_t i = 0; i < plan.shards.size(); ++i) {
    shards.push_back(shard_name(names.stem, names.end, i + 1, plan.shards.size()));
  }
  HiddenFiles files(fs, names);
  for (size_t i = 0; i < shards.size(); ++i) {
    files.write(shards[i], earlier.permissions,
                [&](store::ByteSink& sink) { write(plan.shards[i], {}, sink); });
  }
  const std::string index = index_text(plan, shards, metadata);
  files.write(names.index, earlier.permissions,
              [&](store::ByteSink& sink) { sink.write(index.data(), index.size()); });

  const bool collides = std::any_of(shards.begin(), shards.end(),
                                    [&](const std::string& name) { return earlier.has(name); });
  if (collides) {
    remove(fs, names.at(names.index));
    store::sync_directory(fs, names.directory);
  }
  try {
    for (const std::string& shard : shards) files.rename(shard);
    store::sync_directory(fs, names.directory);
    files.rename(names.index);
  } catch (const Error& error) {
    if (!collides) throw;
    files.keep();
    throw Error(error.code(),
                std::string("the save failed while it replaced the old model: ") + error.what(),
                path, 0,
                "Save again. The new files are whole: those not renamed yet begin with '" +
                    files.prefix() + "'.");
  }
  store::sync_directory(fs, names.directory);
  std::set<std::string> fresh(shards.begin(), shards.end());
  fresh.insert(names.index);
  remove_earlier(fs, names, earlier, fresh);
}

}  // namespace checkpoint::format
