#include "device/simulated/queue.h"

#include "device/simulated/device.h"

#include <list>
#include <thread>

namespace simulated {
namespace {

thread_local Queue* t_queue = nullptr;  // Of the thread that carries it out.

}  // namespace

void Marker::set() {
  const std::lock_guard<std::mutex> hold(mutex_);
  set_ = true;
  changed_.notify_all();
}

void Marker::wait() {
  const auto note = [](bool waits) {
    if (t_queue == nullptr) return;
    const std::lock_guard<std::mutex> hold(t_queue->mutex_);
    t_queue->waits_ = waits;
  };
  std::unique_lock<std::mutex> hold(mutex_);
  if (set_) return;
  note(true);
  changed_.wait(hold, [this] { return set_; });
  note(false);
}

bool Marker::is_set() {
  const std::lock_guard<std::mutex> hold(mutex_);
  return set_;
}

struct Hold::Gate {
  Marker reached;
  Marker open;

  void pass() {
    reached.set();
    open.wait();
  }
};

// The gates for each kind of work.
class Gates {
 public:
  static Gates& all() {
    static auto* const gates = new Gates();
    return *gates;
  }
  void add(Work work, std::shared_ptr<Hold::Gate> gate) {
    const std::lock_guard<std::mutex> hold(mutex_);
    closed_.emplace_back(work, std::move(gate));
  }
  void remove(const std::shared_ptr<Hold::Gate>& gate) {
    const std::lock_guard<std::mutex> hold(mutex_);
    closed_.remove_if([&](const auto& closed) { return closed.second == gate; });
  }
  void pass(Work work) {
    for (;;) {
      std::shared_ptr<Hold::Gate> gate;
      {
        const std::lock_guard<std::mutex> hold(mutex_);
        for (const auto& closed : closed_) {
          if (closed.first == work) gate = closed.second;
        }
      }
      if (!gate) return;
      gate->pass();
    }
  }

 private:
  std::mutex mutex_;
  std::list<std::pair<Work, std::shared_ptr<Hold::Gate>>> closed_;
};

Hold::Hold(Work work) : gate_(std::make_shared<Gate>()) { Gates::all().add(work, gate_); }

Hold::Hold(const c10::Stream& stream) : gate_(std::make_shared<Gate>()) {
  device_at(stream.device()).stream(stream.id()).push(Work::kMarker, [gate = gate_] {
    gate->pass();
  });
}

Hold::~Hold() { release(); }

void Hold::release() {
  Gates::all().remove(gate_);
  gate_->open.set();
}

void Hold::wait_until_reached() { gate_->reached.wait(); }

void Queue::push(Work work, std::function<void()> run) {
  const std::lock_guard<std::mutex> hold(mutex_);
  items_.emplace_back(work, std::move(run));
  ++pushed_;
  if (!started_) {
    started_ = true;
    std::thread([this] { run_all(); }).detach();
  }
  changed_.notify_all();
}

void Queue::run_all() {
  t_queue = this;
  std::unique_lock<std::mutex> hold(mutex_);
  for (;;) {
    changed_.wait(hold, [this] { return !items_.empty(); });
    auto item = std::move(items_.front());
    items_.pop_front();
    hold.unlock();
    Gates::all().pass(item.first);
    item.second();
    item.second = nullptr;  // What it holds ends before anybody hears that it is done.
    hold.lock();
    ++done_;
    changed_.notify_all();
  }
}

void Queue::drain() {
  std::unique_lock<std::mutex> hold(mutex_);
  const uint64_t until = pushed_;
  changed_.wait(hold, [&] { return done_ >= until; });
}

bool Queue::is_idle() {
  const std::lock_guard<std::mutex> hold(mutex_);
  return done_ == pushed_;
}

bool Queue::is_settled() {
  const std::lock_guard<std::mutex> hold(mutex_);
  return done_ == pushed_ || waits_;
}

}  // namespace simulated
