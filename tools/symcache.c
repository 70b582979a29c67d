#include "symcache.h"

#include "guest.h"
#include "must.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/*
 * A line "mpalloc symbols 1 BYTES CRC32", then that many bytes. Texts have numbers from 1 on,
 * in the order of their lines "=TEXT", which stand before their first use. An entry is a line
 * "@OFFSET COUNT debug|table", then COUNT lines "FUNCTION FILE LINE", of which the first two
 * are numbers of texts; FILE is 0 when it is not known.
 */
#define HEADER "mpalloc symbols 1 %zu %08lx\n"

enum {
    HEADER_BYTES = 64,
    FILE_BYTES_MAX = 8 << 20,
    FOLDER_BYTES_MAX = 64 << 20,
};

/* ---- where ---- */

/* Not of others: what root writes in the folder of a user would stand in the user's way. */
static bool is_ours(const char *path, mode_t unwanted)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid()
           && (st.st_mode & unwanted) == 0;
}

static bool make_folder(const char *path, mode_t unwanted)
{
    return (mkdir(path, 0700) == 0 || errno == EEXIST) && is_ours(path, unwanted);
}

/* The folder, made if need be; false: there is to be none. */
static bool find_folder(char *ret, size_t size)
{
    static const char *const below[] = {"/mpalloc", "/symbols"};
    const char *wanted = getenv("MPALLOC_SYMBOL_CACHE");
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int n;

    if (wanted != NULL && strcmp(wanted, "off") == 0) {
        return false;
    }
    if (cache != NULL && cache[0] == '/') {
        n = snprintf(ret, size, "%s", cache);
    } else if (home != NULL && home[0] == '/' && is_ours(home, 0)) {
        n = snprintf(ret, size, "%s/.cache", home);
    } else {
        return false;
    }
    if (n < 0 || (size_t)n + 64 > size || !make_folder(ret, 0)) {
        return false;
    }
    for (unsigned i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
        strcat(ret, below[i]);
        if (!make_folder(ret, S_IWGRP | S_IWOTH)) {
            return false;
        }
    }
    return true;
}

enum { ID_BYTES = 2 * MP_REGION_BUILD_ID_BYTES + 1 };

/* A build id of less than 8 bytes may well be that of another file, too. */
static bool make_id(const struct mp_region_module *m, char ret[ID_BYTES])
{
    if (m->build_id_bytes < 8 || m->build_id_bytes > MP_REGION_BUILD_ID_BYTES) {
        return false;
    }
    for (uint64_t i = 0; i < m->build_id_bytes; i++) {
        sprintf(ret + 2 * i, "%02x", m->build_id[i]);
    }
    return true;
}

/* Whether names may be kept on disk at all. */
static bool is_used(void)
{
    const struct guest *g = guest_get();

    return g == NULL || (!g->is_uncached && !g->is_nameless);
}

static bool find_file(const char *id, char folder[PATH_MAX], char *ret, size_t size)
{
    return is_used() && find_folder(folder, PATH_MAX)
           && snprintf(ret, size, "%s/%s", folder, id) < (int)size;
}

/* ---- in memory ---- */

