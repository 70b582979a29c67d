/*
 * verb_completion - mpalloc completion: words for the shell, from the table of verbs
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

const char help_completion[] =
    "A script that makes the shell complete verbs, options, PIDs and files.\n"
    "\n"
    "Examples:\n"
    "  mpalloc completion bash > /etc/bash_completion.d/mpalloc\n"
    "  source <(mpalloc completion bash)\n"
    "  mpalloc completion zsh > \"${fpath[1]}/_mpalloc\"\n";

/* The words of a help text that begin with two hyphens. */
static void print_flags(const char *help)
{
    for (const char *at = strstr(help, "\n  --"); at != NULL;
         at = strstr(at + 1, "\n  --")) {
        size_t n = strspn(at + 3, "-abcdefghijklmnopqrstuvwxyz");

        printf(" %.*s", (int)n, at + 3);
    }
    printf(" --color --help");
}

static void print_verbs(void)
{
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        printf("%s%s", v == verbs ? "" : " ", v->name);
    }
}

static void print_bash(void)
{
    printf("_mpalloc()\n{\n"
           "    local word=\"${COMP_WORDS[COMP_CWORD]}\" verb=\"${COMP_WORDS[1]}\"\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W '");
    print_verbs();
    printf("' -- \"$word\")\n        return\n    fi\n    local flags=\n"
           "    case \"$verb\" in\n");
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        printf("    %s) flags='", v->name);
        print_flags(v->help);
        printf("' ;;\n");
    }
    printf("    esac\n"
           "    case \"$word\" in\n"
           "    -*) mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$word\") ;;\n"
           "    *) mapfile -t COMPREPLY < <(compgen -W \"$(mpalloc ps 2>/dev/null |\n"
           "            awk 'NR > 1 { print $1 }')\" -- \"$word\"; compgen -f -- "
           "\"$word\") ;;\n"
           "    esac\n}\ncomplete -F _mpalloc mpalloc\n");
}

static void print_zsh(void)
{
    printf("#compdef mpalloc\n_mpalloc() {\n    local -a verbs\n    verbs=(\n");
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        printf("        '%s:%s'\n", v->name, v->summary);
    }
    printf("    )\n    if (( CURRENT == 2 )); then\n        _describe verb verbs\n"
           "        return\n    fi\n    case $words[2] in\n");
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        printf("    %s) compadd --", v->name);
        print_flags(v->help);
        printf(" ;;\n");
    }
    printf("    esac\n    _files\n}\n_mpalloc \"$@\"\n");
}

int verb_completion(int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS, {0}};
    struct common common = {0};

    while (cli_next_option("completion", argc, argv, options, false, &common) != -1) {
    }
    cli_expect_words("completion", argc, 1);
    if (argv[optind] != NULL && strcmp(argv[optind], "bash") == 0) {
        print_bash();
        return EXIT_FINE;
    }
    if (argv[optind] != NULL && strcmp(argv[optind], "zsh") == 0) {
        print_zsh();
        return EXIT_FINE;
    }
    return cli_fail("completion", EXIT_USAGE, "takes bash or zsh");
}
