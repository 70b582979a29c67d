#include "fleet.h"

#include "../must.h"
#include "fleet_paths.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum {
    DEAD = 256,          /* that many of those that ended are shown, the youngest */
    TRY_AGAIN_MS = 2000, /* what could not be read, and did not change */
    ASK_MS = 15000, /* to twice that: what costs the kernel much is asked so seldom */
    LOOK_AGAIN_MS = 250, /* for an id that is not known: it may have begun just now */
    IMAGES_MIB = 1024,   /* all images together; one has at most 104 */
    OPEN = 1024,         /* processes whose files of /proc stay open: two each */
};

/* What a file looked like when it was read. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified;
};

/* Files of one process, of all entries about it; used under `work`. */
struct files {
    _Atomic unsigned refs;
    _Atomic unsigned *open; /* of the fleet: how many there are */
    mp_proc_files_t *files;
};

/* Nothing but `refs` changes after it was made. */
struct entry {
    struct fleet_process p; /* first: what is held is this */
    _Atomic unsigned refs;
    bool
        is_hidden; /* ended too long ago: without an image, so as not to read it again */
    uint64_t end_ns;  /* CLOCK_REALTIME; of those that ended */
    uint64_t read_ms; /* CLOCK_MONOTONIC */
    uint64_t
        asked_ms;   /* when the kernel was asked all, and not only what changes fast */
    uint64_t group; /* of control groups, as groups know it */
    struct files *files; /* NULL: nothing stays open */
    uint64_t image_bytes;
    struct stamp stamp;
};

struct box {
    struct fleet_list list; /* first: what is held is this */
    _Atomic unsigned refs;
    uint64_t read_ms; /* all of it was read then, or later */
    size_t count;
    struct entry **entries; /* by path; those that are hidden, too */
    const struct fleet_process **shown;
};

/* `work` is taken before `lock`. */
struct fleet {
    pthread_mutex_t work; /* who looks at regions; what has no other comment is his */
    pthread_mutex_t lock; /* `now`, for a moment */
    struct fleet_paths *paths;
    mp_pressure_groups_t *groups;
    _Atomic unsigned open;
    unsigned open_most;
    uint64_t serial; /* of `now` */
    struct box *now;
    unsigned dead_s;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- what is counted ---- */

static void release_files(struct files *f)
{
    if (f != NULL
        && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        atomic_fetch_sub_explicit(f->open, 1, memory_order_relaxed);
        mp_proc_files_free(f->files);
        free(f);
    }
}

/* Those of the entry before, or new ones; NULL: too many are open. */
static struct files *hold_files_locked(struct fleet *f, struct files *before)
{
    struct files *files = before;

    if (files != NULL) {
        atomic_fetch_add_explicit(&files->refs, 1, memory_order_relaxed);
    } else if (atomic_load_explicit(&f->open, memory_order_relaxed) < f->open_most) {
        files = must(malloc(sizeof(*files)));
        atomic_init(&files->refs, 1);
        files->open = &f->open;
        files->files = must(mp_proc_files_create());
        atomic_fetch_add_explicit(&f->open, 1, memory_order_relaxed);
    }
    return files;
}

static struct entry *hold_entry(struct entry *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

static void release_entry(struct entry *e)
{
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) {
        mp_image_free(e->p.image);
        release_files(e->files);
        free(e);
    }
}

static void release_box(struct box *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < b->count; i++) {
        release_entry(b->entries[i]);
    }
    free(b->entries);
    free(b->shown);
    free(b);
}

static struct box *hold_now(struct fleet *f)
{
    struct box *b;

    pthread_mutex_lock(&f->lock);
    b = f->now;
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&f->lock);
    return b;
}

static void replace_now(struct fleet *f, struct box *b)
{
    struct box *before;

    b->list.serial = ++f->serial;
    pthread_mutex_lock(&f->lock);
    before = f->now;
    f->now = b;
    pthread_mutex_unlock(&f->lock);
    release_box(before);
}

