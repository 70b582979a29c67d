#include "cli.h"

#include "corefile.h"
#include "format.h"
#include "said.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int cli_fail(const char *verb, enum exit_code code, const char *format, ...)
{
    char who[64];
    va_list args;

    snprintf(who, sizeof(who), "mpalloc %s", verb);
    va_start(args, format);
    said_error(who, format, args);
    va_end(args);
    return code;
}

enum exit_code cli_fail_as(const char *verb, int code, const struct mp_error *error)
{
    return cli_fail(verb, cli_code(code), "%s",
        error->text[0] != '\0' ? error->text : strerror(-code));
}

enum exit_code cli_code(int error)
{
    switch (-error) {
    case 0:
        return EXIT_FINE;
    case ENOENT:
    case ESRCH:
        return EXIT_NO_PROCESS;
    case EACCES:
    case EPERM:
        return EXIT_NOT_PERMITTED;
    case EBADMSG:
        return EXIT_DAMAGED;
    case ENOTUNIQ:
        return EXIT_USAGE;
    default:
        return EXIT_FAILED;
    }
}

/* ---- options ---- */

static void print_help(const char *name)
{
    const struct verb *v = verb_find(name);

    printf("mpalloc %s %s\n\n%s.\n\n%s", v->name, v->arguments, v->summary, v->help);
    printf("\n  --color auto|always|never   colours and bars (auto: on a terminal)\n"
           "  --help                      this text\n");
}

static void set_color(const char *verb, const char *when)
{
    if (!format_set_color(when)) {
        exit(cli_fail(
            verb, EXIT_USAGE, "--color takes auto, always or never, not \"%s\"", when));
    }
}

static const struct option *find_output(const struct option *options)
{
    while (options->name != NULL && strcmp(options->name, "output") != 0) {
        options++;
    }
    return options->name != NULL ? options : NULL;
}

int cli_next_option(const char *verb, int argc, char **argv,
    const struct option *options, bool stop, struct common *common)
{
    const struct option *output = find_output(options);
    const char *letters = output == NULL ? (stop ? "+:" : ":") : stop ? "+:o:" : ":o:";

    for (;;) {
        int c;

        opterr = 0;
        c = getopt_long(argc, argv, letters, options, NULL);
        switch (c) {
        case 'o':
            return output->val;
        case OPT_HELP:
            print_help(verb);
            exit(fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED);
        case OPT_JSON:
            common->json = true;
            break;
        case OPT_NAME:
            common->name = optarg;
            break;
        case OPT_PID_FILE:
            common->pid_file = optarg;
            break;
        case OPT_COLOR:
            set_color(verb, optarg);
            break;
        case ':':
            exit(cli_fail(verb, EXIT_USAGE, "%s needs a value (mpalloc %s --help)",
                argv[optind - 1], verb));
        case '?':
            exit(cli_fail(verb, EXIT_USAGE, "unknown option %s (mpalloc %s --help)",
                argv[optind - 1], verb));
        default:
            return c;
        }
    }
}

void cli_expect_words(const char *verb, int argc, int most)
{
    if (argc - optind > most) {
        exit(
            cli_fail(verb, EXIT_USAGE, "takes at most %d word%s, got %d (%s %s --help)",
                most, most == 1 ? "" : "s", argc - optind, "mpalloc", verb));
    }
}

uint64_t cli_number(const char *verb, const char *option, const char *text,
    uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || !isdigit((unsigned char)text[0])
        || value < least || value > most) {
        exit(cli_fail(verb, EXIT_USAGE,
            "%s takes a number from %llu to %llu, not \"%s\"", option,
            (unsigned long long)least, (unsigned long long)most, text));
    }
    return value;
}

bool cli_parse_time(const char *text, double *ret_s)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600},
        {"d", 86400}};
    char *end;
    double value = strtod(text, &end);

    for (unsigned i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (strcmp(end, units[i].name) == 0) {
            *ret_s = value * units[i].seconds;
            return end != text && isdigit((unsigned char)text[0]);
        }
    }
    return false;
}

