# bench_PROGRAMS: one source each; bench_X_LIBS as in tests
bench_PROGRAMS := ops peer
bench_BPF := peer

bench_PROGRAMS += decide
bench_BPF += decide
bench_decide_LIBS := policy
bench_PROGRAMS += ring
bench_ring_LIBS := kern ulsp
bench_PROGRAMS += ask
bench_ask_SRC := bench/ask_peers.c
bench_ask_LIBS := ulsp
# in guests only: lsm.sh
bench_PROGRAMS += lsm
bench_lsm_SRC := tests/vm/lsm_fixture.c loader/lsm_hooks.c
bench_lsm_LDLIBS := -lcmocka

define bench_rules
$(BUILD)/bench/$(1): $$(call objs,bench/$(1).c $$(bench_$(1)_SRC)) $$(foreach l,$$(bench_$(1)_LIBS),$$(LIBS_$$(l)))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) -lbpf -lelf -lz -ljson-c -lpthread $$(bench_$(1)_LDLIBS)
endef
$(BUILD)/bench/%.bpf.o: bench/%.bpf.c $(GEN)/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -c -o $@ $<
.PHONY: bench-bins