/* ---- one region ---- */

static bool take_stamp(const char *path, struct stamp *ret)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return false;
    }
    *ret = (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    return true;
}

static bool is_same_file(const struct stamp *a, const struct stamp *b)
{
    return a->device == b->device && a->inode == b->inode;
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return is_same_file(a, b) && a->bytes == b->bytes
           && a->modified.tv_sec == b->modified.tv_sec
           && a->modified.tv_nsec == b->modified.tv_nsec;
}

static bool has_ended(const struct fleet_process *p)
{
    return p->image != NULL && p->life != MP_LIFE_RUNNING
           && p->life != MP_LIFE_ELSEWHERE;
}

/* As the region is named, or would be if it were a file of its own. */
static void name_entry(struct fleet_process *p)
{
    const char *base = strrchr(p->path, '/');
    size_t length;

    base = base != NULL ? base + 1 : p->path;
    length = strlen(base);
    if (length > 3 && strcmp(base + length - 3, ".mp") == 0) {
        snprintf(p->id, sizeof(p->id), "%.*s", (int)length - 3, base);
        p->pid = strtoull(base, NULL, 10);
    } else {
        snprintf(p->id, sizeof(p->id), "%llu-%llu", (unsigned long long)p->pid,
            (unsigned long long)mp_image_process(p->image)->start_ticks);
    }
}

static void set_unknown(struct mp_proc *k)
{
    memset(k, 0xff, sizeof(*k)); /* MP_UNKNOWN in each */
}

/* The same process and program as a moment ago. */
static bool is_again(const struct entry *before, const struct entry *e)
{
    return before != NULL && before->p.image != NULL
           && before->p.life == MP_LIFE_RUNNING
           && is_same_file(&before->stamp, &e->stamp)
           && memcmp(mp_image_process(before->p.image)->run_id,
                  mp_image_process(e->p.image)->run_id,
                  sizeof(mp_image_process(e->p.image)->run_id))
                  == 0;
}

static void ask_kernel(struct fleet *f, struct entry *e, const struct entry *before)
{
    bool is_known = is_again(before, e);

    if (is_known) {
        e->files = hold_files_locked(f, before->files);
    }
    if (is_known && e->read_ms - before->asked_ms < ASK_MS + before->p.pid % ASK_MS) {
        e->asked_ms = before->asked_ms;
        e->group = before->group;
        e->p.life = mp_proc_look_again(e->files != NULL ? e->files->files : NULL,
            e->p.image, &before->p.kernel, &e->p.kernel);
        return;
    }
    e->asked_ms = e->read_ms;
    e->p.life = mp_image_life(e->p.image);
    if (e->p.life == MP_LIFE_RUNNING
        && mp_proc_read(mp_image_process(e->p.image)->pid, &e->p.kernel) != 0) {
        set_unknown(&e->p.kernel);
    }
}

static void set_facts(struct fleet *f, struct entry *e, const struct entry *before)
{
    const struct mp_region_process *r = mp_image_process(e->p.image);

    e->p.pid = r->pid;
    e->p.uid = r->uid;
    mp_text_escape(e->p.name, sizeof(e->p.name), r->service, sizeof(r->service));
    e->image_bytes = mp_image_file_bytes(e->p.image);
    ask_kernel(f, e, before);
    mp_pressure_make_in(
        f->groups, e->p.image, e->p.life, &e->p.kernel, &e->group, &e->p.pressure);
}

/* What it left; a copy that was made before its end might lack the last of it. */
static int read_the_end(struct entry *e, struct mp_error *error)
{
    const struct mp_region_totals *t;
    int code;

    mp_image_free(e->p.image);
    e->p.image = NULL;
    code = mp_image_open(e->p.path, &e->p.image, error);
    if (code == 0) {
        t = mp_image_totals(e->p.image);
        e->end_ns = mp_image_process(e->p.image)->ended_ns;
        e->end_ns = t->published_ns > e->end_ns ? t->published_ns : e->end_ns;
    }
    return code;
}

