// SPDX-License-Identifier: MIT
#ifndef EXAMPLES_KV_COMMAND_TABLE_H_
#define EXAMPLES_KV_COMMAND_TABLE_H_

#include <span>

#include "commands.h"

namespace kv {

std::span<const Command> Commands();
// By name, whatever its case; null if there is none.
const Command* FindCommand(std::string_view name);

}  // namespace kv

#endif  // EXAMPLES_KV_COMMAND_TABLE_H_
