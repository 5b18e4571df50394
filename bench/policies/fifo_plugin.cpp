// SPDX-License-Identifier: MIT
//
// fifo as a plugin: the same code behind the table of a shared object, and contained by the runtime.
#include "../../scheduler/policies/fifo/fifo.hpp"

UMCG_POLICY_PLUGIN(umcg::policies::fifo)
