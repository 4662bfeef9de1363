#include <checkpoint/save_handle.h>

#include "manager/save_result.h"

#include <utility>

namespace checkpoint {

SaveHandle::SaveHandle(std::shared_ptr<internal::SaveResult> result) : result_(std::move(result)) {}

const std::string& SaveHandle::name() const {
  static const std::string kNone;
  return result_ ? result_->name() : kNone;
}

bool SaveHandle::done() const { return !result_ || result_->done(); }

bool SaveHandle::failed() const { return result_ && result_->failed(); }

void SaveHandle::wait() const {
  if (!result_) return;
  result_->wait();
  result_->rethrow();
}

}  // namespace checkpoint