static int read_region_locked(struct fleet *f, struct entry *e,
    const struct entry *before, uint64_t room, struct mp_error *error)
{
    int code;

    if (room == 0) {
        snprintf(error->text, sizeof(error->text),
            "not read: the regions before it take %d MiB already", IMAGES_MIB);
        return -ENOBUFS;
    }
    code = mp_image_open(e->p.path, &e->p.image, error);
    if (code == 0) {
        set_facts(f, e, before);
    }
    return code == 0 && has_ended(&e->p) ? read_the_end(e, error) : code;
}

/*
 * Under `work`. NULL: it is there no more, and left in order. before: what was known of it, or NULL.
 */
static struct entry *read_entry_locked(
    struct fleet *f, const char *path, const struct entry *before, uint64_t room)
{
    struct entry *e = must(calloc(1, sizeof(*e)));
    struct mp_error error = {""};
    int code;

    atomic_init(&e->refs, 1);
    snprintf(e->p.path, sizeof(e->p.path), "%s", path);
    set_unknown(&e->p.kernel);
    e->p.life = MP_LIFE_DIED;
    e->p.read_ns = now_ns();
    e->read_ms = now_ms();
    code = take_stamp(path, &e->stamp) ? read_region_locked(f, e, before, room, &error)
                                       : -ENOENT;
    if (code == -ENOENT || (code != 0 && strncmp(path, "/proc/", 6) == 0)) {
        release_entry(e); /* with the files of /proc that it may hold */
        return NULL;
    }
    if (code != 0) {
        memcpy(e->p.error, error.text, sizeof(e->p.error));
    }
    name_entry(&e->p);
    return e;
}

/* What is known of it is still true, or new enough. */
static bool is_good(const struct entry *e, uint64_t now, unsigned most_age_ms)
{
    struct stamp stamp;

    if (now - e->read_ms <= most_age_ms) {
        return true;
    }
    if (!take_stamp(e->p.path, &stamp) || !is_same(&stamp, &e->stamp)) {
        return false;
    }
    return has_ended(&e->p) || e->is_hidden
           || (e->p.image == NULL && now - e->read_ms <= TRY_AGAIN_MS);
}

/* ---- all of them ---- */

static struct entry *find_path(const struct box *b, const char *path)
{
    size_t low = 0;
    size_t high = b->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strverscmp(b->entries[middle]->p.path, path);

        if (order == 0) {
            return b->entries[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    const struct fleet_process *x = *(const struct fleet_process *const *)a;
    const struct fleet_process *y = *(const struct fleet_process *const *)b;
    int order = strverscmp(x->id, y->id);

    return order != 0 ? order : strverscmp(x->path, y->path);
}

static int compare_ends(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x < y) - (x > y);
}

/* Those that ended before are not shown. */
static uint64_t find_oldest_end(const struct box *b, unsigned dead_s)
{
    uint64_t *ends = must(calloc(b->count + 1, sizeof(*ends)));
    uint64_t now = now_ns();
    uint64_t long_ns = (uint64_t)dead_s * 1000000000u;
    uint64_t oldest = dead_s > 0 && now > long_ns ? now - long_ns : 0;
    size_t count = 0;

    for (size_t i = 0; i < b->count; i++) {
        if (b->entries[i]->is_hidden || has_ended(&b->entries[i]->p)) {
            ends[count++] = b->entries[i]->end_ns;
        }
    }
    if (count > DEAD) {
        qsort(ends, count, sizeof(*ends), compare_ends);
        oldest = ends[DEAD - 1] > oldest ? ends[DEAD - 1] : oldest;
    }
    free(ends);
    return oldest;
}

/* The same without what takes room. */
static struct entry *hide_entry(struct entry *e)
{
    struct entry *hidden = must(malloc(sizeof(*hidden)));

