# SPDX-License-Identifier: GPL-2.0-only
# Every source of this folder is the library's; lex.l and gram.y are generated from.
libpolicy_SRC := $(sort $(wildcard policy/*.c))
libpolicy_LEX := policy/lex.l
libpolicy_YACC := policy/gram.y
