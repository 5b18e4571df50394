# SPDX-License-Identifier: MIT
"""The data set of the demo and of ./umcg bench kv, under the names that redis-benchmark asks for.
demo_data.py KEYS SIZE | redis-cli --pipe"""

import sys


def requests(keys, size):
    for i in range(keys):
        key, value = f"key:{i:012d}", f"{i:08d}" * (size // 8)
        yield f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n${len(value)}\r\n{value}\r\n"


if __name__ == "__main__":
    sys.stdout.writelines(requests(int(sys.argv[1]), int(sys.argv[2])))
