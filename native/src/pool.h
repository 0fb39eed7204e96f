// A few threads that share out the items of one job at a time and sleep in between.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace acutance {

class Pool {
public:
    using Work = std::function<void(int worker, int item)>;

    // threads: those that work on a job, the caller's among them. Where the system gives fewer, those do.
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls work(worker, item) for every item from 0 to count - 1, each once, in any thread; returns when all are done.
    // worker is 0 to threads() - 1 and nobody else's meanwhile. Who wakes up when all items are taken is not waited
    // for. The first exception is thrown again here, and the items nobody has begun are left. One job at a time:
    // callers take turns before.
    void run(int count, const Work& work);

private:
    void serve(int worker);
    void take_items(int worker, const Work& work);
    void step_aside(int worker);

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const Work* work_ = nullptr;  // of the current job, while it may be joined
    std::atomic<int> next_{0};
    int count_ = 0;
    int joined_ = 0;           // workers that are at the current job
    unsigned generation_ = 0;  // of jobs, so that a worker joins each once
    std::exception_ptr failure_;
    std::vector<int> processors_;  // where each is at the current job, or -1
    bool closing_ = false;
    std::vector<std::thread> workers_;
};

}  // namespace acutance
