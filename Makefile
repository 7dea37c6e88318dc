# SPDX-License-Identifier: GPL-2.0-only
#
# One make, no recursion: each folder's module.mk lists its sources, this file
# has the rules, everything is built below $(BUILD).
#
#   make V=1                    show commands
#   make SAN=address,undefined  sanitized userland in a tree of its own
#   make BTF=FILE               kernel types from FILE, not from the running kernel

VERSION := 0.1.0
ABI     := 0

PREFIX  ?= /usr/local
DESTDIR ?=
BTF     ?= /sys/kernel/btf/vmlinux
SAN     ?=
V       ?= 0
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool) bpftool)

comma := ,
BUILD := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
GEN   := $(BUILD)/gen
BIN   := $(BUILD)/bin
Q     := $(if $(filter 1,$(V)),,@)
say    = $(if $(filter 1,$(V)),,@printf '  %-6s %s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$(2))';)

OPT      ?= -O2
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CPPFLAGS := -D_GNU_SOURCE -DULSP_VERSION='"$(VERSION)"' -Ibpf -Ipolicy -Iloader -Iulsp -I$(GEN)
CFLAGS   := -std=gnu11 $(OPT) -g -fPIC -fvisibility=hidden -fno-omit-frame-pointer \
	    -fstack-protector-strong $(WARN) \
	    $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all,-D_FORTIFY_SOURCE=2)
LDFLAGS  := -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN))
BPFARCH  := $(subst x86_64,x86,$(subst aarch64,arm64,$(shell uname -m)))
BPFFLAGS := -target bpf -mcpu=v3 -O2 -g -std=gnu11 -D__TARGET_ARCH_$(BPFARCH) \
	    -Wall -Wextra -Werror -Wno-missing-declarations -Wno-unused-parameter \
	    -Wno-address-of-packed-member -Ibpf -Ibpf/lsm -I$(GEN)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: all deps demo check check-unit check-san check-live check-vm vm-fetch vm-shell \
	bench fuzz install uninstall clean format format-check tidy lint-man compile_commands.json

include bpf/module.mk bpf/lsm/module.mk policy/module.mk loader/module.mk ulsp/module.mk
include examples/module.mk tests/module.mk bench/module.mk docs/module.mk

# ---- what is built ----

PROGRAMS := ulspd ulspctl ulsp-log ulsp-firewall
all: $(addprefix $(BIN)/,$(PROGRAMS)) $(BUILD)/lib/libulsp.so $(BUILD)/lib/libulsp.a \
     $(BUILD)/lib/pkgconfig/ulsp.pc

# A changed flag rebuilds what it was used for.
FLAGS_NOW := $(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(CLANG) $(BPFFLAGS) $(BTF)
ifneq ($(FLAGS_NOW),$(file <$(BUILD)/flags))
$(shell mkdir -p $(BUILD))
$(file >$(BUILD)/flags,$(FLAGS_NOW))
endif

objs = $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(GEN)/%,$(1))) \
       $(patsubst $(GEN)/%.c,$(BUILD)/gen-o/%.o,$(filter $(GEN)/%,$(1)))

libpolicy_SRC += $(GEN)/policy_gram.c $(GEN)/policy_lex.c
LIBPOLICY := $(BUILD)/lib/libpolicy.a
LIBKERN   := $(BUILD)/lib/libkern.a
LIBULSP   := $(BUILD)/lib/libulsp.a

$(LIBPOLICY): $(call objs,$(libpolicy_SRC))
$(LIBKERN): $(call objs,$(kern_SRC))
$(LIBULSP): $(call objs,$(libulsp_SRC))
$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/lib/libulsp.so: $(BUILD)/lib/libulsp.so.$(ABI)
	$(Q)ln -sf libulsp.so.$(ABI) $@
$(BUILD)/lib/libulsp.so.$(ABI): $(call objs,$(libulsp_SRC)) ulsp/libulsp.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,libulsp.so.$(ABI) \
	  -Wl,--version-script=ulsp/libulsp.map -o $@ $(filter %.o,$^) $(libulsp_LIBS)

$(BUILD)/lib/pkgconfig/ulsp.pc: ulsp/ulsp.pc.in $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< >$@

$(BIN)/ulspd: $(call objs,$(ulspd_SRC) $(loader_common_SRC)) $(LIBKERN) $(LIBPOLICY) $(LIBULSP)
$(BIN)/ulspctl: $(call objs,$(ulspctl_SRC) $(loader_common_SRC)) $(LIBKERN) $(LIBPOLICY) $(LIBULSP)
$(BIN)/ulspd $(BIN)/ulspctl: LIBS := -lbpf -lelf -lz -ljson-c -lsystemd -lpthread
$(BIN)/ulsp-log: $(call objs,$(ulsp-log_SRC)) $(LIBULSP)
$(BIN)/ulsp-firewall: $(call objs,$(ulsp-firewall_SRC)) $(LIBULSP)
$(BIN)/ulsp-log: LIBS := $(libulsp_LIBS) -lsystemd
$(BIN)/ulsp-firewall: LIBS := $(libulsp_LIBS) -ljson-c
$(BIN)/%:
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

