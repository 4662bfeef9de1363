// mpi_training DIRECTORY EPOCHS: a training of several processes that MPI has started and that
// average their gradients by MPI. They meet for checkpoints in a directory. Resumes by itself. Rank
// 0 prints where it began, and the sum of the weights as an exact number.

#include <checkpoint/checkpoint.h>

#include <mpi.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace {

void average(const std::vector<torch::Tensor>& tensors, int size) {
  for (torch::Tensor tensor : tensors) {
    MPI_Allreduce(MPI_IN_PLACE, tensor.data_ptr<float>(), static_cast<int>(tensor.numel()),
                  MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    tensor /= size;
  }
}

void train(const std::string& directory, int64_t epochs, int rank, int size) {
  torch::set_num_threads(1);
  torch::manual_seed(1);
  torch::nn::Linear model(20, 10);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  int64_t own = -1;
  checkpoint::State state;
  state.add("model", model).add("optimizer", optimizer).add("own", own, checkpoint::PerRank());
  checkpoint::CheckpointManager manager(
      directory,
      checkpoint::CheckpointManagerOptions()
          .every_n_epochs(1)
          .keep_last(2)
          .async(true)
          .replicas_must_agree(true)
          .coordinator(checkpoint::directory_coordinator(directory + ".talk", rank, size)));
  checkpoint::Progress progress;
  const int64_t first = manager.resume(state, progress);
  if (own != -1 && own != rank * 100 + progress.epoch) throw std::runtime_error("another rank's");
  for (int64_t epoch = first; epoch < epochs; ++epoch) {
    progress.epoch = epoch;
    optimizer.zero_grad();
    const auto generator = torch::make_generator<at::CPUGeneratorImpl>(epoch * 64 + rank);
    model->forward(torch::randn({8, 20}, generator)).square().mean().backward();
    average({model->weight.grad(), model->bias.grad()}, size);
    optimizer.step();
    own = rank * 100 + epoch;
    manager.save_if_due(state, progress);
  }
  manager.save_final(state, progress);
  if (rank == 0) {
    std::printf("began at %lld, sum %a\n", static_cast<long long>(first),
                model->weight.to(torch::kDouble).sum().item<double>());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  try {
    train(argv[1], std::atoll(argv[2]), rank, size);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
