# tests_UNIT: cmocka programs in tests/unit; tests_LIVE: cmocka programs in
# tests/live that need root; tests_SCRIPTS: tests/live/*.sh; tests_TOOLS: what
# they run.  test_x_LIBS: policy kern ulsp; test_x_SRC: further sources.
tests_UNIT :=
tests_LIVE :=
tests_TOOLS := try
tests_SCRIPTS := matrix reload kill ulsps members badinput run install

