#include "arena.h"

#include <sys/mman.h>

namespace treadle {

bool Arena::allocate(size_t bytes) {
    size_ = bytes + 64;
    void* place = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) return false;
#ifdef MADV_HUGEPAGE
    madvise(place, size_, MADV_HUGEPAGE);  // Advice only: fewer address look-ups where the system grants it.
#endif
    base_ = static_cast<std::byte*>(place);
    return true;
}

Arena::~Arena() {
    if (base_) munmap(base_, size_);
}

}  // namespace treadle
