// How long the products of a layer take in one precision: what the choice between precisions rests on.
#pragma once

#include "products.h"

namespace treadle {

// Processor seconds, on the calling thread, of one forward product and one weight gradient of `rows` tokens with a
// weight of `columns` x `inner` (multiples of 64): the shorter of two. Negative if the system refuses the memory.
template <class E>
double trial_seconds(const Extents& extents);

}  // namespace treadle
