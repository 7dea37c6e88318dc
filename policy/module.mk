# SPDX-License-Identifier: GPL-2.0-only
# Every source of this folder is the library's; lex.l and gram.y make two more.
libpolicy_SRC := policy/addr.c policy/arena.c policy/atom.c policy/block.c policy/chain.c \
		 policy/compile.c policy/define.c policy/diag.c policy/id.c policy/match.c policy/memo.c \
		 policy/oracle.c policy/parse.c policy/portfn.c policy/print.c policy/reach.c policy/recover.c \
		 policy/refuse.c policy/resolve.c policy/root.c policy/rule.c policy/rule_fit.c policy/set.c \
		 policy/setfile.c policy/spans.c policy/sweep.c policy/table.c policy/unit.c policy/utf8.c \
		 policy/words.c
libpolicy_LEX := policy/lex.l
libpolicy_YACC := policy/gram.y