/* What a file would have after its header. All under `lock`. */
struct kept {
    struct kept *next; /* used less recently */
    char id[ID_BYTES];
    size_t bytes;
    char text[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *kept;
static size_t kept_bytes;
static size_t kept_most; /* 0: nothing is kept */

void symcache_keep(size_t bytes)
{
    kept_most = bytes;
}

/* Takes it out of the list; NULL: it is not in there. */
static struct kept *take_kept_locked(const char *id)
{
    struct kept **at = &kept;
    struct kept *found;

    while (*at != NULL && strcmp((*at)->id, id) != 0) {
        at = &(*at)->next;
    }
    found = *at;
    if (found != NULL) {
        *at = found->next;
        kept_bytes -= found->bytes;
    }
    return found;
}

static void put_kept_locked(struct kept *k)
{
    struct kept **at = &kept;
    size_t bytes = 0;

    k->next = kept;
    kept = k;
    kept_bytes += k->bytes;
    for (; *at != NULL && bytes + (*at)->bytes <= kept_most; at = &(*at)->next) {
        bytes += (*at)->bytes;
    }
    while (*at != NULL) {
        struct kept *old = *at;

        *at = old->next;
        kept_bytes -= old->bytes;
        free(old);
    }
}

static void keep_text(const char *id, const char *text)
{
    size_t bytes = sizeof(struct kept) + strlen(text) + 1;
    struct kept *k;

    if (kept_most == 0) {
        return;
    }
    k = must(malloc(bytes));
    k->bytes = bytes;
    strcpy(k->id, id);
    strcpy(k->text, text);
    pthread_mutex_lock(&lock);
    free(take_kept_locked(id));
    put_kept_locked(k);
    pthread_mutex_unlock(&lock);
}

/* A copy, for free(); NULL: nothing is kept of it. */
static char *find_kept(const char *id)
{
    char *text = NULL;
    struct kept *k;

    pthread_mutex_lock(&lock);
    k = take_kept_locked(id);
    if (k != NULL) {
        text = strdup(k->text);
        put_kept_locked(k);
    }
    pthread_mutex_unlock(&lock);
    return k != NULL ? must(text) : NULL; /* no lock is held where memory ends */
}

/* ---- reading ---- */

struct symcache_entry *symcache_new(uint64_t offset, uint32_t count)
{
    struct symcache_entry *e =
        must(calloc(1, sizeof(*e) + count * sizeof(e->lines[0])));

    e->offset = offset;
    e->count = count;
    return e;
}

/* The whole file, ended by a NUL; NULL: there is none that could be ours. */
static char *read_file(const char *path, size_t *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    char *text = NULL;
    size_t at = 0;
    ssize_t n = 1;

    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid()
        && st.st_size > 0 && st.st_size <= FILE_BYTES_MAX) {
        text = must(malloc((size_t)st.st_size + 1));
        while (at < (size_t)st.st_size && n > 0) {
            n = read(fd, text + at, (size_t)st.st_size - at);
            at += n > 0 ? (size_t)n : 0;
        }
        text[at] = '\0';
        futimens(fd, NULL); /* used: others go first */
    }
    close(fd);
    *ret_bytes = at;
    return text;
}

/* What is behind the header; NULL: it is not what was written. */
static char *check_header(char *text, size_t bytes)
{
    char wanted[HEADER_BYTES];
    char *body = memchr(text, '\n', bytes < HEADER_BYTES ? bytes : HEADER_BYTES);
    size_t left;

    if (body == NULL) {
        return NULL;
    }
    body++;
    left = bytes - (size_t)(body - text);
    snprintf(wanted, sizeof(wanted), HEADER, left,
        crc32(crc32(0, NULL, 0), (const Bytef *)body, (uInt)left));
    return strncmp(text, wanted, strlen(wanted)) == 0 && strlen(text) == bytes ? body
                                                                               : NULL;
}

/* Whether it could have come from mp_text_escape, which lengthens what must not be printed. */
static bool is_printable(const char *text)
{
    char plain[SYMBOLS_TEXT_BYTES];
    char escaped[SYMBOLS_TEXT_BYTES];
    size_t n = strlen(text);

    if (n >= sizeof(plain)) {
        return false;
    }
    for (size_t i = 0; i <= n; i++) {
        plain[i] = text[i] == '\\' ? '/' : text[i];
    }
    mp_text_escape(escaped, sizeof(escaped), plain, n);
    return strcmp(escaped, plain) == 0;
}

struct parser {
    char *at;
    struct texts *texts;
    const char **known; /* by number - 1 */
    size_t count;
    size_t room;
};

/* The rest of the line, which is taken; NULL: there is none. */
static char *take_line(struct parser *p)
{
    char *line = p->at;
    char *end = strchr(line, '\n');

    if (end == NULL) {
        return NULL;
    }
    *end = '\0';
    p->at = end + 1;
    return line;
}

static bool parse_text(struct parser *p, const char *text)
{
    if (text[0] == '\0' || !is_printable(text)) {
        return false;
    }
    p->known = must_grow(p->known, p->count, &p->room, sizeof(*p->known));
    p->known[p->count++] = texts_keep(p->texts, text);
    return true;
}

/* A number up to `end`, which it steps over. */
static bool parse_number(char **at, char end, int base, uint64_t most, uint64_t *ret)
{
    char *stop;

    if (!isxdigit((unsigned char)**at)) {
        return false; /* no blanks, no sign */
    }
    errno = 0;
    *ret = strtoull(*at, &stop, base);
    if (errno != 0 || *ret > most || *stop != end) {
        return false;
    }
    *at = stop + 1;
    return true;
}

static bool parse_line(struct parser *p, struct symbol_line *ret)
{
    char *at = take_line(p);
    uint64_t function;
    uint64_t file;
    uint64_t line;

    if (at == NULL || !parse_number(&at, ' ', 10, p->count, &function) || function == 0
        || !parse_number(&at, ' ', 10, p->count, &file)
        || !parse_number(&at, '\0', 10, UINT32_MAX, &line)) {
        return false;
    }
    ret->function = p->known[function - 1];
    ret->file = file != 0 ? p->known[file - 1] : NULL;
    ret->line = (uint32_t)line;
    return true;
}

static struct symcache_entry *parse_entry(struct parser *p, char *header)
{
    struct symcache_entry *e;
    uint64_t offset;
    uint64_t count;

