// SPDX-License-Identifier: MIT
//
// Memory as x86 shows it: a store waits in its thread's buffer, in order; the thread itself sees it.
#include "vthread.hpp"

namespace explore {

namespace {

constexpr size_t buffer_size = 24;

}  // namespace

void flush_one(vthread& t) {
    const pending_store s = t.buffer.front();
    t.buffer.erase(t.buffer.begin());
    memcpy(s.at, &s.value, s.size);
}

void flush(vthread& t) {
    while (!t.buffer.empty()) flush_one(t);
}

void drain() noexcept {
    if (running) flush(*running);
}

void drain_all() noexcept {
    for (auto& t : threads) flush(*t);
}

void drain(const void* at, size_t size) noexcept {
    const char* first = static_cast<const char*>(at);
    std::erase_if(running->buffer, [&](const pending_store& s) {
        const char* to = static_cast<const char*>(s.at);
        if (to < first || to >= first + size) return false;
        memcpy(s.at, &s.value, s.size);
        return true;
    });
}

uint64_t read(const void* at, size_t size) noexcept {
    uint64_t value = 0;
    if (running)
        for (size_t i = running->buffer.size(); i-- > 0;) {
            const pending_store& s = running->buffer[i];
            if (s.at == at && s.size == size) return s.value;
        }
    memcpy(&value, at, size);
    return value;
}

void write(void* at, size_t size, uint64_t value, bool buffered) noexcept {
    if (running && buffered) {
        if (running->buffer.size() == buffer_size) flush_one(*running);
        running->buffer.push_back({at, size, value});
        return;
    }
    drain();
    memcpy(at, &value, size);
}

}  // namespace explore
