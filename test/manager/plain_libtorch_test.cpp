// checkpoint.pt is a LibTorch archive: plain LibTorch reads it, on the version that wrote it and on
// others. The files in data/ were written by this library on the version in their name.

#include "support/catch.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

using namespace checkpoint;
using test::Net;
using test::same_bits;
using test::Saved;

namespace {

template <typename OptimizerT>
void check_plain_load(OptimizerT& saved, OptimizerT& live, Net& saved_net, Net& live_net) {
  test::train(saved_net, saved, 5);
  State state;
  double unused = 1;
  state.add("model", saved_net).add("optimizer", saved).add("unused", unused);
  const Saved file(state, {7, 350, 0.25});

  torch::serialize::InputArchive archive, model, optimizer;
  archive.load_from(file.archive());
  archive.read("model", model);
  live_net->load(model);
  archive.read("optimizer", optimizer);
  live.load(optimizer);
  c10::IValue epoch, loss;
  archive.read("epoch", epoch);
  archive.read("loss", loss);
  CHECK(epoch.toInt() == 7);
  CHECK(loss.toDouble() == 0.25);
  CHECK(same_bits(*saved_net, *live_net));

  // Both continue alike, as far as plain LibTorch restores an optimizer.
  torch::manual_seed(11);
  const double expected = test::train(saved_net, saved, 5);
  torch::manual_seed(11);
  CHECK(test::train(live_net, live, 5) == expected);
}

}  // namespace

TEST_CASE("Plain LibTorch reads the model, the optimizer, the epoch and the loss") {
  torch::manual_seed(6);
  Net saved_net, live_net;
  SECTION("SGD") {
    const auto options = torch::optim::SGDOptions(0.05).momentum(0.9);
    torch::optim::SGD saved(saved_net->parameters(), options);
    torch::optim::SGD live(live_net->parameters(), options);
    check_plain_load(saved, live, saved_net, live_net);
  }
  SECTION("Adam") {
    const auto options = torch::optim::AdamOptions(0.01).amsgrad(true);
    torch::optim::Adam saved(saved_net->parameters(), options);
    torch::optim::Adam live(live_net->parameters(), options);
    check_plain_load(saved, live, saved_net, live_net);
  }
  SECTION("AdamW") {
    const auto options = torch::optim::AdamWOptions(0.01);
    torch::optim::AdamW saved(saved_net->parameters(), options);
    torch::optim::AdamW live(live_net->parameters(), options);
    check_plain_load(saved, live, saved_net, live_net);
  }
  SECTION("RMSprop") {
    const auto options = torch::optim::RMSpropOptions(0.01).centered(true).momentum(0.5);
    torch::optim::RMSprop saved(saved_net->parameters(), options);
    torch::optim::RMSprop live(live_net->parameters(), options);
    check_plain_load(saved, live, saved_net, live_net);
  }
  SECTION("Adagrad") {
    const auto options = torch::optim::AdagradOptions(0.05);
    torch::optim::Adagrad saved(saved_net->parameters(), options);
    torch::optim::Adagrad live(live_net->parameters(), options);
    check_plain_load(saved, live, saved_net, live_net);
  }
  SECTION("LBFGS") {
    const auto options = torch::optim::LBFGSOptions(0.1).max_iter(4);
    torch::optim::LBFGS saved(saved_net->parameters(), options);
    torch::optim::LBFGS live(live_net->parameters(), options);
    check_plain_load(saved, live, saved_net, live_net);
  }
}
