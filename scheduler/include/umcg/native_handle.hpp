// SPDX-License-Identifier: MIT
//
// What a task runs on at this moment, for programs that look at libumcg's own records of it: state,
// counts, thread ids (<umcg/umcg.h>).
//
//     #include <umcg/native_handle.hpp>
//     #include <umcg/runtime.hpp>
//
//     int main() {
//         umcg::runtime rt;
//         const umcg::native_handles on = rt.spawn([] { return umcg::native_handle(); }).join();
//         const bool task = on.worker && on.server && on.server_index < rt.servers();
//         return task && !umcg::native_handle().worker ? 0 : 1;     // the caller is no task
//     }
#ifndef UMCG_NATIVE_HANDLE_HPP
#define UMCG_NATIVE_HANDLE_HPP

struct umcg_task;

namespace umcg {

// To be read, never written: the runtime owns them. They stay readable as long as the process lives,
// but a worker's that has ended becomes another's.
struct native_handles {
    const umcg_task* worker = nullptr;  // nullptr: the caller is no task
    const umcg_task* server = nullptr;  // the worker's home, which never changes
    unsigned server_index = 0;          // 0 to runtime::servers() - 1
};

// The calling task's. A fiber may be on another worker, and on another server, after any waiting
// call; between two of them it is not. Never blocks.
native_handles native_handle() noexcept;

}  // namespace umcg

#endif
