# Manual pages: those that must be there, and every other page in the folder.
docs_MAN := $(sort docs/man/ulspd.8 docs/man/ulspctl.1 docs/man/ulsp-policy.5 \
	    $(wildcard docs/man/*.[1-9]))
