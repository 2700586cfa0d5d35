/* The peer of the sampling benchmark: the least that any program has to do.
 *
 * Reads paths from standard input, three for each container (CPU time, memory in use, memory.stat), keeps all of them
 * open, and once a second reads each, looks for its number, and computes rates. Prints one line a second.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 3 * 8192, SIZE = 4096 };

static int descriptors[FILES];
static unsigned long long used_before[FILES];

static unsigned long long number(int fd, const char *key) {
    char text[SIZE];
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    if (length <= 0)
        return 0;
    text[length] = 0;
    const char *at = text;
    if (key) {
        at = strstr(text, key);
        if (!at)
            return 0;
        at += strlen(key);
    }
    return strtoull(at, NULL, 10);
}

int main(int count_of_arguments, char **arguments) {
    int v1 = count_of_arguments > 1 && strcmp(arguments[1], "v1") == 0;
    const char *cpu_key = v1 ? NULL : "usage_usec ";
    const char *stat_key = v1 ? "total_inactive_file " : "\ninactive_file ";
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    char path[SIZE];
    int files = 0;
    while (files < FILES && fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        descriptors[files] = open(path, O_RDONLY | O_CLOEXEC);
        if (descriptors[files++] < 0) {
            perror(path);
            return 1;
        }
    }
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (;;) {
        double cores = 0, working_set = 0;
        for (int file = 0; file + 2 < files; file += 3) {
            unsigned long long used = number(descriptors[file], cpu_key);
            unsigned long long usage = number(descriptors[file + 1], NULL);
            unsigned long long inactive = number(descriptors[file + 2], stat_key);
            cores += (double)(used - used_before[file]) / (v1 ? 1e9 : 1e6);
            used_before[file] = used;
            working_set += usage > inactive ? (double)(usage - inactive) : 0;
        }
        printf("%d containers: %.3f cores, %.0f bytes\n", files / 3, cores, working_set);
        fflush(stdout);
        due.tv_sec += 1;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}
