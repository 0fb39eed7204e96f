// A few threads that share out the items of one job at a time and sleep in between.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace acutance {

class Pool {
public:
    // threads: those that work on a job, the caller's among them.
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls work(worker, item) for every item from 0 to count - 1, each once, in any thread; returns when all are done.
    // worker is 0 to threads() - 1 and nobody else's meanwhile. One job at a time: callers take turns before they come
    // here.
    void run(int count, const std::function<void(int worker, int item)>& work);

private:
    void serve(int worker);
    void take_items(int worker);

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const std::function<void(int, int)>* work_ = nullptr;
    std::atomic<int> next_{0};
    int count_ = 0;
    int busy_ = 0;             // workers that have not finished the current job
    unsigned generation_ = 0;  // of jobs, so that a worker takes each once
    bool closing_ = false;
    std::vector<std::thread> workers_;
};

}  // namespace acutance
