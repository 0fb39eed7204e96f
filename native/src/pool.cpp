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

Pool::Pool(int threads, bool pin) : pin_(pin), processors_(static_cast<size_t>(threads), -1) {
    threads_.reserve(static_cast<size_t>(threads - 1));
    try {
        for (int worker = 1; worker < threads; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
    } catch (const std::system_error&) {  // the system starts no more threads
    }
}

Pool::~Pool() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Pool::run_job(const Job& job) {
    if (threads_.empty() || job.count <= 1) {
        for (int item = 0; item < job.count; ++item) job.call(job.context, 0, item);
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        job_ = job;
        open_ = true;
        next_.store(0, std::memory_order_relaxed);
        failure_ = nullptr;
        if (pin_) {
            std::fill(processors_.begin(), processors_.end(), -1);
            processors_[0] = current_processor();
        }
        ++generation_;
    }
    wake_.notify_all();
    take_items(0, job);
    std::unique_lock<std::mutex> lock(mutex_);
    open_ = false;
    done_.wait(lock, [this] { return joined_ == 0; });
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Pool::serve(int worker) {
    unsigned served = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this, &served] { return closing_ || (open_ && generation_ != served); });
        if (closing_) return;
        served = generation_;
        const Job job = job_;
        ++joined_;
        if (pin_) step_aside(worker);
        lock.unlock();
        take_items(worker, job);
        lock.lock();
        if (--joined_ == 0) done_.notify_one();
    }
}

// Moves the calling worker to a processor that no other thread of the job uses. Linux may wake a worker on the
// processor of the caller or of another worker, and leave both there for tens of milliseconds while other processors
// are idle. A thread moves at once if it may no longer run where it is; afterwards it may run again wherever it could
// before.
void Pool::step_aside(int worker) {
    const int here = current_processor();
    const auto taken = [this](int processor) {
        return std::find(processors_.begin(), processors_.end(), processor) != processors_.end();
    };
#if defined(__linux__)
    cpu_set_t allowed, others, now;
    if (here >= 0 && taken(here) && sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        CPU_ZERO(&others);
        for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
            if (CPU_ISSET(processor, &allowed) && !taken(processor)) CPU_SET(processor, &others);
        }
        if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0) {
            // Somebody else may have set this thread's affinity in the meantime (taskset -a): theirs counts.
            if (sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &others)) {
                sched_setaffinity(0, sizeof allowed, &allowed);
            }
        }
    }
#endif
    processors_[static_cast<size_t>(worker)] = here < 0 ? here : current_processor();
}

void Pool::take_items(int worker, const Job& job) {
    try {
        for (int item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < job.count;) {
            job.call(job.context, worker, item);
        }
    } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        next_.store(job.count, std::memory_order_relaxed);
    }
}

}  // namespace acutance