# ---- compiling ----

$(BUILD)/%.o: %.c $(BUILD)/flags | generated
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
# flex and bison write code that our warnings are not meant for
$(BUILD)/gen-o/%.o: $(GEN)/%.c $(BUILD)/flags | generated
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -Wmissing-prototypes -Wshadow,$(CFLAGS)) \
	  -Wno-unused-function -Wno-sign-compare -Wno-unused-parameter -MMD -MP -c -o $@ $<

.PHONY: generated
generated: $(GEN)/policy_gram.h $(GEN)/policy_lex.h $(GEN)/ulsp.skel.h $(GEN)/ulsp_lsm.skel.h
$(GEN)/policy_gram.c $(GEN)/policy_gram.h &: policy/gram.y
	@mkdir -p $(GEN)
	$(call say,BISON,$<)
	$(Q)bison -Wall -Werror -o $(GEN)/policy_gram.c --header=$(GEN)/policy_gram.h $<
$(GEN)/policy_lex.c $(GEN)/policy_lex.h &: policy/lex.l
	@mkdir -p $(GEN)
	$(call say,FLEX,$<)
	$(Q)flex -o $(GEN)/policy_lex.c --header-file=$(GEN)/policy_lex.h $<

$(GEN)/vmlinux.h: $(BUILD)/flags
	@mkdir -p $(GEN)
	$(call say,BTF,$@)
	$(Q)test -r $(BTF) || { echo "no kernel types at $(BTF): use a kernel with CONFIG_DEBUG_INFO_BTF, or BTF=FILE" >&2; exit 1; }
	$(Q)$(BPFTOOL) btf dump file $(BTF) format c >$@
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(GEN)/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/bpf/ulsp.o: $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(bpf_SRC))
	$(call say,BPFLD,$@)
	$(Q)$(BPFTOOL) gen object $@ $^
$(GEN)/ulsp.skel.h: $(BUILD)/bpf/ulsp.o
	$(Q)$(BPFTOOL) gen skeleton $< name ulsp_bpf >$@
$(BUILD)/bpf/ulsp_lsm.o: $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(lsm_SRC))
	$(call say,BPFLD,$@)
	$(Q)$(BPFTOOL) gen object $@ $^
$(GEN)/ulsp_lsm.skel.h: $(BUILD)/bpf/ulsp_lsm.o
	$(Q)$(BPFTOOL) gen skeleton $< name ulsp_lsm >$@

# ---- dependencies ----

deps:
	$(Q)tests/deps.sh

# ---- tests ----

# test_x: cmocka program from tests/unit or tests/live; test_x_LIBS picks archives.
LIBS_policy := $(LIBPOLICY)
LIBS_kern   := $(LIBKERN) $(LIBPOLICY)
LIBS_ulsp   := $(LIBULSP)
define test_rules
$(BUILD)/tests/$(1): $$(call objs,$(firstword $(wildcard tests/unit/$(1).c tests/live/$(1).c tests/vm/$(1).c)) $$($(1)_SRC)) \
    $$(foreach l,$$($(1)_LIBS),$$(LIBS_$$(l)))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) $$($(1)_LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) -lcmocka -lbpf -lelf -lz -ljson-c -lsystemd
endef
$(foreach t,$(tests_UNIT) $(tests_LIVE) $(tests_LSM),$(eval $(call test_rules,$(t))))
define tool_rules
$(BUILD)/tests/$(1): $$(call objs,tests/tools/$(1).c $$($(1)_SRC)) $$(foreach l,$$($(1)_LIBS),$$(LIBS_$$(l)))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) -lbpf -lelf -lz -ljson-c -lsystemd -lpthread
endef
$(foreach t,$(tests_TOOLS),$(eval $(call tool_rules,$(t))))

$(foreach b,$(bench_PROGRAMS),$(eval $(call bench_rules,$(b))))
bench-bins: $(addprefix $(BUILD)/bench/,$(bench_PROGRAMS) $(addsuffix .bpf.o,$(bench_BPF))) \
	    $(addprefix $(BUILD)/tests/,$(tests_TOOLS))

UNIT_BINS := $(addprefix $(BUILD)/tests/,$(tests_UNIT))
LIVE_BINS := $(addprefix $(BUILD)/tests/,$(tests_LIVE))
LSM_BINS  := $(addprefix $(BUILD)/tests/,$(tests_LSM))
TOOL_BINS := $(addprefix $(BUILD)/tests/,$(tests_TOOLS))

