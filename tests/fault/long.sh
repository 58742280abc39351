#!/usr/bin/env bash
# The long bars, by hand: each line is one command, and its figures are printed at the
# end of it. Needs root for the power cuts. All of it takes about two hours.
set -uxo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

run() {
    bash tests/run -q -o faulthandler_timeout=0 tests/fault "$@"
}

FAULT_KILLS=2000 run -k case_18_19
FAULT_KILLS=200 run -k schedules_fire_once
FAULT_POINTS=9999 run -k "case_16 or case_17"
FAULT_POINTS=9999 run -k case_28_32_39
FAULT_CRASHES=50 run -k case_24
FAULT_CUTS=200 run -k case_34
FAULT_ROUNDS=50 run -k "twenty or of_ten_resumes"
FAULT_VALUES=100000 run -k values_come_back
FAULT_SEEDS=200 run -k random_change
FAULT_TREES=1000 run -k hostile_trees
bash tests/run -q tests/fault/test_a_journal_bytes.py
.venv/bin/python -m tests.bench.recovery --tail 20
