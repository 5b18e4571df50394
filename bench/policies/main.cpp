// SPDX-License-Identifier: MIT
//
// Our side of `./umcg bench policies`; what it prints are lines of "what<TAB>figure".
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "cases.hpp"
#include "scan.h"

namespace {

int usage() {
    fputs("usage: policies-bench compiled POLICY N | table POLICY[:OPTIONS]|FILE.so N\n"
          "       policies-bench cpu|alone SCHEDULE RESULT | scan SCHEDULE RESULT DATA RECORDS\n"
          "       policies-bench stops N\n"
          "       policies-bench data DATA | evict DATA | probe DATA RECORDS\n"
          "       policies-bench shares|shares-simulator POLICY[:OPTIONS] SECONDS WEIGHT/GROUP...\n",
          stderr);
    return 2;
}

// How long a scan takes that nothing else disturbs: ns of each of a few, of records at the end of the data.
void probe(const char* path, int records) {
    scan_data d;
    scan_open(&d, path);
    const int last = (SCAN_RECORDS - records - 1) / records;
    for (int i = 0; i < 20; i++) {
        const int64_t before = load_now();
        scan(&d, last - i, records);
        printf("scan_ns\t%" PRId64 "\n", load_now() - before);
    }
}

int run(int argc, char** argv) {
    const char* what = argc > 1 ? argv[1] : "";
    const auto is = [&](const char* name, int n) { return !strcmp(what, name) && argc == n; };
    if (is("compiled", 4)) return call_compiled(argv[2], atol(argv[3])), 0;
    if (is("table", 4)) return call_table(argv[2], atol(argv[3])), 0;
    if (is("cpu", 4)) return serve(argv[2], argv[3], nullptr, 0), 0;
    if (is("stops", 3) && atoi(argv[2]) > 0) return stops(atoi(argv[2])), 0;
    if (is("alone", 4)) return serve_alone(argv[2], argv[3]), 0;
    if (is("scan", 6)) return serve(argv[2], argv[3], argv[4], atoi(argv[5])), 0;
    if (is("data", 3)) return scan_make(argv[2]), 0;
    if (is("evict", 3)) return printf("in_memory\t%.4f\n", scan_evict(argv[2])), 0;
    if (is("probe", 4)) return probe(argv[2], atoi(argv[3])), 0;
    if (!strcmp(what, "shares") && argc > 4) return shares_runtime(argv[2], atof(argv[3]), argc - 4, argv + 4), 0;
    if (!strcmp(what, "shares-simulator") && argc > 4)
        return shares_simulator(argv[2], atof(argv[3]), argc - 4, argv + 4), 0;
    return usage();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {
        fprintf(stderr, "policies-bench: %s\n", e.what());
        return 1;
    }
}
