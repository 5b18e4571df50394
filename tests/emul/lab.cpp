// SPDX-License-Identifier: MIT
#include "lab.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>

namespace lab {

std::atomic<int> pokes, runs, attached;

namespace {

std::mutex stops_lock;
std::vector<Stop*> stops;

const emul_backend kBackend = {
    .attach =
        [](emul_thread*, bool) {
            attached++;
            return 0;
        },
    .detach = [](emul_thread*, bool) { attached--; },
    .ran = [](emul_thread*) { runs++; },
    .poke = [](emul_thread*, emul_thread*) { pokes++; },
    .look = nullptr,
    .sleep = nullptr,
    .awake = nullptr,
};

constexpr uint64_t kDeadline = 60'000'000'000;

}  // namespace

uint64_t now_ns() {
    timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<uint64_t>(ts.tv_sec) * 1000000000 + static_cast<uint64_t>(ts.tv_nsec);
}

void until(const std::function<bool()>& condition, const char* what) {
    const uint64_t end = now_ns() + kDeadline;
    while (!condition()) {
        if (now_ns() > end) {
            fprintf(stderr, "hang: waited for %s\n", what);
            abort();
        }
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
}

void at_point(emul_point point) {
    const pid_t tid = gettid();
    Stop* found = nullptr;
    {
        std::lock_guard guard(stops_lock);
        const auto it = std::find_if(stops.begin(), stops.end(), [&](Stop* s) {
            return s->point_ == point && s->tid_ == tid && !s->there_;
        });
        if (it == stops.end()) return;
        found = *it;
        stops.erase(it);
    }
    found->there_ = true;
    until([&] { return found->go_.load(); }, "go()");
    found->left_ = true;
}

Stop::Stop(emul_point point, pid_t tid) : point_(point), tid_(tid) {
    std::lock_guard guard(stops_lock);
    stops.push_back(this);
}

Stop::~Stop() {
    {
        std::lock_guard guard(stops_lock);
        stops.erase(std::remove(stops.begin(), stops.end(), this), stops.end());
    }
    // it must not find this gone
    go_ = true;
    if (there_) UNTIL(left_.load());
}

void Stop::arrived() {
    UNTIL(there_.load());
}

void Stop::go() {
    go_ = true;
}

std::vector<Event> take(umcg_task* server) {
    umcg_news news;
    umcg_take(server, &news);
    std::vector<Event> out;
    while (umcg_task* w = umcg_next_blocked(&news))
        out.push_back({'B', w, umcg_state(w), umcg_exited(w) != 0});
    std::reverse(out.begin(), out.end());
    const auto middle = static_cast<long>(out.size());
    while (umcg_task* w = umcg_next_runnable(&news)) out.push_back({'R', w, umcg_state(w), false});
    std::reverse(out.begin() + middle, out.end());
    return out;
}

Worker::Worker(pid_t home, Body body, uint32_t flags)
    : task_(umcg_task_alloc()), body_(std::move(body)), thread_([this, home, flags] {
          task_->server_tid = static_cast<uint32_t>(home);
          task_->user_flags = flags;
          tid_ = gettid();
          EXPECT_EQ(emul_register(task_, UMCG_REG_WORKER), 0);
          body_(*this);
          done_ = true;
      }) {
    UNTIL(tid_ && umcg_state(task_) != UMCG_TASK_NONE);
}

Worker::~Worker() {
    thread_.join();
    if (umcg_task_unlinked(task_)) umcg_task_free(task_);
}

Server::Server(uint32_t flags) : task_(umcg_task_alloc()) {
    task_->user_flags = flags;
    EXPECT_EQ(emul_register(task_, UMCG_REG_SERVER), 0);
}

Server::~Server() {
    take(task_);
    EXPECT_EQ(emul_unregister(task_), 0);
    umcg_task_free(task_);
}

int Server::run(const Worker& w, uint32_t flags, uint64_t timeout) {
    __atomic_store_n(&task_->next_tid, static_cast<uint32_t>(w.tid()), __ATOMIC_SEQ_CST);
    const int rc = emul_wait(flags, timeout);
    // a worker that stopped wakes the server after its entry was seen: remembered, once
    if (rc != -EAGAIN || umcg_has_news(task_)) return rc;
    return emul_wait(flags, timeout);
}

void Server::expect_runnable(const Worker& w) {
    UNTIL(__atomic_load_n(&task_->runnable_ptr, __ATOMIC_SEQ_CST));
    // it has told all of its stop
    UNTIL(__atomic_load_n(&task_->running_tid, __ATOMIC_SEQ_CST) !=
          static_cast<uint32_t>(w.tid()));
    const std::vector<Event> events = take(task_);
    const auto mine = std::count_if(events.begin(), events.end(), [&](const Event& e) {
        return e.kind == 'R' && e.task == w.task();
    });
    EXPECT_EQ(mine, 1);
}

void Server::finish(const std::vector<Worker*>& workers) {
    const uint64_t end = now_ns() + kDeadline;
    for (Worker* w : workers) {
        while (umcg_state(w->task()) != (UMCG_TASK_NONE | UMCG_TF_EXITED) &&
               umcg_state(w->task()) != UMCG_TASK_NONE) {
            take(task_);
            if ((w->state() & UMCG_TASK_MASK) == UMCG_TASK_RUNNABLE)
                run(*w, 0, now_ns() + 5'000'000);
            else
                wait(0, now_ns() + 1'000'000);
            if (now_ns() > end) {
                fprintf(stderr, "hang: a worker did not end, state 0x%x\n", w->state());
                abort();
            }
        }
    }
    __atomic_store_n(&task_->next_tid, 0, __ATOMIC_SEQ_CST);
    take(task_);
}

Worker::Body Looper::body() {
    return [this](Worker& me) {
        while (!leave) {
            if (!call.exchange(false)) continue;
            me.task()->next_tid = 0;
            EXPECT_EQ(emul_wait(UMCG_WAIT_ENQUEUE, 0), 0);
            calls++;
        }
    };
}

void start(Server& s, Worker& w) {
    s.expect_runnable(w);
    ASSERT_EQ(s.run(w, 0, now_ns() + 1), -ETIMEDOUT);
    UNTIL(w.phase() == EMUL_RUNNING);
    ASSERT_EQ(s.task()->running_tid, static_cast<uint32_t>(w.tid()));
}

}  // namespace lab

int main(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    if (emul_start(&lab::kBackend)) return 1;
    emul_at_point = lab::at_point;
    return RUN_ALL_TESTS();
}