.PHONY: build-tests
build-tests: all $(UNIT_BINS) $(LIVE_BINS) $(LSM_BINS) $(TOOL_BINS)

# Everything that this machine can run: units, units under sanitizers, live
# tests on the running kernel, the quick ones of them on other kernels in guests.
check: deps
	$(Q)$(MAKE) --no-print-directory build-tests
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined san-bins
	$(Q)BUILD=$(BUILD) tests/run.sh all
check-unit: build-tests
	$(Q)BUILD=$(BUILD) tests/run.sh unit
check-live: build-tests
	$(Q)BUILD=$(BUILD) tests/run.sh live
check-san:
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined san-bins
	$(Q)BUILD=$(BUILD) tests/run.sh san
# In guests on Debian's kernels, without root; KERNELS picks from these.
KERNELS ?= bookworm trixie sid
KERNEL  ?= trixie
check-vm: build-tests
	$(Q)BUILD=$(BUILD) KERNELS="$(KERNELS)" tests/run.sh vm
vm-fetch:
	$(Q)tests/vm/kernel.sh fetch $(KERNELS)
vm-shell: build-tests
	$(Q)tests/vm/vm.sh -k $(KERNEL) -B $(BUILD) -i
.PHONY: san-bins
san-bins: $(UNIT_BINS)

bench: all
	$(Q)$(MAKE) --no-print-directory bench-bins
	$(Q)BUILD=$(BUILD) bench/run.sh
	$(Q)BUILD=$(BUILD) bench/ask.sh
	$(Q)BUILD=$(BUILD) bench/rings.sh

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) examples/demo.sh

# Coverage-guided, needs clang's runtime (libclang-rt-14-dev); FUZZ_SECONDS each.
FUZZ_SECONDS ?= 60
fuzz: generated
	$(Q)BUILD=$(BUILD) CLANG=$(CLANG) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh

# ---- installing ----

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	  $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/systemd/system \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(BIN)/ulspctl $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(BIN)/ulspd $(BIN)/ulsp-log $(BIN)/ulsp-firewall $(DESTDIR)$(PREFIX)/sbin/
	install -m 644 ulsp/ulsp.h $(DESTDIR)$(PREFIX)/include/
	install -m 755 $(BUILD)/lib/libulsp.so.$(ABI) $(DESTDIR)$(PREFIX)/lib/
	ln -sf libulsp.so.$(ABI) $(DESTDIR)$(PREFIX)/lib/libulsp.so
	install -m 644 $(LIBULSP) $(DESTDIR)$(PREFIX)/lib/
	install -m 644 $(BUILD)/lib/pkgconfig/ulsp.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/
	sed 's|@PREFIX@|$(PREFIX)|g' loader/ulspd.service.in >$(DESTDIR)$(PREFIX)/lib/systemd/system/ulspd.service
	install -m 644 loader/completion/ulspctl loader/completion/ulspd ulsp/completion/ulsp-firewall \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/
	for m in $(docs_MAN); do \
	  d=$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}; install -d $$d && install -m 644 $$m $$d/ || exit 1; done

# ---- keeping house ----

ALL_C = $(filter-out $(GEN)/%,$(shell git ls-files '*.c' '*.h'))
format:
	$(Q)clang-format -i $(ALL_C)
format-check:
	$(Q)clang-format --dry-run -Werror $(ALL_C)
tidy: generated compile_commands.json
	$(Q)clang-tidy -p . --quiet $(filter policy/%.c loader/%.c ulsp/%.c,$(ALL_C))
lint-man:
	$(Q)mandoc -Tlint -Wwarning $(docs_MAN)
compile_commands.json:
	$(Q){ echo '['; sep=; for f in $(filter-out bpf/%.c %.bpf.c,$(filter %.c,$(ALL_C))); do \
	  printf '%s{"directory":"%s","file":"%s","command":"%s"}' "$$sep" "$(CURDIR)" "$$f" \
	  '$(CC) $(subst ",\\\",$(subst ',,$(CPPFLAGS))) $(CFLAGS) -c '"$$f"; sep=','; done; echo ']'; } >$@
clean:
	$(Q)rm -rf build compile_commands.json

-include $(shell test -d $(BUILD) && find $(BUILD) -name '*.d')

.PHONY: list-unit list-unit-scripts list-live list-scripts list-vm list-vm-long
list-unit:
	@echo $(tests_UNIT)
list-unit-scripts:
	@echo $(tests_UNIT_SCRIPTS)
list-live:
	@echo $(tests_LIVE)
list-scripts:
	@echo $(tests_SCRIPTS)
list-vm:
	@echo $(tests_VM)
list-vm-long:
	@echo $(tests_VM_LONG)
