// SPDX-License-Identifier: MIT
//
// The options of built-in policies: "key=value,key=value".
#ifndef UMCG_POLICIES_OPTIONS_HPP
#define UMCG_POLICIES_OPTIONS_HPP

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include <umcg/policy.h>

namespace umcg::policies {

// Says what is wrong with an option, for init() to return.
inline int bad_option(const umcg_policy& p, std::string_view option, const char* why) {
    char text[160];
    snprintf(text, sizeof(text), "option '%.*s': %s", static_cast<int>(option.size()), option.data(), why);
    p.host->log(&p, UMCG_POLICY_LOG_ERROR, text);
    return -EINVAL;
}

// set(key, value) for each; what it returns, if that is not 0.
template <class F>
int each_option(const umcg_policy& p, F&& set) {
    std::string_view rest = p.options;
    while (!rest.empty()) {
        const size_t end = rest.find(',');
        const std::string_view one = rest.substr(0, end);
        rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
        const size_t is = one.find('=');
        if (is == one.npos) return bad_option(p, one, "is not of the form key=value");
        if (const int err = set(one.substr(0, is), one.substr(is + 1))) return err;
    }
    return 0;
}

// A whole number.
inline bool parse_number(std::string_view text, uint64_t& number) {
    uint64_t n = 0;
    if (text.empty() || text.size() > 18) return false;
    for (char c : text) {
        if (c < '0' || c > '9') return false;
        n = n * 10 + static_cast<uint64_t>(c - '0');
    }
    number = n;
    return true;
}

// "10us", "5ms", "1s", "200ns".
inline bool parse_time(std::string_view text, uint64_t& ns) {
    constexpr std::pair<std::string_view, uint64_t> units[] = {
        {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    for (const auto& [unit, factor] : units) {
        if (!text.ends_with(unit)) continue;
        uint64_t n;
        if (!parse_number(text.substr(0, text.size() - unit.size()), n) || n > 1'000'000'000) continue;
        ns = n * factor;
        return true;
    }
    return false;
}

}  // namespace umcg::policies

#endif
