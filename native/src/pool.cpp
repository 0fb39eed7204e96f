#include "pool.h"

#include <system_error>
#include <utility>

namespace acutance {

Pool::Pool(int threads) {
    workers_.reserve(static_cast<size_t>(threads - 1));
    try {
        for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
    } catch (const std::system_error&) {  // no more threads to be had
    }
}

Pool::~Pool() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void Pool::run(int count, const Work& work) {
    if (workers_.empty() || count <= 1) {
        for (int item = 0; item < count; ++item) work(0, item);
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        work_ = &work;
        count_ = count;
        next_.store(0, std::memory_order_relaxed);
        failure_ = nullptr;
        ++generation_;
    }
    wake_.notify_all();
    take_items(0, work);
    std::unique_lock<std::mutex> lock(mutex_);
    work_ = nullptr;
    done_.wait(lock, [this] { return joined_ == 0; });
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Pool::serve(int worker) {
    unsigned served = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this, &served] { return closing_ || (work_ != nullptr && generation_ != served); });
        if (closing_) return;
        served = generation_;
        const Work& work = *work_;
        ++joined_;
        lock.unlock();
        take_items(worker, work);
        lock.lock();
        if (--joined_ == 0) done_.notify_one();
    }
}

void Pool::take_items(int worker, const Work& work) {
    try {
        for (int item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) work(worker, item);
    } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        next_.store(count_, std::memory_order_relaxed);
    }
}

}  // namespace acutance
