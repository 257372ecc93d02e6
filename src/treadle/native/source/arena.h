// One block of memory for everything, sized before it is taken.
#pragma once

#include <cstddef>
#include <cstdint>

namespace treadle {

// The same code lays out every buffer twice: once on an arena without memory, which only counts, then on a real one.
class Arena {
  public:
    Arena() = default;
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // Takes the memory, zeroed; false if the system refuses.
    bool allocate(size_t bytes);

    template <class T>
    T* take(int64_t count) {
        used_ = (used_ + 63) / 64 * 64;
        T* place = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
        used_ += sizeof(T) * static_cast<size_t>(count);
        guard();
        return place;
    }

    size_t used() const { return used_; }

  private:
    // Under AddressSanitizer a forbidden strip follows each buffer: running over one is found, though all are one
    // block.
    void guard();

    std::byte* base_ = nullptr;
    size_t size_ = 0;
    size_t used_ = 0;
};

}  // namespace treadle
