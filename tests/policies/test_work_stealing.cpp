// SPDX-License-Identifier: MIT
//
// work_stealing: in which order tasks come out, and whom a thief gets; which servers are near.
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "fixture.hpp"
#include "topology.hpp"

namespace {

namespace fs = std::filesystem;
constexpr uint32_t outside = UMCG_POLICY_NO_SERVER;

TEST(WorkStealing, FromOutsideFirstInFirstOut) {
    by_hand p("work_stealing");
    for (int i = 0; i < 5; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, outside);
    for (uint64_t id = 1; id <= 5; id++) EXPECT_EQ(p.pick(), id);
    EXPECT_EQ(p.pick(), 0U);
}

TEST(WorkStealing, TheLastThatWasWokenHereGoesFirst) {
    by_hand p("work_stealing");
    for (int i = 0; i < 2; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, outside);
    p.wake(p.make(), UMCG_ENQUEUE_WAKE, 0);
    p.wake(p.make(), UMCG_ENQUEUE_SPAWN, 0);  // 3 goes to the end of the queue
    for (uint64_t id : {4, 1, 2, 3, 0}) EXPECT_EQ(p.pick(), id);
}

TEST(WorkStealing, OnlyWakesAndSpawnsOfThisServerAreForTheSlot) {
    by_hand p("work_stealing");
    umcg_policy_task& t = p.make();
    p.wake(t, UMCG_ENQUEUE_WAKE, 0);
    EXPECT_EQ(p.pick(), t.id);
    // what was said for that time does not count for the next
    for (auto reason : {UMCG_ENQUEUE_YIELD, UMCG_ENQUEUE_PREEMPTED, UMCG_ENQUEUE_UNBLOCKED,
                        UMCG_ENQUEUE_MIGRATED, UMCG_ENQUEUE_WAKE}) {
        umcg_policy_task& first = p.make();
        p.enqueue(0, first, UMCG_ENQUEUE_YIELD);
        p.enqueue(0, t, reason);
        EXPECT_EQ(p.pick(), first.id) << reason;
        EXPECT_EQ(p.pick(), t.id) << reason;
    }
}

// Two that wake each other in turn for ever, beside a queue.
TEST(WorkStealing, TheSlotDoesNotStarveTheQueue) {
    by_hand p("work_stealing");
    umcg_policy_task& a = p.make();
    umcg_policy_task& b = p.make();
    for (int i = 0; i < 10; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, outside);
    uint64_t expected = 3, in_row = 0;
    p.wake(a, UMCG_ENQUEUE_WAKE, 0);
    while (expected <= 12) {
        const uint64_t id = p.pick();
        if (id > 2) {
            EXPECT_EQ(id, expected++);
            in_row = 0;
            continue;
        }
        ASSERT_LE(++in_row, 4U);
        p.wake(id == 1 ? b : a, UMCG_ENQUEUE_WAKE, 0);
    }
}

// Nor the other way round: whoever is in the slot is out after one from the queue.
TEST(WorkStealing, TheQueueDoesNotStarveTheSlot) {
    by_hand p("work_stealing");
    for (int round = 0; round < 20; round++) {
        p.wake(p.make(), UMCG_ENQUEUE_SPAWN, outside);
        p.wake(p.make(), UMCG_ENQUEUE_SPAWN, outside);
        umcg_policy_task& t = p.make();
        p.wake(t, UMCG_ENQUEUE_WAKE, 0);
        if (p.pick() == t.id) continue;
        EXPECT_EQ(p.pick(), t.id);
    }
}

TEST(WorkStealing, AThiefGetsTheOldestAndTheSlotLast) {
    by_hand p("work_stealing", 2);
    umcg_policy_task& stays = p.make();
    stays.flags = 0;
    p.enqueue(0, stays, UMCG_ENQUEUE_UNBLOCKED);
    p.wake(p.make(), UMCG_ENQUEUE_SPAWN, 0);
    p.wake(p.make(), UMCG_ENQUEUE_SPAWN, 0);
    for (uint64_t id : {2, 3, 0}) EXPECT_EQ(p.steal(1, 0), id);
    EXPECT_EQ(p.pick(0), 1U);
}

TEST(WorkStealing, WhoIsInTheSlotCanBeTakenOut) {
    by_hand p("work_stealing");
    umcg_policy_task& t = p.make();
    p.wake(t, UMCG_ENQUEUE_WAKE, 0);
    p.dequeue(t);
    EXPECT_EQ(p.pick(), 0U);
}

TEST(WorkStealing, NewestSpawnedFirstWhereThatIsAskedFor) {
    by_hand p("work_stealing:spawned=newest", 2);
    EXPECT_EQ(p.pick(), 0U);
    for (int i = 0; i < 200; i++) p.wake(p.make(), UMCG_ENQUEUE_SPAWN, 0);
    EXPECT_EQ(p.steal(1, 0), 1U);
    // the first picks of all
    for (int i = 0; i < 4; i++) p.pick();
    unsigned others = 0;
    for (int i = 0; i < 3 * 1024; i++) {
        umcg_policy_task& t = p.make();
        p.wake(t, UMCG_ENQUEUE_SPAWN, 0);
        others += p.pick() != t.id;
    }
    EXPECT_GE(others, 2U) << "the oldest would wait for ever";
    EXPECT_LE(others, 8U);
}

class Topology : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/umcg-topology-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        root_ = name;
    }
    void TearDown() override { fs::remove_all(root_); }
    void file(int cpu, const char* name, const std::string& text) {
        const fs::path path = root_ / ("cpu" + std::to_string(cpu)) / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text << "\n";
    }
    fs::path root_;
};

