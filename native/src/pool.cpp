#include "pool.h"

namespace acutance {

Pool::Pool(int threads) {
    workers_.reserve(static_cast<size_t>(threads - 1));
    try {
        for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
    } catch (...) {  // no more threads to be had: those there are will do
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

void Pool::run(int count, const std::function<void(int, int)>& work) {
    if (workers_.empty() || count <= 1) {
        for (int item = 0; item < count; ++item) work(0, item);
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        work_ = &work;
        count_ = count;
        next_.store(0, std::memory_order_relaxed);
        busy_ = static_cast<int>(workers_.size());
        ++generation_;
    }
    wake_.notify_all();
    take_items(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
}

void Pool::serve(int worker) {
    unsigned served = 0;
    for (;;) {
        {
            std::unique_lock<std::mutex> lock(mutex_);
            wake_.wait(lock, [this, served] { return closing_ || generation_ != served; });
            if (closing_) return;
            served = generation_;
        }
        take_items(worker);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (--busy_ == 0) done_.notify_one();
        }
    }
}

void Pool::take_items(int worker) {
    for (int item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) (*work_)(worker, item);
}

}  // namespace acutance