/* As it may be written: "100ms", "1h". */
static void write_time(unsigned ms, char *ret, size_t size)
{
    if (ms % 86400000 == 0 && ms > 0) {
        snprintf(ret, size, "%ud", ms / 86400000);
    } else if (ms % 3600000 == 0 && ms > 0) {
        snprintf(ret, size, "%uh", ms / 3600000);
    } else if (ms % 1000 == 0) {
        snprintf(ret, size, "%us", ms / 1000);
    } else {
        snprintf(ret, size, "%ums", ms);
    }
}

unsigned cli_milliseconds(const char *verb, const char *option, const char *text,
    unsigned least, unsigned most)
{
    char shortest[32];
    char longest[32];
    double value;

    if (!cli_parse_time(text, &value) || !(value * 1e3 >= least)
        || !(value * 1e3 <= most)) {
        write_time(least, shortest, sizeof(shortest));
        write_time(most, longest, sizeof(longest));
        exit(cli_fail(verb, EXIT_USAGE,
            "%s takes a time from %s to %s, written as 500ms, 2s, 5m or 24h, not "
            "\"%s\"",
            option, shortest, longest, text));
    }
    return (unsigned)(value * 1e3);
}

unsigned cli_request_options(
    const char *verb, int argc, char **argv, struct common *common)
{
    enum { TIMEOUT = 1 };
    static const struct option options[] = {
        COMMON_OPTIONS, {"timeout", required_argument, NULL, TIMEOUT}, {0}};
    unsigned timeout_ms = 2000;
    int code;

    while ((code = cli_next_option(verb, argc, argv, options, false, common)) != -1) {
        if (code == TIMEOUT) {
            timeout_ms = cli_milliseconds(verb, "--timeout", optarg, 1, 3600000);
        }
    }
    return timeout_ms;
}

bool cli_parse_interval(const char *text, uint64_t *ret)
{
    static const char units[] = "kmgt";
    uint64_t most = UINT64_C(1) << 40;
    const char *unit;
    uint64_t value;
    char *end;

    if (strcasecmp(text, "exact") == 0) {
        *ret = MP_SAMPLING_EXACT;
        return true;
    }
    if (strcasecmp(text, "off") == 0) {
        *ret = MP_SAMPLING_OFF;
        return true;
    }
    errno = 0;
    value = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    if (value != 0 && errno == 0) {
        unit = *end != '\0' && end[1] == '\0'
                   ? strchr(units, tolower((unsigned char)*end))
                   : NULL;
        if (unit != NULL && value <= most >> (10 * (unit - units + 1))) {
            *ret = value << (10 * (unit - units + 1));
            return true;
        }
        if (*end == '\0' && value <= most) {
            *ret = value == 1 ? MP_SAMPLING_EXACT : value;
            return true;
        }
    }
    return false;
}

uint64_t cli_interval(const char *verb, const char *option, const char *text)
{
    uint64_t interval = 0;

    if (!cli_parse_interval(text, &interval)) {
        exit(cli_fail(verb, EXIT_USAGE,
            "%s takes bytes from 1 to 1t such as 64k, or exact, or off; not \"%s\"",
            option, text));
    }
    return interval;
}

/* ---- targets ---- */

static bool is_number(const char *word)
{
    size_t digits = strspn(word, "0123456789");

    return digits > 0 && word[digits] == '\0' && digits < 20;
}

/*
 * The number in the first line of a file that a service left, as postmaster.pid is: more may
 * follow. 0, or an exit code after a line.
 */
static int read_pid_file(const char *verb, const char *path, uint64_t *ret)
{
    char text[64] = "";
    char shown[4 * sizeof(text)];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    int code = errno;
    char *line = text;

    if (fd >= 0) {
        close(fd);
    }
    if (n < 0) {
        return cli_fail(
            verb, cli_code(-code), "--pid-file %s: %s", path, strerror(code));
    }
    text[strcspn(text, "\r\n")] = '\0';
    line += strspn(text, " \t");
    for (size_t end = strlen(line); end > 0 && strchr(" \t", line[end - 1]); end--) {
        line[end - 1] = '\0';
    }
    if (n == 0 || line[0] == '\0') {
        return cli_fail(
            verb, EXIT_USAGE, "--pid-file %s: has no process number in it", path);
    }
    *ret = is_number(line) ? strtoull(line, NULL, 10) : 0;
    if (*ret == 0 || *ret > INT32_MAX) {
        mp_text_escape(shown, sizeof(shown), line, strlen(line));
        return cli_fail(verb, EXIT_USAGE,
            "--pid-file %s: a process number was expected, not \"%s\"", path, shown);
    }
    return EXIT_FINE;
}