// Two packages of two last-level caches of two cores of two threads, numbered as Linux does: the second
// threads come after all cores.
TEST_F(Topology, NearestFirst) {
    std::vector<int> cpus;
    for (int cpu = 0; cpu < 16; cpu++) {
        const int core = cpu % 8;
        cpus.push_back(cpu);
        file(cpu, "cache/index2/shared_cpu_list", std::to_string(core) + "," + std::to_string(core + 8));
        const int first = core / 2 * 2;
        file(cpu, "cache/index3/shared_cpu_list",
             std::to_string(first) + "-" + std::to_string(first + 1) + "," + std::to_string(first + 8));
        file(cpu, "topology/physical_package_id", std::to_string(core / 4));
    }
    const umcg::detail::topology t(cpus, root_);
    EXPECT_EQ(t.others(2), (std::vector<unsigned>{10, 3, 11, 8, 9, 0, 1, 4, 5, 6, 7, 12, 13, 14, 15}));
    EXPECT_EQ(t.others(15), (std::vector<unsigned>{7, 6, 14, 4, 5, 12, 13, 0, 1, 2, 3, 8, 9, 10, 11}));
    EXPECT_EQ(t.distance(0, 8), 0U);
    EXPECT_EQ(t.distance(0, 1), 1U);
    EXPECT_EQ(t.distance(0, 2), 2U);
    EXPECT_EQ(t.distance(0, 4), 3U);
    EXPECT_EQ(t.domains()[9], 0U);
    EXPECT_EQ(t.domains()[11], 2U);
}

TEST_F(Topology, WithoutAThirdLevelTheSecondIsTheLast) {
    for (int cpu = 0; cpu < 4; cpu++)
        file(cpu, "cache/index2/shared_cpu_list", std::to_string(cpu / 2 * 2) + "-" + std::to_string(cpu / 2 * 2 + 1));
    const umcg::detail::topology t({0, 1, 2, 3}, root_);
    EXPECT_EQ(t.others(0), (std::vector<unsigned>{1, 2, 3}));
    EXPECT_EQ(t.others(3), (std::vector<unsigned>{2, 0, 1}));
    EXPECT_EQ(t.domains(), (std::vector<uint32_t>{0, 0, 2, 2}));
}

TEST_F(Topology, NothingKnownIsAllTheSame) {
    const umcg::detail::topology t({0, 5, 9}, root_);
    EXPECT_EQ(t.others(1), (std::vector<unsigned>{2, 0}));
    EXPECT_EQ(t.domains(), (std::vector<uint32_t>{0, 0, 0}));
}

}  // namespace
