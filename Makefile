# SPDX-License-Identifier: GPL-2.0-only
# One make, no recursion: each folder's module.mk lists its sources, this file
# has the rules.  Everything is built below $(BUILD).
#   make SAN=address,undefined   sanitized userland in its own tree
#   make V=1                     show commands
#   make BTF=FILE                take kernel types from FILE instead of the running kernel

PREFIX  ?= /usr/local
DESTDIR ?=
BTF     ?= /sys/kernel/btf/vmlinux
SAN     ?=
V       ?= 0
CC      ?= cc
CLANG   ?= clang
BPFTOOL ?= bpftool
VERSION := 0.1.0

BUILD := build$(if $(SAN),/san-$(subst $(empty) ,-,$(subst $(comma),-,$(SAN))))
comma := ,
Q     := $(if $(filter 1,$(V)),,@)
say    = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$(2))';)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
