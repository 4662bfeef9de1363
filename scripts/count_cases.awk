# Reads CTest's LastTest.log and prints "N passed, N failed". A Catch2 program counts with its cases,
# anything else as one, or, where it prints "skipped: WHY", as none. Fails if anything failed, or if there was nothing to count.

function close_test() {
  if (!open) return
  open = 0
  if (skipped && !counted) { print name ": " reason; return }
  if (empty) { print name ": nothing ran"; ok = 0 }
  passed += counted ? case_passed : ok
  failed += case_failed ? case_failed : !ok  # not ok without a failed case: crashed, hung, no Catch2
}

/^[0-9]+\/[0-9]+ Testing: / {
  close_test()
  open = 1; ok = counted = empty = skipped = case_passed = case_failed = 0
  name = $NF
}
/^All tests passed \(/ { counted = 1; case_passed = number_before("test case") }
/^test cases: / {
  counted = 1
  case_passed = number_before("passed") + number_before("failed as expected")
  case_failed = number_before("failed( \\||$)")
}
/^No tests ran/ { empty = 1 }
/^Command: ""$/ { empty = 1 }  # its program is not there; CTest logs it as passed
/^skipped: / { skipped = 1; reason = $0 }
/^Test Passed\.$/ { ok = 1 }

# The number that stands before `word` in this line; 0 if there is none.
function number_before(word) {
  return match($0, "[0-9]+ " word) ? substr($0, RSTART, RLENGTH) + 0 : 0
}

END {
  close_test()
  printf "%d passed, %d failed\n", passed, failed
  exit failed > 0 || passed == 0
}
