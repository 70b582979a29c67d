/*
 * symbol_worker - names of addresses in one file, for test_symbols.py
 *
 *     symbol_worker PATH BUILD-ID|- BYTES [PID]
 *
 * Reads offsets, hexadecimal, one a line. For each prints a line "@OFFSET", then a line
 * "FUNCTION<tab>FILE<tab>LINE" for each line that was found; then problems as "! TEXT",
 * "= memory disk debug table none" of the statistics, and "? TEXT", code of no module.
 */
#include "symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_build_id(struct mp_region_module *m, const char *text)
{
    unsigned byte;

    while (m->build_id_bytes < sizeof(m->build_id) && sscanf(text, "%2x", &byte) == 1) {
        m->build_id[m->build_id_bytes++] = (uint8_t)byte;
        text += 2;
    }
}

static void print_end(struct symbols *s)
{
    const struct symbol_line *lines;
    struct symbols_stats stats;
    size_t count;

    for (size_t i = 0; i < symbols_problem_count(s); i++) {
        printf("! %s\n", symbols_problem(s, i));
    }
    if (symbols_rest(s) != NULL) {
        printf("& %s\n", symbols_rest(s));
    }
    symbols_stats(s, &stats);
    printf("= %llu %llu %llu %llu %llu\n", (unsigned long long)stats.memory,
        (unsigned long long)stats.disk, (unsigned long long)stats.debug,
        (unsigned long long)stats.table, (unsigned long long)stats.none);
    count = symbols_find(s, UINT32_MAX, 0, &lines);
    printf("? %zu %s\n", count, lines->function);
}

int main(int argc, char **argv)
{
    struct mp_region_module module = {0};
    struct symbols *s = symbols_create_empty();
    unsigned long long offset;

    if (argc < 4) {
        return 2;
    }
    snprintf(module.path, sizeof(module.path), "%s", argv[1]);
    read_build_id(&module, argv[2]);
    module.bytes = strtoull(argv[3], NULL, 0);
    symbols_add_module(s, &module, argc > 4 ? strtoull(argv[4], NULL, 10) : 0);
    while (scanf("%llx", &offset) == 1) {
        const struct symbol_line *lines;
        size_t count = symbols_find(s, 0, offset, &lines);

        printf("@%llx\n", offset);
        for (size_t i = 0; i < count; i++) {
            printf("%s\t%s\t%u\n", lines[i].function,
                lines[i].file != NULL ? lines[i].file : "", lines[i].line);
        }
    }
    print_end(s);
    symbols_destroy(s);
    return 0;
}