    if (!parse_number(&header, ' ', 16, UINT64_MAX, &offset)
        || !parse_number(&header, ' ', 10, SYMBOLS_LINES_MAX, &count) || count == 0) {
        return NULL;
    }
    e = symcache_new(offset, (uint32_t)count);
    e->is_named = true;
    e->has_debug = strcmp(header, "debug") == 0;
    for (uint32_t i = 0; i < e->count; i++) {
        if (!parse_line(p, &e->lines[i])) {
            free(e);
            return NULL;
        }
    }
    return e;
}

static void free_list(struct symcache_entry *list)
{
    while (list != NULL) {
        struct symcache_entry *next = list->next;

        free(list);
        list = next;
    }
}

/* All entries, or none when any is damaged. */
static struct symcache_entry *parse_body(struct parser *p)
{
    struct symcache_entry *list = NULL;

    while (*p->at != '\0') {
        char *line = take_line(p);
        struct symcache_entry *e = NULL;

        if (line != NULL && line[0] == '=' && parse_text(p, line + 1)) {
            continue;
        }
        if (line != NULL && line[0] == '@') {
            e = parse_entry(p, line + 1);
        }
        if (e == NULL) {
            free_list(list);
            return NULL;
        }
        e->next = list;
        list = e;
    }
    return list;
}

struct symcache_entry *symcache_read(
    const struct mp_region_module *m, struct texts *texts)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 128];
    char id[ID_BYTES];
    size_t bytes = 0;
    char *text;
    struct parser p = {.texts = texts};
    struct symcache_entry *list;

    if (!make_id(m, id)) {
        return NULL;
    }
    p.at = text = find_kept(id);
    if (text == NULL && find_file(id, folder, path, sizeof(path))) {
        text = read_file(path, &bytes);
        p.at = text != NULL ? check_header(text, bytes) : NULL;
        if (p.at != NULL) {
            keep_text(id, p.at);
        }
    }
    list = p.at != NULL ? parse_body(&p) : NULL;

    free(p.known);
    free(text);
    return list;
}

/* ---- writing ---- */

struct writer {
    FILE *out;
    void *numbers; /* tsearch: struct number, by text */
    size_t count;
};

/* Equal texts are one: see texts.h. */
struct number {
    const char *text;
    size_t number;
};

static int compare_texts(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct number *)a)->text;
    uintptr_t y = (uintptr_t)((const struct number *)b)->text;

    return (x > y) - (x < y);
}

/* The number of a text, which is written when it is new. */
static size_t number_of(struct writer *w, const char *text)
{
    struct number wanted = {text, 0};
    struct number **found;
    struct number *fresh;

    if (text == NULL) {
        return 0;
    }
    found = tfind(&wanted, &w->numbers, compare_texts);
    if (found != NULL) {
        return (*found)->number;
    }
    fresh = must(malloc(sizeof(*fresh)));
    *fresh = (struct number){text, ++w->count};
    must(tsearch(fresh, &w->numbers, compare_texts));
    fprintf(w->out, "=%s\n", text);
    return fresh->number;
}

