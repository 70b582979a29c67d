/*
 * top_screen - mpalloc top on a terminal
 */
#include "top.h"

#include "cli.h"
#include "format.h"
#include "top_views.h"
#include "view.h"

#include <curses.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 7, LINE = 512 };

struct screen {
    struct top *top;
    unsigned interval_ms;
    size_t first; /* row at the top of the table */
    bool paused;
    bool help;
    char message[160];
};

static void put(int y, int x, int attributes, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* To so many characters. */
static void cut(char *line, unsigned columns)
{
    for (; *line != '\0'; line++) {
        if (((unsigned char)*line & 0xc0) != 0x80 && columns-- == 0) {
            *line = '\0';
            return;
        }
    }
}

static void put(int y, int x, int attributes, const char *format, ...)
{
    char line[LINE];
    va_list args;

    if (y < 0 || y >= LINES || x >= COLS) {
        return;
    }
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    cut(line, (unsigned)(COLS - x)); /* curses would go on in the next line */
    attron(attributes);
    mvaddstr(y, x, line);
    attroff(attributes);
}

static void draw_head(const struct screen *s)
{
    const struct top *top = s->top;
    const struct mp_region_process *p = mp_image_process(top->now);
    const struct mp_region_totals *t = mp_image_totals(top->now);
    const char *source;
    uint64_t limit = view_limit(top->now, &source);
    size_t wide = COLS > 30 ? (size_t)COLS - 30 : 1;
    size_t points = top->history_count < wide ? top->history_count : wide;
    char spark[TOP_HISTORY * 4 + 1];
    char name[256];

    put(0, 0, A_BOLD, "%s  pid %llu  %s  ran %s  figures %s old%s",
        format_name(name, sizeof(name), p->service, 24), (unsigned long long)p->pid,
        mp_life_name(mp_image_life(top->now)),
        format_seconds(view_ran_seconds(top->now)).text,
        format_seconds(view_age_seconds(top->now)).text, s->paused ? "  PAUSED" : "");
    format_sparkline(spark, top->history + top->history_count - points, points);
    put(1, 0, A_BOLD, "live %11s %s", format_bytes((double)t->live_bytes).text, spark);
    put(2, 0, 0, "peak %11s   growth %s/s   allocates %s/s, %s blocks/s",
        format_bytes((double)t->live_peak_bytes).text,
        format_bytes(top->growth_per_second).text,
        format_bytes(top->bytes_per_second).text,
        format_count(top->blocks_per_second).text);
    put(3, 0, 0, "RSS  %11s   cached %s   dirty %s   retained %s",
        format_known(top->rss_bytes).text, format_bytes((double)t->cached_bytes).text,
        format_bytes((double)t->dirty_bytes).text,
        format_bytes((double)t->retained_bytes).text);
    put(4, 0, 0, "%llu threads   %s blocks live   limit %s%s%s",
        (unsigned long long)t->threads, format_count((double)t->live_blocks).text,
        limit == MP_UNKNOWN ? "none" : format_bytes((double)limit).text,
        limit == MP_UNKNOWN ? "" : " of ", limit == MP_UNKNOWN ? "" : source);
}

static void draw_table(struct screen *s)
{
    const struct top *top = s->top;
    size_t room = LINES > HEAD + 1 ? (size_t)(LINES - HEAD - 1) : 0;

    if (s->first + room > top->row_count) {
        s->first = top->row_count > room ? top->row_count - room : 0;
    }
    put(HEAD - 1, 0, A_REVERSE, "%*s", COLS, "");
    put(HEAD - 1, 0, A_REVERSE, "%11s%c %9s%c %11s%c %13s  %13s%c %s", "LIVE",
        top->sort == TOP_BY_LIVE ? '*' : ' ', "BLOCKS",
        top->sort == TOP_BY_BLOCKS ? '*' : ' ', "PEAK",
        top->sort == TOP_BY_PEAK ? '*' : ' ', "GROWTH", "ALLOCATES",
        top->sort == TOP_BY_RATE ? '*' : ' ',
        top->table == TOP_COMPONENTS ? "COMPONENT" : "BLOCK SIZE");
    for (size_t i = 0; i < room && s->first + i < top->row_count; i++) {
        const struct top_row *r = &top->rows[s->first + i];

        put(HEAD + (int)i, 0, r->mark.text[0] != '\0' ? A_BOLD : 0,
            "%11s  %9s  %11s  %11s/s  %11s/s  %s%s",
            format_bytes((double)r->live_bytes).text,
            format_count((double)r->live_blocks).text,
            r->peak_bytes == MP_UNKNOWN ? "-"
                                        : format_bytes((double)r->peak_bytes).text,
            format_bytes(r->growth_per_second).text,
            format_bytes(r->bytes_per_second).text, r->name, r->mark.text);
    }
}

/* ---- text ---- */

/* How many bytes of a line fit into so many columns, at best up to a blank. */
static size_t fit(const char *line, size_t bytes, unsigned columns)
{
    size_t blank = 0;
    size_t n = 0;

    for (; n < bytes; n++) {
        bool begins = ((unsigned char)line[n] & 0xc0) != 0x80;

        if (begins && columns-- == 0) {
            return blank > bytes / 8 ? blank : n;
        }
        blank = line[n] == ' ' ? n + 1 : blank;
    }
    return n;
}

/* A line of text, in as many as it takes; what goes on stands two columns to the right of it. */
static void draw_line(
    const struct screen *s, const char *line, size_t bytes, size_t *number, size_t room)
{
    size_t indent = 0;
    unsigned columns = COLS > 20 ? (unsigned)COLS : 20;
    unsigned left = 0;

    while (indent < bytes && line[indent] == ' ') {
        indent++;
    }
    indent = indent + 2 < columns / 2 ? indent + 2 : columns / 2;
    do {
        size_t n = fit(line, bytes, columns - left);

        if (*number >= s->first && *number < s->first + room) {
            put(HEAD + (int)(*number - s->first), (int)left, 0, "%.*s", (int)n, line);
        }
        ++*number;
        line += n;
        bytes -= n;
        left = (unsigned)indent;
    } while (bytes > 0);
}

static void draw_text(struct screen *s)
{
    static const char *const heads[TOP_TABLES] = {
        [TOP_LEDGER] = "WHERE RESIDENT MEMORY IS",
        [TOP_LEAKS] = "LEAKS: WHAT IS LOST, GROWS, OR IS SUSPECT",
        [TOP_ADVICE] = "WHAT TO DO",
        [TOP_ALERTS] = "ALERTS: STATE, SEVERITY, RULE, VALUE"};
    const char *text = top_views_text(s->top->views, s->top, s->top->table);
    size_t room = LINES > HEAD + 1 ? (size_t)(LINES - HEAD - 1) : 0;
    size_t number = 0;

    put(HEAD - 1, 0, A_REVERSE, "%*s", COLS, "");
    put(HEAD - 1, 0, A_REVERSE, "%s", heads[s->top->table]);
    while (*text == '\n') { /* the head says it */
        text++;
    }
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");

        draw_line(s, text, n, &number, room);
        text += n + (text[n] == '\n');
    }
    if (s->first + room > number) { /* scrolled too far: right at the next key */
        s->first = number > room ? number - room : 0;
    }
}

