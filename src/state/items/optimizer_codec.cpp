// One codec for each of LibTorch's six optimizers: it reads and writes the fields of its options
// and of its state (optimizer_fields.h). All else about optimizers is written once, in
// optimizer.cpp.

#include "state/items/optimizer_codec.h"

#include "state/items/custom_methods.h"
#include "state/items/optimizer_fields.h"
#include "state/plan/item.h"

#include <checkpoint/error.h>

#include <c10/util/SmallVector.h>
#include <torch/torch.h>

#include <deque>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace checkpoint::state {
namespace {

using namespace torch::optim;
// Uses c10's optional or the standard's, depending on LibTorch's version.
using OptionalTensors = std::remove_reference_t<decltype(std::declval<LBFGSParamState&>().al())>;

// Writes fields to a dict, as Optimizer::save does: undefined tensors are left out.
class FieldWriter {
 public:
  template <typename T>
  void operator()(const char* name, const T& field) {
    put(name, field);
  }
  Dict take() { return std::move(dict_); }

 private:
  void put(const char* name, bool field) { dict_.insert(name, field); }
  void put(const char* name, int64_t field) { dict_.insert(name, field); }
  void put(const char* name, double field) { dict_.insert(name, field); }
  void put(const char* name, const std::string& field) { dict_.insert(name, field); }
  void put(const char* name, const std::tuple<double, double>& field) {
    dict_.insert(name, Tuple{{std::get<0>(field), std::get<1>(field)}});
  }
  void put(const char* name, const at::Tensor& field) {
    if (field.defined()) dict_.insert(name, field);
  }
  void put(const char* name, const std::deque<at::Tensor>& field) {
    dict_.insert(name, Value::List(field.begin(), field.end()));
  }
  // Only LBFGS's "al" has this type. It is scratch memory: step() writes each element before
  // reading it, and makes a new "al" if there is none. A partly filled one holds undefined tensors,
  // which an archive cannot hold, so it is then left out.
  void put(const char* name, const OptionalTensors& field) {
    if (!field) return;
    for (const at::Tensor& tensor : *field) {
      if (!tensor.defined()) return;
    }
    dict_.insert(name, Value::List(field->begin(), field->end()));
  }
  template <template <typename> class Optional, typename T>
  void put(const char* name, const Optional<T>& field) {
    if (field) {
      put(name, *field);
    } else {
      dict_.insert(name, Value());
    }
  }

  Dict dict_;
};

// The tensors among the fields of a live state, which outlives this.
class TensorFields {
 public:
  void operator()(const char* name, const at::Tensor& field) { fields_.emplace_back(name, &field); }
  template <typename T>
  void operator()(const char*, const T&) {}

  // Returns an undefined tensor if the state has no such field.
  at::Tensor find(std::string_view name) const {
    for (const auto& [known, field] : fields_) {
      if (known == name) return *field;
    }
    return {};
  }

 private:
  c10::SmallVector<std::pair<std::string_view, const at::Tensor*>, 4> fields_;
};

// Reads fields from a dict. What is missing or of another kind goes into the plan's report.
class FieldReader {
 public:
  // `like` has the live tensors to reuse. New ones go to the parameter's device. Tensors of the
  // parameter's size are divided among the ranks as the parameter is.
  FieldReader(const Dict& saved, const TensorFields& like, const at::Tensor& parameter,
              OptimizerPlace place, RestorePlan& plan)
      : saved_(saved),
        like_(like),
        parameter_(parameter),
        device_(parameter.defined() ? plan.device_after(parameter) : c10::Device(c10::kCPU)),
        place_(place),
        plan_(plan) {}

  template <typename T>
  void operator()(const char* name, T& field) {
    const Value* value = saved_.find(std::string(name));
    try {
      if (value != nullptr) {
        get(name, *value, field);
      } else if (may_be_absent(field)) {
        field = T();
      } else {
        fits_ = false;
        plan_.missing(dotted(place_(), name));
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kIncompatible) throw;  // The file or a device failed.
      fits_ = false;
      plan_.mismatched(dotted(place_(), name), error.what());
    }
  }
  bool fits() const { return fits_; }

 private:
  static bool may_be_absent(const at::Tensor&) { return true; }
  static bool may_be_absent(const OptionalTensors&) { return true; }
  template <typename T>
  static bool may_be_absent(const T&) {
    return false;
  }