    memcpy(hidden, e, sizeof(*hidden));
    atomic_init(&hidden->refs, 1);
    hidden->p.image = NULL;
    hidden->files = NULL;
    hidden->image_bytes = 0;
    hidden->is_hidden = true;
    release_entry(e);
    return hidden;
}

/* What is shown, in order; takes the entries. */
static struct box *close_box(
    struct entry **entries, size_t count, uint64_t read_ms, unsigned dead_s)
{
    struct box *b = must(calloc(1, sizeof(*b)));
    uint64_t oldest;

    atomic_init(&b->refs, 1);
    b->read_ms = read_ms;
    b->entries = entries;
    b->count = count;
    b->shown = must(calloc(count + 1, sizeof(*b->shown)));
    oldest = find_oldest_end(b, dead_s);
    for (size_t i = 0; i < count; i++) {
        if (has_ended(&entries[i]->p) && entries[i]->end_ns < oldest) {
            entries[i] = hide_entry(entries[i]);
        }
        if (!entries[i]->is_hidden) {
            b->shown[b->list.count++] = &entries[i]->p;
        }
    }
    if (b->list.count > 1) {
        qsort(b->shown, b->list.count, sizeof(*b->shown), compare_ids);
    }
    b->list.at = b->shown;
    return b;
}

/* Under `work`. Figures of the result are at most so old. */
static void look_locked(struct fleet *f, unsigned most_age_ms)
{
    uint64_t begun = now_ms();
    uint64_t room = (uint64_t)IMAGES_MIB << 20;
    uint64_t read_ms = begun;
    struct entry **entries;
    char *const *paths;
    size_t found;
    size_t count = 0;

    mp_pressure_groups_next(f->groups);
    fleet_paths_find(f->paths, &paths, &found);
    entries = must(calloc(found + 1, sizeof(struct entry *)));
    for (size_t i = 0; i < found; i++) {
        struct entry *e = find_path(f->now, paths[i]);

        e = e != NULL && is_good(e, begun, most_age_ms)
                ? hold_entry(e)
                : read_entry_locked(f, paths[i], e, room);
        if (e == NULL) {
            continue;
        }
        room = room > e->image_bytes ? room - e->image_bytes : 0;
        if (begun - e->read_ms <= most_age_ms && e->read_ms < read_ms) {
            read_ms = e->read_ms;
        }
        entries[count++] = e;
    }
    replace_now(f, close_box(entries, count, read_ms, f->dead_s));
}

/* 0: there was no look yet */
static bool is_young(const struct box *b, unsigned most_age_ms)
{
    return b->read_ms != 0 && now_ms() - b->read_ms <= most_age_ms;
}

const struct fleet_list *fleet_hold(struct fleet *f, unsigned most_age_ms)
{
    struct box *b = hold_now(f);

    if (is_young(b, most_age_ms)) {
        return &b->list;
    }
    release_box(b);
    pthread_mutex_lock(&f->work);
    if (!is_young(f->now, most_age_ms)) { /* nobody looked meanwhile */
        look_locked(f, most_age_ms);
    }
    b = hold_now(f);
    pthread_mutex_unlock(&f->work);
    return &b->list;
}

void fleet_release(struct fleet *f, const struct fleet_list *list)
{
    (void)f;
    release_box((struct box *)list);
}

/* ---- one of them ---- */

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* The only one that runs, else the only one. */
static const struct fleet_process *find_only(const struct box *b, const char *id)
{
    uint64_t pid = is_number(id) ? strtoull(id, NULL, 10) : 0;
    const struct fleet_process *best = NULL;
    size_t running = 0;
    size_t all = 0;

    for (size_t i = 0; i < b->list.count; i++) {
        const struct fleet_process *p = b->list.at[i];
        bool runs = p->image != NULL && !has_ended(p);

        if (pid != 0 ? p->pid != pid : strcmp(p->name, id) != 0) {
            continue;
        }
        best = runs || running == 0 ? p : best;
        running += runs;
        all++;
    }
    return running == 1 || all == 1 ? best : NULL;
}

static struct entry *find_one(const struct box *b, const char *id)
{
    for (size_t i = 0; i < b->list.count; i++) {
        if (strcmp(b->list.at[i]->id, id) == 0) {
            return (struct entry *)b->list.at[i];
        }
    }
    return (struct entry *)find_only(b, id);
}

static struct entry *hold_known(struct fleet *f, const char *id)
{
    struct box *b = hold_now(f);
    struct entry *e = find_one(b, id);