/* Which views there are, and which one it is. */
static void draw_tabs(const struct screen *s)
{
    int x = 0;

    for (unsigned i = 0; i < TOP_TABLES; i++) {
        const char *name = top_table_name((enum top_table)i);

        put(HEAD - 2, x, i == s->top->table ? A_BOLD | A_UNDERLINE : 0, "%u %s", i + 1,
            name);
        x += (int)strlen(name) + 4;
    }
}

static void draw_foot(const struct screen *s)
{
    put(LINES - 1, 0, A_REVERSE, "%*s", COLS, "");
    put(LINES - 1, 0, A_REVERSE, "%s",
        s->message[0] != '\0' ? s->message
        : top_is_text(s->top->table)
            ? "q quit  Tab 1-6 view  up down scroll  p pause  t trim  + - speed  ? help"
            : "q quit  Tab 1-6 view  l r k b sort  p pause  t trim  + - speed  ? help");
}

static void draw_help(void)
{
    static const char *const lines[] = {"  q        quit",
        "  Tab 1-6  components, size classes, ledger, leaks, advice, alerts",
        "  l r k b  sort by live bytes, rate, peak, live blocks",
        "  p        pause, and go on",
        "  t        make the process give free memory back",
        "  + -      look more or less often", "  up down  scroll (page up, page down)",
        "  ?        close this help"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        put(HEAD + (int)i, 2, A_REVERSE, " %-66s ", lines[i]);
    }
}

