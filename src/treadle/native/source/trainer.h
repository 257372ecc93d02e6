// A model in training: memory, threads and the phases of a step.
#pragma once

#include <memory>

#include "interface.h"
#include "parameters.h"

namespace treadle {

// The face that does not depend on the element type. Arguments were checked by the interface.
class Trainer {
  public:
    // Null if the system refuses the memory.
    static std::unique_ptr<Trainer> create(const TreadleShape& shape, const TreadlePlan& plan);
    static TreadleMemory memory_required(const TreadleShape& shape, const TreadlePlan& plan);

    virtual ~Trainer() = default;
    virtual const Shape& shape() const = 0;
    virtual const Parameters& parameters() const = 0;
    virtual float* array(int32_t what) = 0;
    virtual void repack() = 0;
    virtual double backward(const TreadleBatch& batch, const TreadleBackward& settings) = 0;
    virtual double gradient_norm() = 0;
    virtual void update(const TreadleUpdate& update, const TreadleRule* rules) = 0;
    virtual double evaluate(const TreadleBatch& batch) = 0;
};

}  // namespace treadle
