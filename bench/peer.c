/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attach a peer's programs to a cgroup until standard input ends.
 *
 *   peer OBJECT empty|lpm CGROUP [PREFIXES]     prints "ready" and the load time
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int fill(struct bpf_object *o, const char *path)
{
	int fd = bpf_map__fd(bpf_object__find_map_by_name(o, "prefixes")), err = 0;
	FILE *f = fopen(path, "r");
	char line[128];

	if (!f)
		return -1;
	while (!err && fgets(line, sizeof(line), f)) {
		struct {
			uint32_t bits, addr_be;
		} k = {.bits = 32};
		uint32_t one = 1;
		char *slash = strchr(line, '/');

		line[strcspn(line, "\n")] = 0;
		if (slash) {
			*slash = 0;
			k.bits = strtoul(slash + 1, NULL, 10);
		}
		if (inet_pton(AF_INET, line, &k.addr_be) == 1)
			err = bpf_map_update_elem(fd, &k, &one, BPF_ANY);
	}
	fclose(f);
	return err;
}

int main(int argc, char **argv)
{
	struct bpf_object *o;
	struct bpf_program *p;
	struct timespec a, b;
	char c;
	int cg;

	if (argc < 4) {
		fprintf(stderr, "usage: peer OBJECT empty|lpm CGROUP [PREFIXES]\n");
		return 2;
	}
	cg = open(argv[3], O_RDONLY | O_DIRECTORY);
	o = bpf_object__open_file(argv[1], NULL);
	if (cg < 0 || !o) {
		perror("peer");
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	bpf_object__for_each_program(p, o) bpf_program__set_autoload(
		p, !strncmp(bpf_program__name(p), argv[2], strlen(argv[2])));
	if (bpf_object__load(o) || (argc > 4 && fill(o, argv[4]))) {
		perror("peer: load");
		return 1;
	}
	bpf_object__for_each_program(p, o) if (bpf_program__autoload(p) &&
					       !bpf_program__attach_cgroup(p, cg))
	{
		perror("peer: attach");
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("ready %.1f ms\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
