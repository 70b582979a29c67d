/*
 * mappings - /proc/PID/smaps, summed up by what the mappings are
 */
#include "proc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/*
 * The allocator puts its spans where nothing else goes unless it was told to: at a random
 * place between 32 and 80 TiB. Where it names its mappings, names are believed instead.
 */
#define SPANS_LOW   ((uint64_t)32 << 40)
#define SPANS_HIGH  ((uint64_t)80 << 40)
#define SPANS_NAME  "[anon:mpalloc"
#define MAPS_FORMAT "%llx-%llx %7s %llx %x:%x %llu %n"

struct mapping {
    unsigned long long start;
    unsigned long long end;
    char flags[8];
    unsigned long long offset;
    unsigned major;
    unsigned minor;
    unsigned long long inode;
    const char *name;
    uint64_t resident_bytes;
    uint64_t anonymous_bytes;
    uint64_t huge_bytes;
};

/* The first line of a mapping, also of /proc/PID/maps. */
static bool parse_line(char *line, struct mapping *m)
{
    int at = 0;

    memset(m, 0, sizeof(*m));
    if (sscanf(line, MAPS_FORMAT, &m->start, &m->end, m->flags, &m->offset, &m->major,
            &m->minor, &m->inode, &at)
            != 7
        || at == 0) {
        return false;
    }
    m->name = line + at;
    return true;
}

static bool is_file(const struct mapping *m, dev_t device, ino_t inode)
{
    return inode != 0 && m->inode == inode && makedev(m->major, m->minor) == device;
}

static void add_without_file(struct proc_mappings *sum, const struct mapping *m)
{
    uint64_t bytes = m->resident_bytes;

    if (strncmp(m->name, SPANS_NAME, sizeof(SPANS_NAME) - 1) == 0) {
        if (!sum->are_spans_named) { /* so far they went by place */
            sum->anon_bytes += sum->spans_bytes;
            sum->spans_bytes = 0;
            sum->spans_huge_bytes = 0;
        }
        sum->are_spans_named = true;
        sum->spans_bytes += bytes;
        sum->spans_huge_bytes += m->huge_bytes;
    } else if (strcmp(m->name, "[heap]") == 0) {
        sum->brk_bytes += bytes;
    } else if (strcmp(m->name, "[stack]") == 0) {
        sum->stack_bytes += bytes;
    } else if (m->name[0] == '[' && strncmp(m->name, "[anon", 5) != 0) {
        sum->special_bytes += bytes;
    } else if (!sum->are_spans_named && m->name[0] == '\0' && m->start >= SPANS_LOW
               && m->end <= SPANS_HIGH) {
        sum->spans_bytes += bytes;
        sum->spans_huge_bytes += m->huge_bytes;
    } else {
        sum->anon_bytes += bytes;
    }
}

static void add_mapping(
    struct proc_mappings *sum, const struct mapping *m, dev_t device, ino_t inode)
{
    sum->count++;
    sum->resident_bytes += m->resident_bytes;
    if (is_file(m, device, inode)) {
        sum->has_region = true;
        sum->region_bytes += m->resident_bytes;
    } else if (m->inode == 0) {
        add_without_file(sum, m);
    } else if (m->flags[3] == 's') {
        sum->shared_bytes += m->resident_bytes;
    } else {
        uint64_t written = m->anonymous_bytes < m->resident_bytes ? m->anonymous_bytes
                                                                  : m->resident_bytes;

        sum->file_data_bytes += written;
        sum->files_bytes += m->resident_bytes - written;
    }
}

static uint64_t kilobytes(const char *line, const char *name)
{
    size_t n = strlen(name);

    return strncmp(line, name, n) == 0 ? strtoull(line + n, NULL, 10) * 1024 : 0;
}

/* Lines of details begin with a capital letter, those of mappings with a hex digit. */
static bool is_detail(const char *line)
{
    return line[0] >= 'A' && line[0] <= 'Z';
}

int proc_read_mappings(
    uint64_t pid, dev_t device, ino_t inode, struct proc_mappings *ret)
{
    char *text = NULL;
    char *rest = NULL;
    ssize_t n = proc_read_file(pid, "smaps", &text);
    struct mapping m;
    bool has_mapping = false;

    memset(ret, 0, sizeof(*ret));
    if (n <= 0) {
        free(text);
        return n < 0 ? (int)n : -ESRCH; /* empty: it is about to be gone */
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (is_detail(line)) {
            m.resident_bytes += has_mapping ? kilobytes(line, "Rss:") : 0;
            m.anonymous_bytes += has_mapping ? kilobytes(line, "Anonymous:") : 0;
            m.huge_bytes += has_mapping ? kilobytes(line, "AnonHugePages:") : 0;
            continue;
        }
        if (has_mapping) {
            add_mapping(ret, &m, device, inode);
        }
        has_mapping = parse_line(line, &m);
    }
    if (has_mapping) {
        add_mapping(ret, &m, device, inode);
    }
    free(text);
    return 0;
}

int proc_maps_file(uint64_t pid, dev_t device, ino_t inode)
{
    char *text = NULL;
    char *rest = NULL;
    ssize_t n = proc_read_file(pid, "maps", &text);
    bool found = false;

    for (char *line = n > 0 ? strtok_r(text, "\n", &rest) : NULL;
         line != NULL && !found; line = strtok_r(NULL, "\n", &rest)) {
        struct mapping m;

        found = parse_line(line, &m) && is_file(&m, device, inode);
    }
    free(text);
    return n < 0 ? (int)n : n == 0 ? -ESRCH : found;
}