static int find_by_pid_file(const char *verb, const char *path, struct target *ret)
{
    struct mp_error error = {""};
    uint64_t pid = 0;
    int code = read_pid_file(verb, path, &pid);

    if (code != EXIT_FINE) {
        return code;
    }
    code = mp_find_pid(pid, ret->path, sizeof(ret->path), &error);
    return code != 0 ? cli_fail(verb, cli_code(code), "--pid-file %s: %s", path,
               error.text[0] != '\0' ? error.text : strerror(-code))
                     : EXIT_FINE;
}

static int find(const struct common *common, const char *word, struct target *ret,
    struct mp_error *error)
{
    if (common->name != NULL) {
        return mp_find_name(common->name, ret->path, sizeof(ret->path), error);
    }
    return mp_find_target(word, ret->path, sizeof(ret->path), error);
}

static int find_target(
    const char *verb, const struct common *common, char **words, struct target *ret)
{
    struct mp_error error = {""};
    int code;

    const char *option = common->pid_file != NULL ? "--pid-file" : "--name";

    ret->image = NULL;
    if (words[0] == NULL && common->name == NULL && common->pid_file == NULL) {
        return cli_fail(verb, EXIT_USAGE,
            "needs a PID, a region file or --name NAME (mpalloc ps lists processes)");
    }
    if (words[0] != NULL && (common->name != NULL || common->pid_file != NULL)) {
        return cli_fail(verb, EXIT_USAGE, "takes %s or %s, not both", words[0], option);
    }
    if (common->name != NULL && common->pid_file != NULL) {
        return cli_fail(verb, EXIT_USAGE, "takes --name or --pid-file, not both");
    }
    if (common->pid_file != NULL) {
        return find_by_pid_file(verb, common->pid_file, ret);
    }
    code = find(common, words[0], ret, &error);
    if (code != 0) {
        return cli_fail_as(verb, code, &error);
    }
    return EXIT_FINE;
}

int cli_find_target(
    const char *verb, const struct common *common, char **words, struct target *ret)
{
    int code = find_target(verb, common, words, ret);

    if (code == EXIT_FINE && corefile_is_one(ret->path)) {
        return cli_fail(verb, EXIT_NO_PROCESS,
            "%s: is a core file: this asks a process that runs", ret->path);
    }
    return code;
}

int cli_open_file(const char *verb, const char *path, mp_image_t **ret)
{
    struct mp_error error = {""};
    char *left = NULL;
    int code = corefile_is_one(path) ? corefile_open(path, ret, &left, &error)
                                     : mp_image_open(path, ret, &error);

    if (code != 0) {
        return cli_fail_as(verb, code, &error);
    }
    if (left != NULL) {
        cli_fail(verb, EXIT_FINE, "%s: holds no region; this is %s, which it left",
            path, left);
        free(left);
    }
    return EXIT_FINE;
}

int cli_open_target(
    const char *verb, const struct common *common, char **words, struct target *ret)
{
    int code = find_target(verb, common, words, ret);

    return code != EXIT_FINE ? code : cli_open_file(verb, ret->path, &ret->image);
}

int cli_open_counters(
    const char *verb, const struct common *common, char **words, struct target *ret)
{
    struct mp_error error = {""};
    int code = find_target(verb, common, words, ret);

    if (code != EXIT_FINE || corefile_is_one(ret->path)) {
        return code != EXIT_FINE ? code : cli_open_file(verb, ret->path, &ret->image);
    }
    code = mp_image_open_counters(ret->path, &ret->image, &error);
    return code != 0 ? cli_fail_as(verb, code, &error) : EXIT_FINE;
}
