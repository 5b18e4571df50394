// SPDX-License-Identifier: MIT
//
// Operations of umcg/io.hpp that are submitted once and complete many times: connections of a
// listening socket, and what comes on a connected one. For servers with many clients: no submission
// per message, and a client from whom nothing comes has no buffer (options::receive_buffers).
//
//     #include <umcg/io.hpp>
//     #include <umcg/multishot.hpp>
//     #include <umcg/runtime.hpp>
//     #include <sys/socket.h>
//     #include <string>
//
//     int main() {
//         umcg::options how;
//         how.receive_buffers = 16;
//         umcg::runtime rt(how);
//         int pair[2];
//         if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
//         auto all = rt.spawn([&] {
//             umcg::io::receiver in(pair[1]);
//             std::string text;
//             const char* data;
//             for (ssize_t n; (n = in.next(&data)) > 0;)
//                 text.append(data, static_cast<size_t>(n));
//             return text;
//         });
//         for (const char* word : {"one ", "two ", "three"})
//             umcg::io::send(pair[0], word, std::string(word).size(), 0);
//         umcg::io::close(pair[0]);
//         return all.join() == "one two three" ? 0 : 1;
//     }
#ifndef UMCG_MULTISHOT_HPP
#define UMCG_MULTISHOT_HPP

#include <sys/types.h>

#include <memory>
#include <umcg/limit.hpp>

// Errors are negative numbers, limits as in umcg/io.hpp; the end of a limit takes nothing away: what
// comes later is what the next call returns. A time that has passed makes a try, which costs more
// than to wait: the operation is ended, and begun again by the next call that may wait.
//
// The operation belongs to the server on which the task was that began it, and goes on there when the
// task moves. On plain threads, and where io_uring, the operation (Linux 6.0) or buffers are not to be
// had, each call is one of umcg/io.hpp's.
//
// One task or thread at a time may use an object; not beyond the runtime's end. Destructors ask for
// the operation's end and wait until the kernel has let go: they block the task.
namespace umcg::detail {
class accept_series;
class receive_series;
}  // namespace umcg::detail

namespace umcg::io {

class acceptor {
  public:
    // Of a listening socket, which must stay open for as long as this object. std::bad_alloc.
    explicit acceptor(int fd);
    // Closes what has connected and was not taken.
    ~acceptor();

    // A connection's descriptor (close-on-exec), or the error; after it the call can be made again.
    // Connections are accepted ahead, some hundreds at most (64, and what the ring had on its way
    // when there were so many): a limit on clients is one on next() no longer, and another who
    // accepts on the same socket gets what is left. Blocks the task.
    int next(const limit& until = {});

  private:
    std::unique_ptr<detail::accept_series> series_;
};

class receiver {
  public:
    // Of a connected socket, which must stay open for as long as this object; nobody else receives
    // from it meanwhile. std::bad_alloc.
    explicit receiver(int fd);
    // What has been received and was not taken is lost.
    ~receiver();

    // The next bytes of the stream, as many as were there or as fit into a buffer; 0: its end;
    // -ENOMEM, or another error. `*data`: where they are, until the next call or the end of this
    // object. Up to four buffers are filled ahead. When the server's buffers are all in use, and for
    // a try, it receives into one of its own, of the same size: it waits for no other receiver.
    // Blocks the task; allocates at such a time only.
    ssize_t next(const char** data, const limit& until = {});

  private:
    std::unique_ptr<detail::receive_series> series_;
};

}  // namespace umcg::io

#endif
