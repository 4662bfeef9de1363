// The plan of a restore by itself: what is done, in which order, and what is undone.

#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

#include "format/decode/placeholders.h"
#include "state/plan/restore_plan.h"

#include <torch/torch.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace checkpoint;
using format::DecodedArchive;
using state::RestorePlan;
using state::TensorSource;

namespace {

// Files of plain numbers, and the placeholders of the tensors in them.
class Files {
 public:
  // Adds a file that holds these tensors, one behind the other.
  Files& add(const std::vector<at::Tensor>& tensors) {
    const std::string path = root_ / std::to_string(sources_.size());
    std::string bytes;
    std::vector<uint64_t> offsets;
    for (const at::Tensor& tensor : tensors) {
      offsets.push_back(bytes.size());
      bytes.append(static_cast<const char*>(tensor.data_ptr()),
                   tensor.numel() * tensor.element_size());
    }
    test::write_file(path, bytes);
    sources_.push_back(store::File::open(faulty, path));
    if (!placeholders_) placeholders_.emplace(sources_.front());
    for (size_t i = 0; i < tensors.size(); ++i) made.push_back(place(tensors[i], offsets[i]));
    return *this;
  }

  TensorSource source() {
    archive_.emplace(placeholders_->finish(Value()));
    TensorSource result;
    for (const store::File& file : sources_) result.files.push_back({&file});
    result.archive = &*archive_;
    result.saved_devices = [](const format::StoredTensor& stored) { return stored.device; };
    return result;
  }

  test::FaultyFileSystem faulty;
  std::vector<at::Tensor> made;  // The placeholders, in the order of adding.

 private:
  at::Tensor place(const at::Tensor& tensor, uint64_t offset) {
    const format::TensorLayout layout{"0",
                                      "cpu",
                                      tensor.scalar_type(),
                                      tensor.numel(),
                                      0,
                                      format::dimensions_of(tensor.sizes()),
                                      format::dimensions_of(tensor.strides()),
                                      false};
    const uint64_t bytes = tensor.numel() * tensor.element_size();
    return placeholders_->make(layout, {"data/0", offset, bytes, {}, sources_.size() - 1});
  }

  test::TemporaryDirectory root_;
  std::deque<store::File> sources_;
  std::optional<format::Placeholders> placeholders_;
  std::optional<DecodedArchive> archive_;
};

const RestoreOptions kDefault;

// A plan that restores ones from a file into a tensor of zeros.
struct OneTensor {
  OneTensor() { plan.restore_in_place(live, files.made[0], "live"); }

  Files files;
  TensorSource source = files.add({torch::ones({3})}).source();
  RestorePlan plan{source, kDefault};
  at::Tensor live = torch::zeros({3});
};

}  // namespace

TEST_CASE("Steps run in their order before any tensor, what is final after all of them") {
  OneTensor one;
  RestorePlan& plan = one.plan;
  std::string order;
  const auto value = [&] { return std::to_string(one.live[0].item<int>()); };
  plan.add_final([&] { order += " final:" + value(); });
  plan.add_step([&] { order += " one:" + value(); }, [] {});
  plan.add_step([&] { order += " two:" + value(); }, [] {});
  CHECK(one.live.equal(torch::zeros({3})));
  plan.run();
  CHECK(order == " one:0 two:0 final:1");
  CHECK(one.live.equal(torch::ones({3})));
}

TEST_CASE("A step that fails is undone with those before it, the last first, and no more is done") {
  OneTensor one;
  RestorePlan& plan = one.plan;
  std::string order;
  const auto step = [&](const std::string& name, bool fails) {
    plan.add_step(
        [&order, name, fails] {
          order += " " + name;
          if (fails) throw std::runtime_error("no");
        },
        [&order, name] {
          order += " undo:" + name;
          throw std::runtime_error("an undo that fails must not stop the others");
        });
  };
  step("one", false);
  step("two", true);
  step("three", false);
  plan.add_final([&] { order += " final"; });
  CHECK_THROWS_WITH(plan.run(), "no");
  CHECK(order == " one two undo:two undo:one");
  CHECK(one.live.equal(torch::zeros({3})));
}

