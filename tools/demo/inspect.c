/* inspect - who holds the memory of a process: inspect PID|FILE|NAME PROFILE */
#include <err.h>
#include <mpstats/export.h>

static mp_image_t *image;
static mp_names_t *names;

static void print(double bytes, const char *what, uint32_t frame)
{
    const struct mp_line *line[5];
    char text[512];

    mp_text_escape(text, sizeof(text), what, sizeof(text)); /* whatever it is called */
    printf("%13.0f  %s\n", bytes, text);
    for (size_t i = 0, n = mp_names_stack(names, frame, line, 5); i < n && i < 5; i++) {
        printf("%15s%s (%s)\n", "", line[i]->function, line[i]->module);
    }
}

static void print_tops(enum mp_top_by by)
{
    const struct mp_top *t;
    mp_tops_t *tops = NULL;

    printf("\nlive bytes by %s\n", mp_top_by_name(by));
    mp_tops_make(image, by, MP_LIVE_BYTES, &tops);
    for (size_t i = 0; i < 5 && tops && (t = mp_tops_at(tops, i)); i++) {
        print((double)t->figures->value[MP_LIVE_BYTES], t->name, t->frame);
    }
    mp_tops_free(tops);
}

int main(int argc, char **argv)
{
    struct mp_error error = {"takes a PID, a region file or a name, and a new file"};
    const struct mp_verdict *v;
    const struct mp_finding *f;
    mp_findings_t *advice;
    mp_verdicts_t *leaks;

    if (argc != 3 || mp_attach(argv[1], &image, &error)
        || mp_names_create(image, 0, &names) || mp_verdicts_make(image, 0, &leaks)
        || mp_findings_make(image, leaks, 0, &advice)
        || mp_export_file(image, "pprof", argv[2], 0, &error)) {
        errx(1, "%s", error.text);
    }
    print((double)mp_image_totals(image)->live_bytes, "live", 0);
    print_tops(MP_TOP_COMPONENT);
    print_tops(MP_TOP_SITE);
    puts("\nlive bytes of stacks that grow or grew");
    for (size_t i = 0; (v = mp_verdicts_at(leaks, i)) && v->kind < MP_VERDICT_FINE;
         i++) {
        print(v->live_bytes.value, mp_verdict_name(v->kind), v->frame);
    }
    puts("\nwhat could be gained, in bytes or calls a second");
    for (size_t i = 0; (f = mp_findings_at(advice, i)); i++) {
        print(f->gain.value, mp_finding_text(f->code), f->frame);
    }
    return 0;
}
