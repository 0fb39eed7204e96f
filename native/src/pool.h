// A few threads that share the items of one job at a time, and sleep between jobs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace acutance {

class Pool {
public:
    // threads: the threads that work on a job, the caller's among them. If the system starts fewer, the pool works with
    // those.
    // pin: keep the pool's threads on processors of their own (see step_aside).
    Pool(int threads, bool pin);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return static_cast<int>(threads_.size()) + 1; }

    // Calls work(worker, item) once for every item from 0 to count - 1, in any thread, and returns when all are done.
    // worker is 0 to threads() - 1; two calls at the same time have different ones. run() does not wait for workers
    // that wake late, when no items are left. It throws the first exception of a call again, and then skips the items
    // that nobody has begun. Only one job may run at a time.
    template <class Work>
    void run(int count, Work&& work) {
        // std::function would allocate memory for every job.
        run_job(Job{[](void* context, int worker, int item) {
                        (*static_cast<std::remove_reference_t<Work>*>(context))(worker, item);
                    },
                    const_cast<void*>(static_cast<const void*>(&work)), count});
    }

private:
    struct Job {
        void (*call)(void* context, int worker, int item) = nullptr;
        void* context = nullptr;
        int count = 0;
    };

    void run_job(const Job& job);
    void serve(int worker);
    void take_items(int worker, const Job& job);
    void step_aside(int worker);

    const bool pin_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    Job job_;
    bool open_ = false;  // workers may join the current job
    std::atomic<int> next_{0};
    int joined_ = 0;           // workers at the current job
    unsigned generation_ = 0;  // the number of jobs, so that a worker joins each once
    std::exception_ptr failure_;
    std::vector<int> processors_;  // with pin_: where each worker is during the current job, or -1
    bool closing_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace acutance
