// SPDX-License-Identifier: MIT
//
// select() over channels, times and tokens.
#include <atomic>
#include <stdexcept>
#include <string>

#include <umcg/cancellation.hpp>
#include <umcg/select.hpp>

#include "harness.hpp"

namespace {

class Select : public Runtime {};
IN_EVERY_CONFIGURATION(Select);

using umcg::on_limit;
using umcg::on_receive;
using umcg::on_send;
using umcg::otherwise;
using umcg::select;

constexpr auto drop = [](auto&&...) {};

TEST_P(Select, TakesWhatIsReady) {
    umcg::runtime rt(options());
    umcg::channel<int> a(1), b(1);
    std::optional<int> got;
    auto take = [&](std::optional<int> v) { got = v; };
    b.send(7);
    EXPECT_EQ(select(on_receive(a, take), on_receive(b, take)), 1U);
    EXPECT_EQ(got, 7);
    // a limit that has passed makes a try
    b.send(8);
    EXPECT_EQ(select(on_limit(umcg::clock::now()), on_receive(b, take)), 1U);
    EXPECT_EQ(got, 8);
    umcg::channel_status sent = umcg::channel_status::timeout;
    EXPECT_EQ(select(on_send(a, 9, [&](auto s) { sent = s; }), on_receive(b, take)), 0U);
    EXPECT_EQ(sent, umcg::channel_status::ok);
    EXPECT_EQ(a.receive(), 9);
}

TEST_P(Select, Otherwise) {
    umcg::runtime rt(options());
    umcg::channel<int> none;
    bool ran = false;
    EXPECT_EQ(select(otherwise([&] { ran = true; }), on_receive(none, drop), on_send(none, 1)), 0U);
    EXPECT_TRUE(ran);
    none.close();
    EXPECT_EQ(select(otherwise(), on_receive(none, drop)), 1U);
}

TEST_P(Select, LimitsAndTokens) {
    umcg::runtime rt(options());
    umcg::channel<int> none;
    umcg::wake how = umcg::wake::signalled;
    auto hear = [&](umcg::wake w) { how = w; };
    everywhere(rt, 4, [&](int) {
        umcg::wake end = umcg::wake::signalled;
        EXPECT_EQ(select(on_receive(none, drop), on_limit(1h), on_limit(1ms, [&](auto w) { end = w; })), 2U);
        EXPECT_EQ(end, umcg::wake::timeout);
    });
    umcg::cancel_source one, two;
    auto t = rt.spawn([&] {
        return select(on_limit({1h, one.token()}, hear), on_limit(two.token(), hear),
                      on_send(none, 1));
    });
    two.cancel();
    EXPECT_EQ(t.join(), 1U);
    EXPECT_EQ(how, umcg::wake::cancelled);
    EXPECT_EQ(select(on_limit(one.token()), on_limit(two.token())), 1U);
    // a token with a time
    umcg::cancel_source soon(one.token(), umcg::clock::now() + 1ms);
    EXPECT_EQ(select(on_receive(none, drop), on_limit(soon.token(), hear)), 1U);
    EXPECT_EQ(how, umcg::wake::cancelled);
}

TEST_P(Select, Close) {
    umcg::runtime rt(options());
    umcg::channel<int> a, b;
    umcg::channel_status sent = umcg::channel_status::ok;
    auto t = rt.spawn([&] { return select(on_receive(a, drop), on_send(b, 1, [&](auto s) { sent = s; })); });
    b.close();
    EXPECT_EQ(t.join(), 1U);
    EXPECT_EQ(sent, umcg::channel_status::closed);
    bool nothing = false;
    auto u = rt.spawn([&] { return select(on_receive(a, [&](auto v) { nothing = !v; })); });
    a.close();
    EXPECT_EQ(u.join(), 0U);
    EXPECT_TRUE(nothing);
}

// Selects on both sides, and one channel in two cases of one.
TEST_P(Select, MeetsItsLike) {
    umcg::runtime rt(options());
    umcg::channel<int> a, b;
    const int rounds = scaled(300);
    long sent = 0, received = 0;
    auto sender = rt.spawn([&] {
        for (int r = 1; r <= rounds; r++) {
            select(on_send(a, r), on_send(b, r), on_send(a, r));
            sent += r;
        }
        a.close();
    });
    auto receiver = rt.spawn([&] {
        for (bool open = true; open;)
            select(on_receive(b, [&](std::optional<int> v) { received += v.value_or(0); }),
                   on_receive(a, [&](std::optional<int> v) {
                       received += v.value_or(0);
                       open = v.has_value();
                   }),
                   on_receive(b, [&](std::optional<int> v) { received += v.value_or(0); }));
    });
    sender.join();
    receiver.join();
    EXPECT_EQ(sent, received);
}

// One that is always ready does not keep the other from being taken.
TEST_P(Select, IsFair) {
    umcg::runtime rt(options());
    umcg::channel<int> a(1), b(1);
    int n[2] = {0, 0};
    for (int r = 0; r < 1000; r++) {
        a.send(1, umcg::clock::now());
        b.send(1, umcg::clock::now());
        n[select(on_receive(a, drop), on_receive(b, drop))]++;
    }
    EXPECT_GT(n[0], 0);
    EXPECT_GT(n[1], 0);
}

TEST_P(Select, FunctionMayThrow) {
    umcg::runtime rt(options());
    umcg::channel<int> a(1);
    a.send(1);
    EXPECT_THROW(select(on_receive(a, [](std::optional<int>) { throw std::runtime_error("mine"); })),
                 std::runtime_error);
    EXPECT_EQ(a.send(2, umcg::clock::now()), umcg::channel_status::ok);
}

// Everybody selects over everything, and gives up at any moment: no value is lost or doubled.
TEST_P(Select, AgainstEachOtherAndTime) {
    umcg::runtime rt(options());
    umcg::channel<std::string> a, b(2), c(1);
    umcg::cancel_source source;
    std::atomic<long> sent{0}, received{0};
    const int n = scaled(300);
    auto take = [&](std::optional<std::string> v) {
        if (v) received += std::stol(*v);
    };
    everywhere(rt, 12, [&](int i) {
        for (int r = 1; r <= n; r++) {
            const auto soon = std::chrono::microseconds((i * 7 + r) % 40);
            const std::string text = std::to_string(r);
            if (i < 6) {
                auto gone = [&](umcg::channel_status s) {
                    if (s == umcg::channel_status::ok) sent += r;
                };
                if (r % 2)
                    select(on_send(a, text, gone), on_send(b, text, gone), on_send(c, text, gone),
                           on_limit({soon, source.token()}));
                else if (r % 3)
                    select(on_send(c, text, gone), on_receive(a, take), on_limit(soon));
                else if (a.send(text, soon) == umcg::channel_status::ok)
                    sent += r;
            } else if (r % 2) {
                select(on_receive(c, take), on_receive(b, take), on_receive(a, take),
                       on_limit(soon));
            } else {
                take(b.receive(soon));
            }
        }
    });
    for (auto* left : {&a, &b, &c})
        while (auto v = left->receive(umcg::clock::now())) take(v);
    EXPECT_EQ(sent, received);
}

}  // namespace