  void get(const char*, const Value& value, bool& field) { field = value.to_bool(); }
  void get(const char*, const Value& value, int64_t& field) { field = value.to_int(); }
  void get(const char*, const Value& value, double& field) { field = value.to_double(); }
  void get(const char*, const Value& value, std::string& field) { field = value.to_string(); }
  void get(const char*, const Value& value, std::tuple<double, double>& field) {
    const std::vector<Value>& items = value.tuple();
    if (items.size() != 2) throw Error(ErrorCode::kIncompatible, "not a pair");
    field = {items[0].to_double(), items[1].to_double()};
  }
  void get(const char* name, const Value& value, at::Tensor& field) {
    field = plan_.restore_like(plan_.own_part(value.to_tensor(), parameter_), like_.find(name),
                               device_);
  }
  template <typename Tensors>
  void get_all(const Value& value, Tensors& field) {
    field.clear();
    for (const Value& item : value.list()) {
      field.push_back(plan_.restore_like(item.to_tensor(), at::Tensor(), device_));
    }
  }
  void get(const char*, const Value& value, std::deque<at::Tensor>& field) {
    get_all(value, field);
  }
  void get(const char*, const Value& value, std::vector<at::Tensor>& field) {
    get_all(value, field);
  }
  template <template <typename> class Optional, typename T>
  void get(const char* name, const Value& value, Optional<T>& field) {
    if (value.is_none()) {
      field.reset();
    } else {
      field = T();
      get(name, value, *field);
    }
  }

  const Dict& saved_;
  const TensorFields& like_;
  const at::Tensor parameter_;
  c10::Device device_;
  OptimizerPlace place_;
  RestorePlan& plan_;
  bool fits_ = true;
};

// The codec of one optimizer class, from the fields of its options and state.
template <typename OptimizerT, typename OptionsT, typename StateT>
class TypedCodec final : public OptimizerCodec {
 public:
  explicit TypedCodec(const char* type) : type_(type) {}

  const char* type() const override { return type_; }
  bool is_class_of(const Optimizer& optimizer) const override {
    return typeid(optimizer) == typeid(OptimizerT);
  }
  bool saves(const Optimizer& optimizer) const override {
    if (dynamic_cast<const OptimizerT*>(&optimizer) == nullptr) return false;
    const OptimizerT plain(std::vector<at::Tensor>{torch::zeros({1})}, OptionsT(1));
    return !has_custom_save_or_load(optimizer, plain);
  }
  bool is_flat() const override { return std::is_same_v<StateT, LBFGSParamState>; }

  Value capture_options(const Options& options) const override {
    return capture(static_cast<const OptionsT&>(options));
  }
  Value capture_state(const ParamState& state) const override {
    return capture(static_cast<const StateT&>(state));
  }

  void plan_options(const Value& saved, Options& live, OptimizerPlace place,
                    RestorePlan& plan) const override {
    auto& typed = static_cast<OptionsT&>(live);
    OptionsT fresh = typed;
    const TensorFields nothing;
    FieldReader reader(saved.dict(), nothing, at::Tensor(), place, plan);
    visit_fields(reader, fresh);
    // In place: schedulers and users hold references to the live options.
    plan.add_final([&typed, fresh] { typed = fresh; });
  }

  std::unique_ptr<ParamState> plan_state(const Value& saved, const ParamState* live,
                                         const at::Tensor& parameter, OptimizerPlace place,
                                         RestorePlan& plan) const override {
    TensorFields like;
    if (live != nullptr) visit_fields(like, static_cast<const StateT&>(*live));
    auto state = std::make_unique<StateT>();
    FieldReader reader(saved.dict(), like, parameter, place, plan);
    visit_fields(reader, *state);
    if (!reader.fits()) return nullptr;
    return state;
  }

 private:
  template <typename T>
  static Dict capture(const T& object) {
    FieldWriter writer;
    visit_fields(writer, object);
    return writer.take();
  }

  const char* type_;
};

template <typename Wanted>
const OptimizerCodec* find_codec_if(const Wanted& wanted) {
  static const TypedCodec<SGD, SGDOptions, SGDParamState> kSgd("SGD");
  static const TypedCodec<Adam, AdamOptions, AdamParamState> kAdam("Adam");
  static const TypedCodec<AdamW, AdamWOptions, AdamWParamState> kAdamW("AdamW");
  static const TypedCodec<RMSprop, RMSpropOptions, RMSpropParamState> kRmsprop("RMSprop");
  static const TypedCodec<Adagrad, AdagradOptions, AdagradParamState> kAdagrad("Adagrad");
  static const TypedCodec<LBFGS, LBFGSOptions, LBFGSParamState> kLbfgs("LBFGS");
  static const OptimizerCodec* const kAll[] = {&kSgd,     &kAdam,    &kAdamW,
                                               &kRmsprop, &kAdagrad, &kLbfgs};
  for (const OptimizerCodec* codec : kAll) {
    if (wanted(*codec)) return codec;
  }
  return nullptr;
}

}  // namespace

const OptimizerCodec* find_codec(const Optimizer& optimizer) {
  return find_codec_if([&](const OptimizerCodec& codec) { return codec.is_class_of(optimizer); });
}

const OptimizerCodec* find_base_codec(const Optimizer& optimizer) {
  return find_codec_if([&](const OptimizerCodec& codec) { return codec.saves(optimizer); });
}

}  // namespace checkpoint::state
