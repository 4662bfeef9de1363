// A program of somebody else's: saves a module, restores it into another, compares. Exits with 0 if
// they are alike.
#include <checkpoint/checkpoint.h>
#include <torch/torch.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  torch::nn::Linear trained(3, 2);
  torch::nn::Linear fresh(3, 2);
  if (trained->weight.equal(fresh->weight)) return 1;

  {
    checkpoint::State state;
    state.add("model", trained);
    checkpoint::CheckpointManager(argv[1]).save(state, {4, 100, 0.5});
  }
  checkpoint::State state;
  state.add("model", fresh);
  const auto restored = checkpoint::CheckpointManager(argv[1]).restore_latest(state);
  const bool alike = restored && restored->progress().next_epoch() == 5 &&
                     trained->weight.equal(fresh->weight) && trained->bias.equal(fresh->bias);

  // An exception must be caught as what it is on this side of the library's boundary.
  try {
    checkpoint::CheckpointManager(argv[1]).restore(state, "none-such");
    return 1;
  } catch (const checkpoint::Error& error) {
    if (error.code() != checkpoint::ErrorCode::kNotFound) return 1;
  }
  std::cout << (alike ? "alike" : "different") << '\n';
  return alike ? 0 : 1;
}
