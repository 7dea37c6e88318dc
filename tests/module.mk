# tests_UNIT: cmocka programs in tests/unit; tests_UNIT_SCRIPTS: tests/unit/*.sh; tests_LIVE: cmocka programs in
# tests/live that need root; tests_SCRIPTS: tests/live/*.sh; tests_TOOLS: what
# they run.  tests_VM: which of all these run in guests on each kernel too, the
# longest first; tests_VM_LONG: in make check-vm only.  test_x_LIBS: policy kern ulsp; test_x_SRC: further sources.
tests_UNIT :=
tests_UNIT_SCRIPTS := model threads
tests_LIVE :=
tests_TOOLS := try answerer slow detour liar uring
tests_VM_LONG := hold hold_sockets hold_faults hold_nested rings isolated_loads isolated_servers isolated_software \
	test_lsm_lives test_lsm_races test_decide_bpf test_kern_life test_kern_packets test_kern_messages \
	test_kern_limit test_ulsp_kernel test_ulsp_programs
tests_SCRIPTS := isolation without_lsm hold hold_sockets hold_faults hold_hostile hold_nested hold_many rings isolated_software \
	isolated_loads isolated_servers matrix reload rates \
	kill ulsps members badinput run install cgroups hostile answers prompt prompt_held


# libulsp, ulsp-log, ulsp-firewall
tests_UNIT += test_format test_ulsp test_ulsp_run test_ulsp_track test_ulsp_verdict test_ulsp_cache test_ulsp_process test_ulsp_threads \
	test_ulsp_sink test_firewall_rules test_firewall_fuzz test_firewall_decisions \
	test_firewall_asking test_prompt test_prompt_fuzz
tests_LIVE += test_ulsp_kernel test_ulsp_losses test_ulsp_programs
test_format_LIBS := ulsp
test_ulsp_LIBS := ulsp
test_ulsp_SRC := tests/unit/ulsp_double.c
test_ulsp_run_LIBS := ulsp
test_ulsp_run_SRC := tests/unit/ulsp_double.c
test_ulsp_track_LIBS := ulsp
test_ulsp_verdict_LIBS := ulsp
test_ulsp_cache_LIBS := ulsp
test_ulsp_process_LIBS := ulsp
test_ulsp_threads_LIBS := ulsp
test_ulsp_sink_SRC := ulsp/sink.c
test_firewall_rules_SRC := ulsp/rules.c ulsp/rules_parse.c ulsp/rules_print.c
test_firewall_fuzz_SRC := tests/fuzz/fuzz_firewall_rules.c ulsp/rules.c ulsp/rules_parse.c ulsp/rules_print.c
firewall_SRC := $(filter-out ulsp/firewall.c ulsp/program.c,$(ulsp-firewall_SRC))
test_firewall_decisions_SRC := $(firewall_SRC)
test_firewall_decisions_LIBS := ulsp
test_firewall_asking_SRC := $(firewall_SRC)
test_firewall_asking_LIBS := ulsp
test_prompt_SRC := $(firewall_SRC)
test_prompt_LIBS := ulsp
test_prompt_fuzz_SRC := tests/fuzz/fuzz_prompt.c ulsp/prompt.c ulsp/escape.c
test_ulsp_kernel_LIBS := ulsp
test_ulsp_kernel_SRC := tests/live/real_ulsp.c tests/live/fake_instance.c
test_ulsp_losses_LIBS := ulsp
test_ulsp_losses_SRC := tests/live/real_ulsp.c tests/live/fake_instance.c
test_ulsp_programs_LIBS := ulsp
test_ulsp_programs_SRC := tests/live/fake_instance.c

# loader's kernel side
tests_KERN := test_kern_deny test_kern_packets test_kern_messages test_kern_life test_kern_limit
tests_LIVE += $(tests_KERN)
$(foreach t,$(tests_KERN),$(eval $(t)_LIBS := kern ulsp)$(eval $(t)_SRC := tests/live/kern_fixture.c))

# the policy language's front end
tests_UNIT += test_policy_spans test_policy_parse test_policy_diag test_policy_print \
	test_policy_golden test_policy_fuzz test_policy_memory test_reader
