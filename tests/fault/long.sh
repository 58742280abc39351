#!/usr/bin/env bash
# The long bars, by hand: each line is one command, and its figures are printed at the
# end of it. Needs root for the power cuts.
set -uxo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

FAULT_KILLS=2000 bash tests/run tests/fault -q -o faulthandler_timeout=0 -k case_18_19
FAULT_POINTS=9999 bash tests/run tests/fault -q -o faulthandler_timeout=0 -k "case_16 or case_17"
FAULT_POINTS=9999 bash tests/run tests/fault -q -o faulthandler_timeout=0 -k case_28_32_39
FAULT_CRASHES=50 bash tests/run tests/fault -q -o faulthandler_timeout=0 -k case_24
FAULT_CUTS=200 bash tests/run tests/fault -q -o faulthandler_timeout=0 -k case_34
