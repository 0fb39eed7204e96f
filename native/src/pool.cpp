#include "pool.h"

#include <algorithm>
#include <system_error>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif

namespace acutance {
namespace {

int current_processor() {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

}  // namespace

Pool::Pool(int threads) : processors_(static_cast<size_t>(threads), -1) {
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
        std::fill(processors_.begin(), processors_.end(), -1);
        processors_[0] = current_processor();
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
        step_aside(worker);
        lock.unlock();
        take_items(worker, work);
        lock.lock();
        if (--joined_ == 0) done_.notify_one();
    }
}

// Linux may wake a worker on the processor of the caller, or of another worker, and leave both there for tens of
// milliseconds though other processors are idle. A thread that may not run where it is has to move at once; afterwards
// it may run anywhere again.
void Pool::step_aside(int worker) {
    const int here = current_processor();
    const auto taken = [this](int processor) {
        return std::find(processors_.begin(), processors_.end(), processor) != processors_.end();
    };
#if defined(__linux__)
    cpu_set_t allowed, others;
    if (here >= 0 && taken(here) && sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        CPU_ZERO(&others);
        for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
            if (CPU_ISSET(processor, &allowed) && !taken(processor)) CPU_SET(processor, &others);
        }
        if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0) {
            sched_setaffinity(0, sizeof allowed, &allowed);
        }
    }
#endif
    processors_[static_cast<size_t>(worker)] = here < 0 ? here : current_processor();
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