static void write_entry(struct writer *w, const struct symcache_entry *e)
{
    for (uint32_t i = 0; i < e->count; i++) {
        number_of(w, e->lines[i].function);
        number_of(w, e->lines[i].file);
    }
    fprintf(w->out, "@%llx %u %s\n", (unsigned long long)e->offset, e->count,
        e->has_debug ? "debug" : "table");
    for (uint32_t i = 0; i < e->count; i++) {
        const struct symbol_line *l = &e->lines[i];

        fprintf(w->out, "%zu %zu %u\n", number_of(w, l->function),
            number_of(w, l->file), l->line);
    }
}

/* Entries as text, as many as fit. */
static char *write_text(const struct symcache_entry *list, size_t *ret_bytes)
{
    char *text = NULL;
    struct writer w = {.out = must(open_memstream(&text, ret_bytes))};
    const long longest = SYMBOLS_LINES_MAX * (2 * SYMBOLS_TEXT_BYTES + 64);

    for (const struct symcache_entry *e = list;
         e != NULL && ftell(w.out) < FILE_BYTES_MAX - HEADER_BYTES - longest;
         e = e->next) {
        if (e->is_named) {
            write_entry(&w, e);
        }
    }
    tdestroy(w.numbers, free);
    return must(fclose(w.out) == 0 ? text : NULL);
}

static bool write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);

        if (n <= 0) {
            return false;
        }
        text += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Beside, then into its place: readers see the file as it was, or as it is. */
static void replace_file(
    const char *folder, const char *path, const char *text, size_t bytes)
{
    char beside[PATH_MAX + 16];
    char header[HEADER_BYTES];
    bool is_written;
    int fd;

    snprintf(beside, sizeof(beside), "%s/.new-XXXXXX", folder);
    fd = mkostemp(beside, O_CLOEXEC); /* 0600 */
    if (fd < 0) {
        return;
    }
    snprintf(header, sizeof(header), HEADER, bytes,
        crc32(crc32(0, NULL, 0), (const Bytef *)text, (uInt)bytes));
    is_written = write_all(fd, header, strlen(header)) && write_all(fd, text, bytes);
    if (close(fd) != 0 || !is_written || rename(beside, path) != 0) {
        unlink(beside);
    }
}

struct old_file {
    struct timespec used;
    off_t bytes;
    char name[NAME_MAX + 1];
};

static int compare_age(const void *a, const void *b)
{
    const struct timespec *x = &((const struct old_file *)a)->used;
    const struct timespec *y = &((const struct old_file *)b)->used;

    return x->tv_sec != y->tv_sec
               ? (x->tv_sec < y->tv_sec ? -1 : 1)
               : (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* The longest unused files go until the others fit; so does what a killed writer left. */
static void limit_folder(const char *folder)
{
    DIR *d = opendir(folder);
    struct old_file *files = NULL;
    struct dirent *entry;
    size_t count = 0;
    size_t room = 0;
    off_t bytes = 0;

    while (d != NULL && (entry = readdir(d)) != NULL) {
        struct stat st;

        if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0
            || !S_ISREG(st.st_mode)) {
            continue;
        }
        files = must_grow(files, count, &room, sizeof(*files));
        files[count].used = st.st_mtim;
        files[count].bytes = st.st_size;
        strcpy(files[count++].name, entry->d_name);
        bytes += st.st_size;
    }
    if (bytes > FOLDER_BYTES_MAX) {
        qsort(files, count, sizeof(*files), compare_age);
    }
    for (size_t i = 0; i < count && bytes > FOLDER_BYTES_MAX; i++) {
        unlinkat(dirfd(d), files[i].name, 0);
        bytes -= files[i].bytes;
    }
    free(files);
    if (d != NULL) {
        closedir(d);
    }
}

void symcache_write(const struct mp_region_module *m, const struct symcache_entry *list)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 128];
    char id[ID_BYTES];
    bool has_file;
    size_t bytes = 0;
    char *text;

    if (!make_id(m, id)) {
        return;
    }
    has_file = find_file(id, folder, path, sizeof(path));
    if (!has_file && kept_most == 0) {
        return;
    }
    text = write_text(list, &bytes);
    if (bytes > 0) {
        keep_text(id, text);
    }
    if (bytes > 0 && has_file) {
        replace_file(folder, path, text, bytes);
        limit_folder(folder);
    }
    free(text);
}