TEST_CASE("A plan reads its tensors from several files") {
  Files files;
  files.add({torch::full({4}, 1.0f), torch::full({4}, 2.0f)});
  files.add({torch::full({4}, 3.0f), torch::full({2, 3}, 4.0f)});
  const TensorSource source = files.source();
  RestorePlan plan(source, kDefault);
  std::vector<at::Tensor> live;
  for (const at::Tensor& placeholder : files.made) {
    live.push_back(torch::zeros(placeholder.sizes()));
  }
  live.back() = torch::zeros({3, 2}).t();  // Not as it is in the file: by way of another tensor.
  for (size_t i = 0; i < live.size(); ++i) {
    plan.restore_in_place(live[i], files.made[i], "t" + std::to_string(i));
  }
  plan.run();
  for (size_t i = 0; i < live.size(); ++i) {
    CAPTURE(i);
    CHECK(live[i].eq(static_cast<double>(i + 1)).all().item<bool>());
  }
}

TEST_CASE("Equal places in two files are two places") {
  Files files;
  files.add({torch::full({4}, 1.0f)}).add({torch::full({4}, 2.0f)});
  const TensorSource source = files.source();
  RestorePlan plan(source, kDefault);
  at::Tensor live = torch::zeros({4});
  plan.restore_in_place(live, files.made[0], "first");
  plan.restore_in_place(live, files.made[1], "second");
  plan.run();
  CHECK(live.equal(torch::full({4}, 2.0f)));  // The last one wins, as with LibTorch's own load.
}

TEST_CASE("Of live tensors that overlap, what comes later in the plan wins") {
  for (const bool whole_first : {true, false}) {
    CAPTURE(whole_first);
    Files files;
    files.add({torch::full({64}, 1.0f), torch::full({16}, 2.0f)});
    const TensorSource source = files.source();
    RestorePlan plan(source, kDefault);
    at::Tensor whole = torch::zeros({64});
    at::Tensor part = whole.slice(0, 8, 24);
    if (whole_first) plan.restore_in_place(whole, files.made[0], "whole");
    plan.restore_in_place(part, files.made[1], "part");
    if (!whole_first) plan.restore_in_place(whole, files.made[0], "whole");
    plan.run();
    CHECK(whole[0].item<float>() == 1);
    CHECK(part[0].item<float>() == (whole_first ? 2 : 1));
    CHECK(part[15].item<float>() == (whole_first ? 2 : 1));
  }
}

TEST_CASE(
    "A file that cannot be read leaves a state that must not be used, and the error says so") {
  OneTensor one;
  RestorePlan& plan = one.plan;
  bool finished = false;
  plan.add_final([&] { finished = true; });
  one.files.faulty.fail(0, EIO);
  try {
    plan.run();
    FAIL("it was restored");
  } catch (const state::HalfRestored& error) {
    CHECK(error.code() == ErrorCode::kIo);
    CHECK(contains(error.what(), "must not be used"));
  }
  CHECK_FALSE(finished);
}

TEST_CASE("A tensor of another dtype is refused, or converted where the options say so") {
  Files files;
  files.add({torch::full({3}, 1.5, torch::kDouble)});
  const TensorSource source = files.source();
  at::Tensor live = torch::zeros({3});
  {
    RestorePlan plan(source, kDefault);
    plan.restore_in_place(live, files.made[0], "live");
    REQUIRE(plan.report().mismatched.size() == 1);
    CHECK(contains(plan.report().mismatched[0], "live: dtype float32 here, float64"));
    CHECK(contains(error_of([&] { plan.require_fit("run/e1"); }), "(run/e1)"));
  }
  const RestoreOptions converting = RestoreOptions().convert_dtype(true);
  RestorePlan plan(source, converting);
  plan.restore_in_place(live, files.made[0], "live");
  plan.require_fit("run/e1");
  plan.run();
  CHECK(live.equal(torch::full({3}, 1.5f)));
}