test_policy_spans_LIBS := policy
test_policy_parse_LIBS := policy
test_policy_parse_SRC := tests/unit/memory_files.c
test_policy_diag_LIBS := policy
test_policy_diag_SRC := tests/unit/memory_files.c
test_policy_print_LIBS := policy
test_policy_print_SRC := tests/unit/memory_files.c tests/unit/policy_same.c
test_policy_golden_LIBS := policy
test_policy_golden_SRC := tests/unit/memory_files.c tests/unit/policy_same.c loader/reader.c
test_policy_memory_LIBS := policy
test_policy_memory_SRC := tests/unit/memory_files.c
test_policy_memory_LDFLAGS := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
test_policy_fuzz_LIBS := policy
test_policy_fuzz_SRC := tests/fuzz/fuzz_policy.c tests/unit/policy_same.c loader/reader.c
test_reader_LIBS := policy
test_reader_SRC := loader/reader.c

# tables: compiler, walker, oracle
tests_UNIT += test_decide test_limit test_compile test_reach test_decide_fuzz
tests_LIVE += test_decide_bpf
test_decide_LIBS := policy
test_decide_SRC := tests/unit/genrules.c
test_compile_LIBS := policy
test_compile_SRC := tests/unit/made_group.c tests/unit/genrules.c
test_reach_LIBS := policy
test_reach_SRC := tests/unit/made_group.c tests/unit/genrules.c
test_decide_fuzz_LIBS := policy
test_decide_fuzz_SRC := tests/fuzz/fuzz_decide.c tests/unit/genrules.c loader/reader.c
test_decide_bpf_LIBS := kern
test_decide_bpf_SRC := tests/unit/genrules.c

# ulspd and ulspctl
tests_UNIT += test_control test_server test_syn test_explain test_diag_json test_flows
tests_SCRIPTS += control faults doctor flows
test_control_SRC := tests/fuzz/fuzz_control.c loader/control.c
test_server_LIBS := kern
test_server_SRC := loader/server.c loader/control.c loader/log.c
test_syn_SRC := loader/syn.c
test_explain_LIBS := kern ulsp
test_explain_SRC := loader/explain.c loader/compiled.c loader/reader.c
test_flows_LIBS := kern
test_flows_SRC := loader/flows.c loader/compiled.c loader/reader.c
test_diag_json_LIBS := policy
test_diag_json_SRC := loader/diag_json.c

# the LSM tier, in guests only: tests/vm/test_x.c
tests_LSM := test_lsm_process test_lsm_object test_lsm_sysv test_lsm_key test_lsm_proc \
	test_lsm_unix test_lsm_socket test_lsm_loopback test_lsm_sigio test_lsm_escape test_lsm_cgroup test_lsm_member \
	test_lsm_guard test_lsm_races test_lsm_lives
tests_VM := isolation test_kern_deny $(filter-out test_lsm_races test_lsm_lives,$(tests_LSM)) doctor
$(foreach t,$(tests_LSM),$(eval $(t)_SRC += tests/vm/lsm_fixture.c loader/lsm_hooks.c))
$(foreach t,escape cgroup member guard races lives,$(eval test_lsm_$(t)_SRC += tests/vm/lsm_attempts.c))
$(foreach t,cgroup member,$(eval test_lsm_$(t)_SRC += tests/vm/lsm_uring.c))
answerer_LIBS := ulsp
slow_LIBS := ulsp
uring_SRC := tests/vm/lsm_uring.c
liar_LIBS := ulsp
$(foreach t,object sysv key,$(eval test_lsm_$(t)_SRC += tests/vm/lsm_channel.c))
$(foreach t,races lives,$(eval test_lsm_$(t)_SRC += tests/vm/lsm_storm.c))

# What the LSM tier's tests ask of the kernel by programs of their own
$(BUILD)/tests/vm/%.bpf.o: tests/vm/%.bpf.c $(GEN)/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -c -o $@ $<
$(GEN)/storage.skel.h: $(BUILD)/tests/vm/storage.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name storage >$@
$(BUILD)/tests/vm/test_lsm_lives.o: $(GEN)/storage.skel.h
