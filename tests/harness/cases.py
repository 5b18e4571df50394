# SPDX-License-Identifier: MIT
"""A test program's output, case by case, as `RESULT <program>:<case> pass|fail|skip [reason]`."""

import re

SKIP = 77
CASE = re.compile(r"\[ *(RUN|OK|FAILED|SKIPPED) *\] ([^ ,]+)")

# kselftest's harness: a comment when a case starts, TAP when it ends
TAP_RUN = re.compile(r"#\s+RUN\s+(\S+) \.\.\.")
TAP_END = re.compile(r"(not )?ok \d+ (\S+)(?:\s+# SKIP\s*(.*))?")


def result(name, verdict, reason=""):
    print(f"RESULT {name} {verdict} {reason}".rstrip(), flush=True)


class Cases:
    """Follows GoogleTest's or kselftest's output; a program without either is one case."""

    def __init__(self, program):
        self.program, self.running, self.last = program, None, ""
        self.verdicts = []

    def line(self, text):
        if m := CASE.match(text):
            word, case = m[1], m[2]
            if word == "RUN":
                self.running, self.reason = case, ""
            elif case == self.running:
                self.verdicts.append((case, {"OK": "pass", "FAILED": "fail"}.get(word, "skip"), self.reason))
                self.running = None
        elif m := TAP_RUN.match(text):
            self.running, self.reason = m[1], ""
        elif m := TAP_END.match(text):
            verdict = "fail" if m[1] else "pass" if m[3] is None else "skip"
            self.verdicts.append((m[2], verdict, m[3] or self.reason))
            self.running = None
        elif self.running and text.strip() and not re.search(r": (Skipped|Failure)$", text):
            # the first line a failed or skipped case says about itself
            self.reason = self.reason or text.strip()
        if text.strip():
            self.last = text.strip()

    def end(self, code, late):
        """True: nothing has failed."""
        how = "deadline passed" if late else f"signal {-code}" if code < 0 else f"exit code {code}"
        if self.running:
            self.verdicts.append((self.running, "fail", how))
        if not self.verdicts:
            self.verdicts.append(("", "skip", self.last) if code == SKIP else ("", "fail", how) if code else ("", "pass", ""))
        elif code not in (0, SKIP) and all(v != "fail" for _, v, _ in self.verdicts):
            self.verdicts.append(("", "fail", how))
        for case, verdict, reason in self.verdicts:
            name = f"{self.program}:{case}" if case else self.program
            result(name, verdict, "" if verdict == "pass" else reason)
        return all(v != "fail" for _, v, _ in self.verdicts)
