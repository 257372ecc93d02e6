#include "arena.h"

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace treadle {

bool Arena::allocate(size_t bytes) {
    size_ = bytes + 256;
    void* place = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) return false;
#ifdef MADV_HUGEPAGE
    madvise(place, size_, MADV_HUGEPAGE);  // Advice only: fewer address look-ups where the system grants it.
#endif
    base_ = static_cast<std::byte*>(place);
    return true;
}

void Arena::guard() {
#if defined(__SANITIZE_ADDRESS__)
    constexpr size_t kStrip = 128;
    if (base_) __asan_poison_memory_region(base_ + used_, kStrip);
    used_ += kStrip;
#endif
}

Arena::~Arena() {
    if (!base_) return;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(base_, size_);
#endif
    munmap(base_, size_);
}

}  // namespace treadle