static void draw(struct screen *s)
{
    erase();
    draw_head(s);
    draw_tabs(s);
    if (top_is_text(s->top->table)) {
        draw_text(s);
    } else {
        draw_table(s);
    }
    if (s->help) {
        draw_help();
    }
    draw_foot(s);
    refresh();
}

static void trim(struct screen *s)
{
    struct mp_error error = {""};
    uint64_t bytes = 0;

    if (mp_trim_request(s->top->path, 300, &bytes, &error) == 0) {
        snprintf(s->message, sizeof(s->message), "%s given back to the kernel",
            format_bytes((double)bytes).text);
    } else {
        snprintf(s->message, sizeof(s->message), "%.150s", error.text);
    }
}

static void show(struct screen *s, enum top_table table)
{
    s->top->table = table;
    s->first = 0;
    top_make_rows(s->top);
}

/* False: quit. */
static bool press(struct screen *s, int key)
{
    static const char sorts[] = "lrkb";
    size_t page = LINES > HEAD + 1 ? (size_t)(LINES - HEAD - 1) : 1;
    const char *sort = key > 0 && key < 128 ? strchr(sorts, key) : NULL;

    s->message[0] = '\0';
    if (sort != NULL) {
        s->top->sort = (enum top_sort)(sort - sorts);
        top_make_rows(s->top);
        return true;
    }
    if (key >= '1' && key < '1' + TOP_TABLES) {
        show(s, (enum top_table)(key - '1'));
        return true;
    }
    switch (key) {
    case 'q':
    case 'Q':
    case 27:
        return false;
    case '\t':
        show(s, (enum top_table)((s->top->table + 1) % TOP_TABLES));
        break;
    case KEY_BTAB:
        show(s, (enum top_table)((s->top->table + TOP_TABLES - 1) % TOP_TABLES));
        break;
    case 'p':
    case ' ':
        s->paused = !s->paused;
        break;
    case 't':
        trim(s);
        break;
    case '+':
        s->interval_ms = s->interval_ms > 200 ? s->interval_ms / 2 : 100;
        break;
    case '-':
        s->interval_ms = s->interval_ms < 30000 ? s->interval_ms * 2 : 60000;
        break;
    case '?':
    case 'h':
        s->help = !s->help;
        break;
    case KEY_UP:
        s->first -= s->first > 0;
        break;
    case KEY_DOWN:
        s->first++;
        break;
    case KEY_PPAGE:
        s->first -= s->first > page ? page : s->first;
        break;
    case KEY_NPAGE:
        s->first += page;
        break;
    default:
        break;
    }
    return true;
}

/* What libraries say on standard error would be all over the screen. Returns what it was. */
static int silence(void)
{
    int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (kept >= 0 && nothing >= 0) {
        dup2(nothing, STDERR_FILENO);
    }
    if (nothing >= 0) {
        close(nothing);
    }
    return kept;
}

static void speak(int kept)
{
    if (kept >= 0) {
        dup2(kept, STDERR_FILENO);
        close(kept);
    }
}

int top_screen(struct top *top, unsigned interval_ms)
{
    struct screen s = {.top = top, .interval_ms = interval_ms};
    struct mp_error error = {""};
    bool going = true;
    int code = EXIT_FINE;
    uint64_t due_ns = view_now_ns();
    int kept;

    if (newterm(NULL, stdout, stdin) == NULL) {
        return cli_fail(
            "top", EXIT_FAILED, "this terminal is not known (TERM); try --plain");
    }
    kept = silence();
    format_set_color("never"); /* of texts: curses has its own */
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    set_escdelay(25);
    while (going && code == EXIT_FINE) {
        uint64_t now_ns = view_now_ns();

        if (now_ns >= due_ns || due_ns - now_ns > 120000000000u) {
            due_ns = now_ns + s.interval_ms * 1000000u;
            if (!s.paused && !top->ended) {
                code = top_refresh(top, &error);
                if (top->ended) {
                    strcpy(s.message, "the process has ended; q quits");
                }
            }
        }
        draw(&s);
        now_ns = view_now_ns();
        timeout(due_ns > now_ns ? (int)((due_ns - now_ns) / 1000000u) + 1 : 1);
        {
            int key = getch();

            going = key == ERR || press(&s, key);
        }
    }
    endwin();
    speak(kept);
    return code == EXIT_FINE ? code
                             : cli_fail("top", (enum exit_code)code, "%s", error.text);
}
