// SPDX-License-Identifier: MIT
//
// Errors as values, with a text for people, and the little string help that goes with them.
#ifndef EXAMPLES_KV_STATUS_H_
#define EXAMPLES_KV_STATUS_H_

#include <concepts>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kv {

namespace internal {
inline void Append(std::string* out, std::string_view text) {
    out->append(text);
}
template <std::integral T>
void Append(std::string* out, T number) {
    out->append(std::to_string(number));
}
}  // namespace internal

// Texts and integers, one after the other.
template <typename... Parts>
std::string Cat(const Parts&... parts) {
    std::string out;
    (internal::Append(&out, parts), ...);
    return out;
}

inline bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

class [[nodiscard]] Status {
  public:
    Status() = default;  // good
    static Status Error(std::string message) {
        Status status;
        status.message_ = std::move(message);
        return status;
    }
    // "what: what the errno value means"
    static Status Errno(int error, std::string_view what) {
        return Error(Cat(what, ": ", std::strerror(error)));
    }

    bool ok() const { return !message_; }
    const std::string& message() const { return *message_; }  // of an error
    void IgnoreError() const {}

  private:
    std::optional<std::string> message_;
};

// A T, or why there is none.
template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}          // NOLINT(runtime/explicit)
    Result(Status status) : status_(std::move(status)) {}  // NOLINT(runtime/explicit)

    bool ok() const { return status_.ok(); }
    const Status& status() const { return status_; }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }
    T* operator->() { return &*value_; }

  private:
    Status status_;
    std::optional<T> value_;
};

}  // namespace kv

#endif  // EXAMPLES_KV_STATUS_H_