    if (e != NULL) {
        hold_entry(e);
    }
    release_box(b);
    return e;
}

/* Under `work`: the same list with this one read again. NULL: it is gone. */
static struct entry *read_again_locked(struct fleet *f, struct entry *before)
{
    struct entry **entries = must(calloc(f->now->count + 1, sizeof(struct entry *)));
    struct entry *now;
    size_t count = 0;

    mp_pressure_groups_next(f->groups);
    now = read_entry_locked(f, before->p.path, before, UINT64_MAX);
    for (size_t i = 0; i < f->now->count; i++) {
        struct entry *e = f->now->entries[i];

        if (strcmp(e->p.path, before->p.path) != 0) {
            entries[count++] = hold_entry(e);
        } else if (now != NULL) {
            entries[count++] = hold_entry(now);
        }
    }
    replace_now(f, close_box(entries, count, f->now->read_ms, f->dead_s));
    return now;
}

const struct fleet_process *fleet_hold_one(
    struct fleet *f, const char *id, unsigned most_age_ms)
{
    struct entry *e = hold_known(f, id);

    if (e != NULL && now_ms() - e->read_ms <= most_age_ms) {
        return &e->p;
    }
    pthread_mutex_lock(&f->work);
    if (e != NULL) {
        release_entry(e);
    } else if (!is_young(f->now, LOOK_AGAIN_MS)) {
        look_locked(f, LOOK_AGAIN_MS);
    }
    e = hold_known(f, id); /* also where another thread looked while this one waited */
    if (e != NULL && !is_good(e, now_ms(), most_age_ms)) {
        struct entry *now = read_again_locked(f, e);

        release_entry(e);
        e = now;
    }
    pthread_mutex_unlock(&f->work);
    return e != NULL ? &e->p : NULL;
}

void fleet_release_one(struct fleet *f, const struct fleet_process *process)
{
    (void)f;
    release_entry((struct entry *)process);
}

/* ---- life ---- */

/* At most a quarter of all descriptors. */
static unsigned find_open_most(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur / 8 >= OPEN) {
        return OPEN;
    }
    return (unsigned)(r.rlim_cur / 8);
}

int fleet_create(
    const struct fleet_options *options, struct fleet **ret, struct mp_error *error)
{
    struct fleet *f;
    struct stat st;

    for (size_t i = 0; i < options->directory_count; i++) {
        const char *directory = options->directories[i];

        if (stat(directory, &st) == 0 && !S_ISDIR(st.st_mode)) {
            snprintf(
                error->text, sizeof(error->text), "%s: is no directory", directory);
            return -ENOTDIR;
        }
    }
    f = must(calloc(1, sizeof(*f)));
    pthread_mutex_init(&f->work, NULL);
    pthread_mutex_init(&f->lock, NULL);
    f->paths = fleet_paths_create(options);
    f->groups = must(mp_pressure_groups_create());
    f->open_most = find_open_most();
    f->dead_s = options->dead_s;
    f->now = close_box(must(calloc(1, sizeof(struct entry *))), 0, 0, 0);
    f->now->list.serial = ++f->serial;
    *ret = f;
    return 0;
}

void fleet_destroy(struct fleet *f)
{
    release_box(f->now);
    fleet_paths_destroy(f->paths);
    mp_pressure_groups_free(f->groups);
    pthread_mutex_destroy(&f->work);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
